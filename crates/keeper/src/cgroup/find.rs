//! Where control groups can be made on this machine: v1 hierarchies, or a delegated v2 subtree.

use super::{Hierarchies, write};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The v2 group of keepers.
const LEAF: &str = "plimsoll-keeper";

/// A mounted hierarchy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Which folder of the hierarchy is mounted.
    pub(super) root: String,
    pub(super) at: PathBuf,
    /// Controllers of a v1 hierarchy; empty for v2.
    pub(super) controllers: Vec<String>,
}

/// All hierarchies that can be written to, with this system's folder made in each.
pub(super) fn hierarchies(own: &str) -> Hierarchies {
    let mounts = mounts(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
    let memberships = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let v1 = |controller: &str| {
        let mount = mounts.iter().find(|mount| mount.controllers.iter().any(|one| one == controller))?;
        let path = membership(&memberships, controller)?;
        candidates(mount, path, own).into_iter().find_map(|base| {
            let folder = make(&base.join(own))?;
            // Leaves a group of this system that we may have been started in. Only then: the first move after a while
            // waits for the kernel.
            if path.split('/').any(|part| part == own) {
                let _ = write(&base, "cgroup.procs", "0");
            }
            Some(folder)
        })
    };
    let found = Hierarchies {
        unified: false,
        memory: v1("memory"),
        cpu: v1("cpu"),
        accounting: v1("cpuacct"),
        pids: v1("pids"),
    };
    if found != Hierarchies::default() {
        return found;
    }
    let unified = || {
        let mount = mounts.iter().find(|mount| mount.controllers.is_empty())?;
        let path = membership(&memberships, "")?;
        candidates(mount, path, own).into_iter().find_map(|base| unified(&base, own))
    };
    unified().unwrap_or_default()
}

/// Prepares a v2 folder. Controllers can be given to children only by a folder without members, so we move into a leaf.
fn unified(base: &Path, own: &str) -> Option<Hierarchies> {
    let folder = make(&base.join(own))?;
    let leaf = make(&base.join(LEAF))?;
    write(&leaf, "cgroup.procs", "0")?;
    for controller in ["memory", "cpu", "pids"] {
        let wanted = format!("+{controller}");
        let _ = write(base, "cgroup.subtree_control", &wanted);
        let _ = write(&folder, "cgroup.subtree_control", &wanted);
    }
    let given = fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap_or_default();
    let with = |controller: &str| given.split_whitespace().any(|one| one == controller).then(|| folder.clone());
    // Every v2 group can be counted (`cpu.stat`) and killed, whatever controllers it has.
    Some(Hierarchies {
        unified: true,
        memory: with("memory"),
        cpu: with("cpu"),
        accounting: Some(folder.clone()),
        pids: with("pids"),
    })
}

/// The folder, if it is there now and ours to use.
fn make(folder: &Path) -> Option<PathBuf> {
    match fs::create_dir(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(_) => return None,
    }
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).ok()?;
    Some(folder.to_owned())
}

/// Where to try: below the group that we are in, else below the mount. A group of this very system is left upwards; one
/// of another system is not: then we are one of its processes.
fn candidates(mount: &Mount, path: &str, own: &str) -> Vec<PathBuf> {
    let inside = path.strip_prefix(mount.root.trim_end_matches('/')).unwrap_or("");
    let mut below = mount.at.clone();
    let parts = inside.split('/').filter(|part| !part.is_empty());
    below.extend(parts.take_while(|part| *part != own && *part != LEAF));
    if below == mount.at { vec![below] } else { vec![below, mount.at.clone()] }
}

/// Our path in the hierarchy of that controller (`""`: v2), from `/proc/self/cgroup`.
pub(super) fn membership<'a>(text: &'a str, controller: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let controllers = parts.next()?;
        controllers.split(',').any(|one| one == controller).then(|| parts.next())?
    })
}

/// The control group mounts in `/proc/self/mountinfo`.
pub(super) fn mounts(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let left: Vec<&str> = left.split(' ').collect();
            let mut right = right.split(' ');
            let kind = right.next()?;
            let controllers = match kind {
                "cgroup2" => Vec::new(),
                "cgroup" => right.nth(1)?.split(',').filter(|option| *option != "rw").map(str::to_owned).collect(),
                _ => return None,
            };
            Some(Mount { root: (*left.get(3)?).to_owned(), at: PathBuf::from(left.get(4)?), controllers })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_both_versions_are_told_apart() {
        let text = "30 1 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
                    31 1 0:27 /box /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n\
                    32 1 0:28 / /proc rw - proc proc rw\n";
        let found = mounts(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].controllers, ["cpu", "cpuacct"]);
        assert_eq!((found[1].root.as_str(), found[1].controllers.len()), ("/box", 0));
    }

    #[test]
    fn a_keeper_started_in_a_group_of_its_own_system_goes_above_it() {
        let mount = Mount { root: "/".into(), at: "/sys/fs/cgroup".into(), controllers: vec![] };
        let path = "/user/unit/plimsoll-12ab/engine-1";
        assert_eq!(candidates(&mount, path, "plimsoll-12ab")[0], Path::new("/sys/fs/cgroup/user/unit"));
        let nested = candidates(&mount, path, "plimsoll-ffff");
        assert_eq!(nested[0], Path::new("/sys/fs/cgroup/user/unit/plimsoll-12ab/engine-1"));
        assert_eq!(membership("4:memory:/a/b\n0::/c:d\n", ""), Some("/c:d"));
        assert_eq!(membership("3:cpu,cpuacct:/a/b\n", "cpuacct"), Some("/a/b"));
    }
}
