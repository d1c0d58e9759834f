//! Whether a world keeps what must always be: looked at from outside, by arithmetic of its own.
//!
//! Invariant: nothing in here asks a decider, or is one: what is checked and what checks it can't share a mistake.
//! (`tests/tests/layers.rs` holds that these files never name `plimsoll_control`.)

mod bounds;
mod conservation;
mod liveness;
mod safety;

use crate::plan::Plan;
use plimsoll_model::rollout::Strategy;

/// So many violations are kept; one is enough to fail.
const KEPT: usize = 20;

/// All checkers, and what they found.
#[derive(Debug)]
pub(crate) struct Checkers {
    bounds: bounds::Bounds,
    conservation: conservation::Conservation,
    liveness: liveness::Liveness,
    found: Vec<String>,
}

impl Checkers {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            bounds: bounds::Bounds::new(plan),
            conservation: conservation::Conservation::default(),
            liveness: liveness::Liveness::new(plan),
            found: Vec::new(),
        }
    }

    /// What was found, the first ones.
    pub(crate) fn violations(&self) -> &[String] {
        &self.found
    }

    fn tell(&mut self, now: u64, found: Result<(), String>) {
        if let Err(what) = found
            && self.found.len() < KEPT
        {
            self.found.push(format!("at {:.3} s: {what}", now as f64 / 1e9));
        }
    }

    /// A client asked.
    #[inline]
    pub(crate) fn asked(&mut self) {
        self.conservation.asked += 1;
    }

    /// A client was answered, or told that there is no answer.
    #[inline]
    pub(crate) fn answered(&mut self) {
        self.conservation.answered += 1;
    }

    /// A request went to a replica. `tried`: all it went to, this one last.
    #[inline]
    pub(crate) fn sent(&mut self, (now, call): (u64, u32), (replica, serves): (u32, bool), tried: &[u32]) {
        if let Err(what) = safety::sent((call, replica), serves, tried) {
            self.tell(now, Err(what));
        }
    }

    /// A replica became ready, or is no longer.
    pub(crate) fn readiness(&mut self, (now, station): (u64, usize), replica: u32, ready: bool) {
        self.liveness.readiness((now, station), replica, ready);
    }

    /// So many replicas of all versions together are to run, `replicas` being wanted.
    pub(crate) fn sets(&mut self, (now, station): (u64, usize), total: u32, (replicas, how): (u32, &Strategy)) {
        self.liveness.sets((now, station), total);
        let found = self.bounds.sets(station, total, (replicas, how));
        self.tell(now, found);
    }

    /// An autoscaler asks for so many, the bounds in force being those.
    pub(crate) fn scaled(&mut self, (now, station): (u64, usize), replicas: u32, in_force: (u32, u32)) {
        let found = self.bounds.scaled(station, replicas, in_force);
        self.tell(now, found);
    }

    /// A fault began, or is over.
    pub(crate) fn fault(&mut self, now: u64, begins: bool) {
        self.liveness.fault(now, begins);
    }

    /// The end: `open` requests have no answer yet, the oldest from that moment; of which services some have no room.
    pub(crate) fn end(&mut self, now: u64, (open, oldest): (u64, Option<u64>), pending: &[bool]) {
        let found = self.conservation.end(open);
        self.tell(now, found);
        let found = self.liveness.oldest(now, oldest);
        self.tell(now, found);
        for found in self.liveness.end(now, pending) {
            self.tell(now, Err(found));
        }
    }
}
