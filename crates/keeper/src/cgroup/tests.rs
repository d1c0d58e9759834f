//! Control files as each version has them, in ordinary folders; and a real v2 group where one can be made.

use super::*;
use plimsoll_wire::keeper::{Limits, Ulimits};
use std::process::Command;

const ALL: Limits = Limits {
    memory_bytes: Some(64 << 20),
    cpu_milli: Some(1500),
    cpu_request_milli: Some(1000),
    pids: Some(30),
    open_files: None,
    ulimits: Ulimits { core: None, fsize: None, memlock: None, nofile: None, nproc: None, stack: None },
    no_new_privileges: false,
};

/// A group whose folders hold these files, all empty.
fn group(root: &Path, unified: bool, files: &[&str]) -> Group {
    for file in files {
        fs::write(root.join(file), "").unwrap();
    }
    let at = || Some(root.to_owned());
    Group { name: "x".into(), unified, memory: at(), cpu: at(), accounting: at(), pids: at() }
}

#[track_caller]
fn holds(root: &Path, files: &[(&str, &str)]) {
    for (file, text) in files {
        assert_eq!(fs::read_to_string(root.join(file)).unwrap(), *text, "{file}");
    }
}

#[test]
fn limits_are_written_as_version_1_wants_them() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["memory.limit_in_bytes", "cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares", "pids.max"];
    assert_eq!(group(folder.path(), false, &files).limit(&ALL), Vec::<String>::new());
    holds(
        folder.path(),
        &[
            ("memory.limit_in_bytes", "67108864"),
            ("cpu.cfs_period_us", "100000"),
            ("cpu.cfs_quota_us", "150000"),
            ("cpu.shares", "1024"),
            ("pids.max", "30"),
        ],
    );
}

#[test]
fn limits_are_written_as_version_2_wants_them() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max"];
    assert_eq!(group(folder.path(), true, &files).limit(&ALL), Vec::<String>::new());
    holds(
        folder.path(),
        &[("memory.max", "67108864"), ("memory.swap.max", "0"), ("cpu.max", "150000 100000"), ("cpu.weight", "39")],
    );
}

#[test]
fn what_cannot_be_written_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let unenforced = group(folder.path(), true, &["memory.max"]).limit(&ALL);
    assert_eq!(unenforced, ["cpu_milli", "cpu_request_milli", "pids"]);
    let (group, unenforced) = Hierarchies::default().create("x", &ALL);
    assert_eq!((group, unenforced.len()), (None, 4));
}

#[test]
fn figures_are_read_as_each_version_tells_them() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let group = group(root, true, &[]);
    fs::write(root.join("memory.events"), "low 0\noom 3\noom_kill 2\noom_group_kill 0\n").unwrap();
    fs::write(root.join("memory.peak"), "4096\n").unwrap();
    fs::write(root.join("cpu.stat"), "usage_usec 77\nuser_usec 7\n").unwrap();
    assert_eq!(group.figures(), Figures { oom: true, memory_peak: Some(4096), cpu_us: Some(77) });
    let group = Group { unified: false, ..group };
    fs::write(root.join("memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n").unwrap();
    fs::write(root.join("memory.max_usage_in_bytes"), "8192\n").unwrap();
    fs::write(root.join("cpuacct.usage"), "5000\n").unwrap();
    assert_eq!(group.figures(), Figures { oom: false, memory_peak: Some(8192), cpu_us: Some(5) });
}

#[test]
fn a_real_version_2_group_is_entered_killed_and_removed() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
    let Some(mount) = mount else {
        eprintln!("skipped: no version 2 hierarchy is mounted here");
        return;
    };
    let base = Path::new(mount).join(format!("plimsoll-test-{}", proc::own_pid()));
    if fs::create_dir(&base).is_err() {
        eprintln!("skipped: {mount} can't be written to");
        return;
    }
    let folder = base.join("plimsoll-x");
    fs::create_dir(&folder).unwrap();
    let hierarchies = Hierarchies { unified: true, accounting: Some(folder), ..Hierarchies::default() };
    let (group, unenforced) = hierarchies.create("life", &Limits { pids: Some(3), ..Limits::default() });
    let group = group.unwrap();
    assert_eq!(unenforced, ["pids"]);
    let mut child = Command::new("sleep").arg("10000").spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    write(group.accounting.as_ref().unwrap(), "cgroup.procs", &pid.to_string()).unwrap();
    assert!(group.has(pid));
    assert_eq!(group.members(), [pid]);
    let mut known = BTreeSet::new();
    assert!(!group.kill(&mut known));
    child.wait().unwrap();
    assert!(known.contains(&pid) && group.kill(&mut known));
    assert!(group.figures().cpu_us.is_some());
    group.remove();
    hierarchies.remove();
    fs::remove_dir(&base).unwrap();
}
