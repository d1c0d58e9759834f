//! What processes use, as the kernel tells it: from their control group, or from `/proc`.

use plimsoll_wire::keeper::Process;
use std::{fs, path::Path};

/// What one replica uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Memory in bytes.
    pub(crate) memory: Option<u64>,
    /// Processor time since its start, in microseconds.
    pub(crate) cpu_us: Option<u64>,
}

/// What a process and its descendants use (its control group), or the process alone where it has no group.
pub(crate) fn of(process: &Process) -> Usage {
    let memory = process.cgroup.as_deref().map(Path::new).and_then(|group| {
        number(&group.join("memory.current")).or_else(|| number(&group.join("memory.usage_in_bytes")))
    });
    let cpu = process.cpu_cgroup.as_deref().or(process.cgroup.as_deref()).map(Path::new);
    let cpu_us = cpu.and_then(|group| cpu_v2(group).or_else(|| Some(number(&group.join("cpuacct.usage"))? / 1000)));
    Usage { memory: memory.or_else(|| rss(process.pid)), cpu_us: cpu_us.or_else(|| cpu_of_process(process.pid)) }
}

/// The proportional share of memory of one process, in bytes.
pub(crate) fn pss(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Pss:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn cpu_v2(group: &Path) -> Option<u64> {
    let text = fs::read_to_string(group.join("cpu.stat")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("usage_usec "))?.trim().parse().ok()
}

fn rss(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

fn cpu_of_process(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks * 1_000_000 / rustix::param::clock_ticks_per_second())
}
