//! A process that the keeper looks after, from its start until it is forgotten.

pub(crate) use plimsoll_wire::place::ENGINE;

use crate::{cgroup::Group, proc};
use plimsoll_wire::keeper::{Exit, Process, Spawn};
use rustix::{
    fd::OwnedFd,
    process::{Pid, Signal, kill_process_group, pidfd_send_signal},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// A process that ran so long had a good start.
const GOOD_RUN: Duration = Duration::from_secs(10);
/// The first wait between a bad end and the next start; before it, there is one start at once.
const DELAY_MIN: Duration = Duration::from_millis(100);
/// The longest wait.
const DELAY_MAX: Duration = Duration::from_secs(5);

/// One process.
pub(crate) struct Child {
    pub(crate) record: Record,
    pub(crate) pidfd: Option<OwnedFd>,
    /// We are its parent, so the kernel tells us how it ends.
    pub(crate) own: bool,
    /// Its token among the sources of events, if it isn't our own.
    pub(crate) token: Option<u64>,
    pub(crate) ending: Option<Ending>,
    pub(crate) began: Instant,
    /// The last wait before a start; `None` before the first bad end.
    pub(crate) delay: Option<Duration>,
    /// It will be started again.
    pub(crate) waits: bool,
    /// It was to be, once.
    pub(crate) retired: bool,
}

/// What is remembered of a process over a keeper's death.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) process: Process,
    /// How to start it again, if it is to be.
    pub(crate) again: Option<Box<Spawn>>,
    pub(crate) log: Option<String>,
    pub(crate) group: Option<Group>,
    /// How it ended, while its descendants are still being ended.
    pub(crate) ended: Option<Exit>,
}

/// The main process has ended; its descendants have not all.
pub(crate) struct Ending {
    pub(crate) known: BTreeSet<i32>,
    pub(crate) since: Instant,
    pub(crate) pause: Duration,
    /// Members of its session that started no later than this (clock ticks) are its own.
    pub(crate) session_until: u64,
}

/// What kind of part it plays, in the order in which a system is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Service,
    Gateway,
    Engine,
}

impl Child {
    pub(crate) fn new(record: Record, pidfd: Option<OwnedFd>, own: bool) -> Self {
        Self {
            record,
            pidfd,
            own,
            token: None,
            ending: None,
            began: Instant::now(),
            delay: None,
            waits: false,
            retired: false,
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.record.process.id
    }

    /// Its main process has not ended.
    pub(crate) fn runs(&self) -> bool {
        self.record.process.exit.is_none() && self.ending.is_none()
    }

    /// It, and all its descendants, are gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.record.process.exit.is_some()
    }

    pub(crate) fn part(&self) -> Part {
        let id = self.id();
        if id == ENGINE {
            Part::Engine
        } else if self.record.again.is_some()
            || self.retired
            || (id == "gateway" || id.starts_with("gateway-")) && !id.contains('.')
        {
            Part::Gateway
        } else {
            Part::Service
        }
    }

    /// It is never started again.
    pub(crate) fn retire(&mut self) {
        self.record.again = None;
        self.waits = false;
        self.retired = true;
    }

    /// How long to wait before it is started again.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let next = match self.delay {
            _ if self.began.elapsed() >= GOOD_RUN => Duration::ZERO,
            None => Duration::ZERO,
            Some(last) => (last * 2).clamp(DELAY_MIN, DELAY_MAX),
        };
        self.delay = Some(next);
        next
    }

    /// Sends a signal to its main process; `whole`, to its descendants too.
    pub(crate) fn signal(&self, signal: Signal, whole: bool, cookie: &str) {
        if self.runs()
            && let Some(pidfd) = &self.pidfd
        {
            let _ = pidfd_send_signal(pidfd, signal);
        }
        if !whole || self.is_gone() {
            return;
        }
        let main = self.record.process.pid;
        match &self.record.group {
            Some(group) => {
                for pid in group.members().into_iter().filter(|pid| *pid != main) {
                    proc::signal_if(pid, signal, || group.has(pid));
                }
            }
            None => {
                let until = if self.runs() { u64::MAX } else { self.ending.as_ref().map_or(0, |e| e.session_until) };
                for pid in self.descendants(cookie, until).into_iter().filter(|pid| *pid != main) {
                    proc::signal_if(pid, signal, || self.is_descendant(pid, cookie, until));
                }
            }
        }
    }

    /// Sends SIGKILL to its descendants; those that it was sent to are added to `known`. Whether there are none.
    pub(crate) fn kill_descendants(&self, cookie: &str, known: &mut BTreeSet<i32>, session_until: u64) -> bool {
        if let Some(group) = &self.record.group {
            return group.kill(known);
        }
        let descendants = self.descendants(cookie, session_until);
        for pid in &descendants {
            if proc::kill_if(*pid, || self.is_descendant(*pid, cookie, session_until)) {
                known.insert(*pid);
            }
        }
        descendants.is_empty()
    }

    /// Sends SIGKILL to its process group. Only while it is not reaped: until then no other group has that number.
    pub(crate) fn kill_group(&self) {
        if let Some(pid) = Pid::from_raw(self.record.process.pid) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    fn descendants(&self, cookie: &str, until: u64) -> Vec<i32> {
        proc::pids().into_iter().filter(|pid| self.is_descendant(*pid, cookie, until)).collect()
    }

    /// By the mark in its environment, or by its session where that can't be another one of the same number.
    fn is_descendant(&self, pid: i32, cookie: &str, until: u64) -> bool {
        if pid == proc::own_pid() {
            return false;
        }
        let Some(stat) = proc::stat(pid).filter(|stat| !stat.is_dead()) else { return false };
        let process = &self.record.process;
        if process.pid > 0 && stat.session == process.pid && stat.start >= process.start && stat.start <= until {
            return true;
        }
        let mark = proc::mark(pid);
        mark.as_deref().and_then(|mark| mark.strip_prefix(cookie)?.strip_prefix('/')) == Some(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_nothing_to_five_seconds_and_start_over_after_a_good_run() {
        let process = Process {
            id: "x".into(),
            pid: 0,
            start: 0,
            started_at: 0,
            cgroup: None,
            cpu_cgroup: None,
            unenforced: vec![],
            exit: None,
            respawns: 0,
        };
        let record = Record { process, again: None, log: None, group: None, ended: None };
        let mut child = Child::new(record, None, true);
        let waits: Vec<u128> = (0..9).map(|_| child.next_delay().as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        if let Some(long_ago) = Instant::now().checked_sub(GOOD_RUN) {
            child.began = long_ago;
            assert_eq!(child.next_delay(), Duration::ZERO);
        }
    }
}
