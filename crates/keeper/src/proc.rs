//! What `/proc` tells about processes.
//!
//! Invariant: a process is only ever signalled through a pidfd that was opened before it was recognised.

use rustix::{
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
    time::{ClockId, clock_gettime},
};
use std::{fs, io::Read};

/// The variable that says whose descendant a process is: `<system cookie>/<id>`.
pub(crate) const MARK: &str = "PLIMSOLL_PROCESS";
/// Environments longer than this (from the start) are not searched; ours comes first.
const ENVIRON_MAX: u64 = 256 * 1024;

/// Parts of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: u8,
    pub(crate) parent: i32,
    pub(crate) session: i32,
    /// Clock ticks since boot.
    pub(crate) start: u64,
}

impl Stat {
    /// Has ended, and only waits to be reaped.
    pub(crate) fn is_dead(self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// `None` if there is no such process.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in brackets may hold anything, so fields count from the last bracket.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let bracket = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(bracket + 2..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        state: *fields.first()?.as_bytes().first()?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// All process ids there are.
pub(crate) fn pids() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The mark in a process's environment, as it was when its program was executed.
pub(crate) fn mark(pid: i32) -> Option<String> {
    let mut bytes = Vec::new();
    fs::File::open(format!("/proc/{pid}/environ")).ok()?.take(ENVIRON_MAX).read_to_end(&mut bytes).ok()?;
    bytes.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(MARK.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    })
}

/// A process's short name.
pub(crate) fn name(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim_end().to_owned())
}

/// This boot's id; empty if the kernel does not tell.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Clock ticks since boot, now, in the unit of [`Stat::start`] (100 a second on Linux, whatever the kernel's own tick).
pub(crate) fn ticks() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 100 + u64::try_from(now.tv_nsec).unwrap_or(0) / 10_000_000
}

/// A handle to the process that had this pid and start time, if it still is the same and alive.
pub(crate) fn open_same(pid: i32, start: u64) -> Option<OwnedFd> {
    let fd = open(pid)?;
    let now = stat(pid)?;
    (now.start == start && !now.is_dead()).then_some(fd)
}

/// A handle to whatever process has this pid now.
pub(crate) fn open(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

/// Sends SIGKILL to the process with that pid, if `is_meant` says so after it can no longer be mistaken for another.
/// Whether it was sent.
pub(crate) fn kill_if(pid: i32, is_meant: impl FnOnce() -> bool) -> bool {
    signal_if(pid, Signal::KILL, is_meant)
}

/// As [`kill_if`], with any signal.
pub(crate) fn signal_if(pid: i32, signal: Signal, is_meant: impl FnOnce() -> bool) -> bool {
    if pid <= 1 || pid == own_pid() {
        return false;
    }
    open(pid).is_some_and(|fd| is_meant() && pidfd_send_signal(&fd, signal).is_ok())
}

/// Our own process id.
pub(crate) fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let mut line = b"12 (a) b) (c) S 7 12 11 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 2".to_vec();
        line.push(b'\n');
        assert_eq!(parse_stat(&line), Some(Stat { state: b'S', parent: 7, session: 11, start: 4242 }));
        for end in 0..line.len() {
            let _ = parse_stat(&line[..end]);
        }
    }

    #[test]
    fn a_pid_with_another_start_time_is_another_process() {
        let own = own_pid();
        let start = stat(own).unwrap().start;
        assert!(open_same(own, start).is_some());
        assert!(open_same(own, start + 1).is_none());
    }
}
