//! Control groups: limits, figures and certain ends for a process and its descendants.
//!
//! Every start of a process has a group of its own, whose name is never used again: a process that is started again at once
//! must not be taken for its former life's kin.
//!
//! Invariant: only folders below `plimsoll-<cookie>` are ever written to or removed.

pub(crate) mod above;
mod find;

use crate::{proc, raw};
use plimsoll_wire::keeper::Limits;
use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Groups within groups are followed so deep.
const DEPTH_MAX: u32 = 8;

/// Where groups of this system are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hierarchies {
    /// One hierarchy for all (v2).
    unified: bool,
    memory: Option<PathBuf>,
    cpu: Option<PathBuf>,
    accounting: Option<PathBuf>,
    pids: Option<PathBuf>,
}

/// The group of one start of a process: a folder in each hierarchy (the same one under v2).
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Group {
    /// The folder's name.
    pub(crate) name: String,
    unified: bool,
    pub(crate) memory: Option<PathBuf>,
    cpu: Option<PathBuf>,
    pub(crate) accounting: Option<PathBuf>,
    pids: Option<PathBuf>,
}

/// What a group tells about its members, those that ended included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) oom: bool,
    pub(crate) memory_peak: Option<u64>,
    pub(crate) cpu_us: Option<u64>,
}

impl Hierarchies {
    /// Finds what can be written here, makes this system's own folder in it, and leaves the group that we were started in if
    /// that is one of this system's.
    pub(crate) fn find(cookie: &str) -> Self {
        find::hierarchies(&format!("plimsoll-{cookie}"))
    }

    fn folders(&self) -> BTreeSet<&PathBuf> {
        [&self.memory, &self.cpu, &self.accounting, &self.pids].into_iter().flatten().collect()
    }

    /// Makes moves between groups quick for the next few milliseconds, by one that changes nothing, aside.
    ///
    /// A process that enters a group takes a lock of the kernel's for all of them (`cgroup_threadgroup_rwsem`), and the first
    /// to take it for a while waits until each processor has noticed (10 to 15 ms on two cores); those right after it don't. Without this
    /// the first service of a system would wait for all of it before its program is executed.
    pub(crate) fn expect_moves(&self) {
        let Some(folder) = self.folders().into_iter().next() else { return };
        let Ok(door) = OpenOptions::new().write(true).open(folder.join("cgroup.procs")) else { return };
        raw::enter_aside(&door);
    }

    /// Makes a group with these limits; also which limits it can't enforce, by the names of [`Limits`]' fields.
    /// No group at all if there is nowhere to make one.
    pub(crate) fn create(&self, name: &str, limits: &Limits) -> (Option<Group>, Vec<String>) {
        let make = |parent: &Option<PathBuf>| {
            let folder = parent.as_ref()?.join(name);
            match fs::create_dir(&folder) {
                Ok(()) => Some(folder),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.unified => Some(folder),
                Err(_) => None,
            }
        };
        let wants_cpu = limits.cpu_milli.is_some() || limits.cpu_request_milli.is_some();
        let group = Group {
            name: name.to_owned(),
            unified: self.unified,
            memory: make(&self.memory),
            cpu: if wants_cpu || self.unified { make(&self.cpu) } else { None },
            accounting: make(&self.accounting),
            pids: make(&self.pids),
        };
        let unenforced = group.limit(limits);
        (group.is_somewhere().then_some(group), unenforced)
    }

    /// The group that a process of this system is in, if it is in one that we could have made.
    pub(crate) fn group_of(&self, pid: i32, cookie: &str) -> Option<Group> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let own = format!("plimsoll-{cookie}");
        let name = text.lines().find_map(|line| line.split('/').skip_while(|part| *part != own).nth(1))?;
        let there = |parent: &Option<PathBuf>| parent.as_ref().map(|path| path.join(name)).filter(|path| path.is_dir());
        let group = Group {
            name: name.to_owned(),
            unified: self.unified,
            memory: there(&self.memory),
            cpu: there(&self.cpu),
            accounting: there(&self.accounting),
            pids: there(&self.pids),
        };
        group.is_somewhere().then_some(group)
    }

    /// Removes groups of former lives, and ends what is left in them. `keep` are the names in use.
    pub(crate) fn clear(&self, keep: &BTreeSet<String>) {
        for folder in self.folders() {
            let Ok(entries) = fs::read_dir(folder) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if keep.contains(&name) || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                let group = Group {
                    name,
                    unified: self.unified,
                    pids: self.pids.as_ref().filter(|pids| *pids == folder).map(|_| entry.path()),
                    memory: Some(entry.path()),
                    ..Group::default()
                };
                group.kill(&mut BTreeSet::new());
                group.remove();
            }
        }
    }

    /// Removes this system's own folders; they stay if something is still in them.
    pub(crate) fn remove(&self) {
        for folder in self.folders() {
            let _ = fs::remove_dir(folder);
        }
    }
}

impl Group {
    fn folders(&self) -> BTreeSet<&PathBuf> {
        [&self.memory, &self.cpu, &self.accounting, &self.pids].into_iter().flatten().collect()
    }

    fn is_somewhere(&self) -> bool {
        !self.folders().is_empty()
    }

    /// Sets the limits; returns those that could not be.
    fn limit(&self, limits: &Limits) -> Vec<String> {
        let mut unenforced = Vec::new();
        let mut set = |field: &str, wanted: Option<u64>, set: &dyn Fn(u64) -> Option<()>| {
            if wanted.is_some_and(|value| set(value).is_none()) {
                unenforced.push(field.to_owned());
            }
        };
        set("memory_bytes", limits.memory_bytes, &|bytes| self.limit_memory(bytes));
        set("cpu_milli", limits.cpu_milli, &|milli| {
            let quota = milli.saturating_mul(100).max(1000);
            let folder = self.cpu.as_ref()?;
            if self.unified {
                write(folder, "cpu.max", &format!("{quota} 100000"))
            } else {
                write(folder, "cpu.cfs_period_us", "100000")?;
                write(folder, "cpu.cfs_quota_us", &quota.to_string())
            }
        });
        set("cpu_request_milli", limits.cpu_request_milli, &|milli| {
            let shares = (milli.saturating_mul(1024) / 1000).clamp(2, 262_144);
            let folder = self.cpu.as_ref()?;
            if self.unified {
                // The same translation as Kubernetes'.
                write(folder, "cpu.weight", &(1 + (shares - 2) * 9999 / 262_142).to_string())
            } else {
                write(folder, "cpu.shares", &shares.to_string())
            }
        });
        set("pids", limits.pids, &|pids| write(self.pids.as_ref()?, "pids.max", &pids.to_string()));
        unenforced
    }

    /// Swap would only hide that the limit is reached, so there is none, where that can be said.
    fn limit_memory(&self, bytes: u64) -> Option<()> {
        let folder = self.memory.as_ref()?;
        let bytes = bytes.to_string();
        if self.unified {
            write(folder, "memory.max", &bytes)?;
            let _ = write(folder, "memory.swap.max", "0");
        } else {
            write(folder, "memory.limit_in_bytes", &bytes)?;
            let _ = write(folder, "memory.memsw.limit_in_bytes", &bytes);
        }
        Some(())
    }

    /// The folder where memory is counted (v1), or the only one (v2), as the wire tells it.
    pub(crate) fn main_folder(&self) -> Option<String> {
        let folder =
            if self.unified { self.memory.as_ref().or(self.accounting.as_ref()) } else { self.memory.as_ref() };
        folder.map(|folder| folder.to_string_lossy().into_owned())
    }

    /// The folder where processor time is counted, if that is another one.
    pub(crate) fn accounting_folder(&self) -> Option<String> {
        let folder = self.accounting.as_ref().filter(|_| !self.unified);
        folder.map(|folder| folder.to_string_lossy().into_owned())
    }

    /// The open files by which a process enters, and the folders that they belong to.
    pub(crate) fn doors(&self) -> Vec<(PathBuf, File)> {
        let open = |folder: &PathBuf| {
            Some((folder.clone(), OpenOptions::new().write(true).open(folder.join("cgroup.procs")).ok()?))
        };
        self.folders().into_iter().filter_map(open).collect()
    }

    /// Forgets a folder that could not be entered, and removes it.
    pub(crate) fn leave(&mut self, folder: &Path) {
        for place in [&mut self.memory, &mut self.cpu, &mut self.accounting, &mut self.pids] {
            if place.as_deref() == Some(folder) {
                *place = None;
            }
        }
        let _ = fs::remove_dir(folder);
    }

    /// The processes in it that are not dead, ourselves excepted.
    pub(crate) fn members(&self) -> Vec<i32> {
        let mut members = BTreeSet::new();
        for folder in self.folders().into_iter().flat_map(|folder| with_inner(folder, DEPTH_MAX)) {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            members.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
        members.remove(&proc::own_pid());
        members.remove(&0);
        members.into_iter().collect()
    }

    /// Sends SIGKILL to all members; `known` grows by those that were not in it. Whether the group is empty already.
    pub(crate) fn kill(&self, known: &mut BTreeSet<i32>) -> bool {
        let members = self.members();
        if members.is_empty() {
            return true;
        }
        // Nobody is born in it any more: a fork bomb can't outrun us.
        if let Some(folder) = &self.pids {
            let _ = write(folder, "pids.max", "0");
        }
        let at_once = self.unified
            && self.folders().iter().next().is_some_and(|folder| write(folder, "cgroup.kill", "1").is_some());
        for pid in members {
            if at_once || proc::kill_if(pid, || self.has(pid)) {
                known.insert(pid);
            }
        }
        false
    }

    /// Whether that process is in this group, as the kernel says.
    pub(crate) fn has(&self, pid: i32) -> bool {
        fs::read_to_string(format!("/proc/{pid}/cgroup"))
            .is_ok_and(|text| text.lines().any(|line| line.split('/').any(|part| part == self.name)))
    }

    /// What its members did.
    pub(crate) fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        if let Some(folder) = &self.memory {
            let (events, peak) = if self.unified {
                ("memory.events", "memory.peak")
            } else {
                ("memory.oom_control", "memory.max_usage_in_bytes")
            };
            figures.oom = field(folder, events, "oom_kill").is_some_and(|count| count > 0);
            figures.memory_peak = read(folder, peak).and_then(|text| text.trim().parse().ok());
        }
        if let Some(folder) = &self.accounting {
            figures.cpu_us = if self.unified {
                field(folder, "cpu.stat", "usage_usec")
            } else {
                read(folder, "cpuacct.usage").and_then(|text| text.trim().parse::<u64>().ok()).map(|nanos| nanos / 1000)
            };
        }
        figures
    }

    /// Removes its folders; those that still have a member stay, and are removed at the next start.
    pub(crate) fn remove(&self) {
        for folder in self.folders().into_iter().flat_map(|folder| with_inner(folder, DEPTH_MAX)) {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// A folder and those in it, the innermost first: a member may have made groups of its own.
fn with_inner(folder: &Path, depth: u32) -> Vec<PathBuf> {
    let inner = fs::read_dir(folder).into_iter().flatten().flatten();
    let inner = inner.filter(|entry| depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut all: Vec<PathBuf> = inner.flat_map(|entry| with_inner(&entry.path(), depth - 1)).collect();
    all.push(folder.to_owned());
    all
}

fn read(folder: &Path, file: &str) -> Option<String> {
    fs::read_to_string(folder.join(file)).ok()
}

/// A control file takes one write, and must never be created.
fn write(folder: &Path, file: &str, text: &str) -> Option<()> {
    OpenOptions::new().write(true).open(folder.join(file)).ok()?.write_all(text.as_bytes()).ok()
}

/// The number after `name` in a file of `name number` lines.
fn field(folder: &Path, file: &str, name: &str) -> Option<u64> {
    read(folder, file)?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests;
