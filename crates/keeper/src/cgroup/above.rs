//! What the groups that we are in leave us of the machine: containers and slices have limits of their own.

use super::find::{Mount, membership, mounts};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What this process and all others of its groups may use together, at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Thousandths of a processor; `None`: as many as the machine has.
    pub cpu_milli: Option<u64>,
    /// Bytes; `None`: as much as the machine has.
    pub memory: Option<u64>,
}

/// The strictest limits of the groups that this process is in and of those above them, as far as they can be read.
#[must_use]
pub fn allowance() -> Allowance {
    let mounts = mounts(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
    of(&mounts, &fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
}

fn of(mounts: &[Mount], memberships: &str) -> Allowance {
    let mut least = Allowance::default();
    let mut limit = |cpu_milli: Option<u64>, memory: Option<u64>| {
        let lower = |former: Option<u64>, new: Option<u64>| former.into_iter().chain(new).min();
        least = Allowance { cpu_milli: lower(least.cpu_milli, cpu_milli), memory: lower(least.memory, memory) };
    };
    for mount in mounts {
        let controllers: Vec<&str> = mount.controllers.iter().map(String::as_str).collect();
        let Some(path) = membership(memberships, controllers.first().copied().unwrap_or_default()) else { continue };
        for group in groups(mount, path) {
            match controllers.as_slice() {
                [] => limit(both(&text(&group, "cpu.max")), number(&text(&group, "memory.max"))),
                some => {
                    let quota = ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map(|file| text(&group, file)).join(" ");
                    let cpu = some.contains(&"cpu").then(|| both(&quota)).flatten();
                    let memory = some.contains(&"memory").then(|| number(&text(&group, "memory.limit_in_bytes")));
                    limit(cpu, memory.flatten());
                }
            }
        }
    }
    least
}

/// The folders of our group and of all above it that are mounted.
fn groups(mount: &Mount, path: &str) -> Vec<PathBuf> {
    let inside = path.strip_prefix(mount.root.trim_end_matches('/')).unwrap_or("");
    let own = mount.at.join(inside.trim_start_matches('/'));
    own.ancestors().take_while(|folder| folder.starts_with(&mount.at)).map(Path::to_path_buf).collect()
}

fn text(group: &Path, file: &str) -> String {
    fs::read_to_string(group.join(file)).unwrap_or_default()
}

/// A quota and its period, in microseconds; `max` and -1 are no limit.
fn both(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    let quota: u64 = words.next()?.parse().ok()?;
    let period: u64 = words.next()?.parse().ok()?;
    quota.saturating_mul(1000).checked_div(period)
}

/// A number of bytes. `max`, and what no machine has (v1's word for it is 2⁶³ less a page), are no limit.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < 1 << 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, file: &str, text: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(file), text).unwrap();
    }

    #[test]
    fn the_strictest_group_on_the_way_up_counts_under_both_versions() {
        let folder = tempfile::tempdir().unwrap();
        let mount = |at: &str, controllers: &[&str]| Mount {
            root: "/".into(),
            at: folder.path().join(at),
            controllers: controllers.iter().map(|one| (*one).to_owned()).collect(),
        };
        let unified = mount("unified", &[]);
        put(&unified.at.join("slice"), "cpu.max", "150000 100000\n");
        put(&unified.at.join("slice"), "memory.max", "1073741824\n");
        put(&unified.at.join("slice/unit"), "cpu.max", "max 100000\n");
        put(&unified.at.join("slice/unit"), "memory.max", "max\n");
        put(&unified.at.join("other"), "memory.max", "4096\n");
        let wanted = Allowance { cpu_milli: Some(1500), memory: Some(1 << 30) };
        assert_eq!(of(&[unified], "0::/slice/unit\n"), wanted);

        let (cpu, memory) = (mount("cpu", &["cpu", "cpuacct"]), mount("memory", &["memory"]));
        put(&cpu.at.join("box"), "cpu.cfs_quota_us", "50000\n");
        put(&cpu.at.join("box"), "cpu.cfs_period_us", "100000\n");
        put(&cpu.at, "cpu.cfs_quota_us", "-1\n");
        put(&memory.at.join("box"), "memory.limit_in_bytes", "9223372036854771712\n");
        put(&memory.at, "memory.limit_in_bytes", "2147483648\n");
        let memberships = "4:memory:/box\n3:cpu,cpuacct:/box\n";
        let wanted = Allowance { cpu_milli: Some(500), memory: Some(2 << 30) };
        assert_eq!(of(&[cpu, memory], memberships), wanted);
        assert_eq!(of(&[mount("none", &[])], "0::/\n"), Allowance::default());
    }
}
