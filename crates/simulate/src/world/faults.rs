//! What goes wrong, and when it is over.

use super::{Event, Word, World, processes::CAUSE_CRASH, state::Stage};
use crate::plan::{Place, ns};
use plimsoll_model::simulation::FaultKind;

impl World {
    /// A fault begins, or is over.
    pub(super) fn fault(&mut self, index: usize, begins: bool) {
        let (hit, fault) = self.plan.faults[index].clone();
        self.note(Word::Fault, index as u32, u32::from(begins));
        let now = self.wheel.now();
        self.checkers.fault(now, begins);
        if begins {
            self.wheel.push(now + ns(fault.lasts), Event::Fault { index: index as u16, begins: false });
        }
        match (fault.kind, hit) {
            (FaultKind::Zone, Place::Zone(zone)) => self.lose_zone(zone, begins),
            (FaultKind::Partition, Place::Zone(zone)) => self.cut_zone(zone, begins),
            (kind, Place::Station(station)) => self.hit(kind, station, (fault.count, fault.times_milli), begins),
            _ => {}
        }
    }

    /// The machines of a zone are gone, or back.
    fn lose_zone(&mut self, zone: usize, begins: bool) {
        self.gone[zone] = begins;
        if !begins {
            return self.place_waiting();
        }
        for index in 0..self.replicas.len() {
            let replica = &self.replicas[index];
            if replica.node.is_none() || replica.zone != zone {
                continue;
            }
            if replica.alive {
                self.exit(index as u32, replica.process, CAUSE_CRASH);
            } else if replica.stage == Stage::BackOff {
                // Its back-off goes on; then it needs another machine.
                self.leave_node(index as u32);
            }
        }
    }

    /// A zone can't be reached, or can be again: then what waited on the way arrives.
    fn cut_zone(&mut self, zone: usize, begins: bool) {
        self.unreachable[zone] = begins;
        if begins {
            return;
        }
        for index in 0..self.replicas.len() {
            if !self.replicas[index].clogged {
                self.flush(index as u32);
            }
        }
    }

    /// The replica of a service whose process has run for longest dies.
    pub(crate) fn kill_one(&mut self, station: usize) {
        self.hit(FaultKind::Crash, station, (1, 1000), true);
    }

    fn hit(&mut self, kind: FaultKind, station: usize, (count, times_milli): (u32, u64), begins: bool) {
        let is_store = self.plan.stations[station].service.is_none();
        // Those whose processes have run for longest; what was hit and has been replaced meanwhile has nothing left to be
        // undone.
        let mut members = self.stations[station].members.clone();
        members.sort_by_key(|index| self.replicas[*index as usize].started_at);
        let mut left = count.max(1);
        for index in members {
            let replica = &mut self.replicas[index as usize];
            let process = replica.process;
            match (kind, begins) {
                (_, true) if left == 0 => break,
                (_, true) if !replica.alive || !matches!(replica.stage, Stage::Running | Stage::Restarting) => continue,
                (FaultKind::Crash, true) if is_store => self.lose_store(index),
                (FaultKind::Crash, true) => self.exit(index, process, CAUSE_CRASH),
                (FaultKind::Crash, false) if is_store => self.regain_store(index),
                (FaultKind::Hang, true) => replica.hung = true,
                (FaultKind::Hang, false) => self.wake(index),
                (FaultKind::Slow, true) => replica.slow_milli = times_milli,
                (FaultKind::Slow, false) => replica.slow_milli = 1000,
                (FaultKind::Clog, true) => replica.clogged = true,
                (FaultKind::Clog, false) => {
                    replica.clogged = false;
                    self.flush(index);
                }
                _ => {}
            }
            left = left.saturating_sub(1);
        }
    }

    fn lose_store(&mut self, index: u32) {
        self.replicas[index as usize].alive = false;
        self.break_inside(index);
    }

    fn regain_store(&mut self, index: u32) {
        self.replicas[index as usize].alive = true;
        self.turn_at(self.wheel.now());
    }

    /// What hung goes on.
    fn wake(&mut self, index: u32) {
        let replica = &mut self.replicas[index as usize];
        replica.hung = false;
        for (call, generation) in std::mem::take(&mut replica.parked) {
            self.worked(call, generation);
        }
        self.feed(index);
    }

    /// A link is free again: what waited on it arrives, in an order of chance. What comes from, or goes to, a zone that
    /// still can't be reached goes on waiting.
    fn flush(&mut self, index: u32) {
        let stuck = std::mem::take(&mut self.replicas[index as usize].stuck);
        let zone = self.replicas[index as usize].zone;
        let is_cut = |(call, _, _): &(u32, u32, bool)| self.is_cut(self.calls[*call as usize].zone.into(), zone);
        let (waiting, mut stuck): (Vec<_>, Vec<_>) = stuck.into_iter().partition(is_cut);
        self.replicas[index as usize].stuck = waiting;
        while !stuck.is_empty() {
            let place = self.choices.below(stuck.len() as u64) as usize;
            let (call, generation, back) = stuck.swap_remove(place);
            if back {
                self.answered(call, generation);
            } else {
                self.reach(call, generation);
            }
        }
    }
}
