//! Ending everything, in order: services, gateways, the engine, ourselves.

use crate::{
    child::Part,
    keeper::{Due, Keeper},
    logs::Logs,
    proc,
};
use rustix::process::Signal;
use std::{
    fs,
    time::{Duration, Instant},
};

/// How long gateways, and then the engine, may take.
const GRACE: Duration = Duration::from_secs(5);

/// How often, at most, it is looked whether an orphan that was ended has left children of its own.
const ROUNDS: u32 = 100;

/// How far stopping has come.
pub(crate) struct Stopping {
    part: Part,
    until: Instant,
    killed: bool,
}

impl Keeper {
    /// Begins to stop, or shortens the time that is left.
    pub(crate) fn stop(&mut self, grace: Duration) {
        let until = Instant::now() + grace;
        match &mut self.stopping {
            Some(stopping) => stopping.until = stopping.until.min(until),
            None => {
                self.note("stopping");
                self.stopping = Some(Stopping { part: Part::Service, until, killed: false });
                self.signal_part(Part::Service, Signal::TERM, false);
            }
        }
        self.at(until, Due::Stop);
    }

    /// Goes on stopping; whether everything is stopped.
    pub(crate) fn proceed_stopping(&mut self) -> bool {
        loop {
            let Some(stopping) = &mut self.stopping else { return false };
            let part = stopping.part;
            let (late, killed) = (Instant::now() >= stopping.until, stopping.killed);
            if self.left(part).next().is_some() {
                if late && !killed {
                    self.signal_part(part, Signal::KILL, true);
                    if let Some(stopping) = &mut self.stopping {
                        stopping.killed = true;
                    }
                }
                return false;
            }
            let next = match part {
                Part::Service => Part::Gateway,
                Part::Gateway => Part::Engine,
                Part::Engine => return true,
            };
            let until = Instant::now() + GRACE;
            self.stopping = Some(Stopping { part: next, until, killed: false });
            self.at(until, Due::Stop);
            self.signal_part(next, Signal::TERM, false);
        }
    }

    fn signal_part(&self, part: Part, signal: Signal, whole: bool) {
        for child in self.left(part) {
            child.signal(signal, whole, &self.cookie);
        }
    }

    /// Ends whatever still carries our mark, and removes what only a running system has.
    pub(crate) fn remove_traces(&mut self) {
        self.kill_marked();
        self.hierarchies.clear(&std::collections::BTreeSet::new());
        self.hierarchies.remove();
        for path in [self.place.keeper_socket(), self.place.api_socket(), self.place.inventory(), self.place.lock()] {
            let _ = fs::remove_file(path);
        }
        let _ = fs::remove_dir_all(Logs::fifos(&self.place));
        self.note("stopped");
    }

    /// Our own orphans whose environment does not tell where they come from, and everything that does.
    fn kill_marked(&self) {
        let own = proc::own_pid();
        let meant = |pid: i32| {
            proc::stat(pid).is_some_and(|stat| {
                let ours = || proc::mark(pid).is_some_and(|mark| mark.split('/').next() == Some(self.cookie.as_str()));
                !stat.is_dead() && (stat.parent == own || ours())
            })
        };
        // The children of an orphan become ours only when it has ended.
        for _ in 0..ROUNDS {
            let left: Vec<i32> = proc::pids().into_iter().filter(|pid| meant(*pid)).collect();
            if left.is_empty() {
                return;
            }
            for pid in left {
                proc::kill_if(pid, || meant(pid));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
