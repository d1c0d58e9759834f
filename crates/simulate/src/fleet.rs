//! Machines, virtual machines and tasks: the scenario `LargeScaleExample` of CloudSim Plus (since 7.3.1), for comparison.
//!
//! Source of the parameters: that example. Hosts of 16 processors of 1,000 MIPS and 2,048 MB; four virtual machines of 4
//! processors and 512 MB for each host, placed where most processors are free; one task of 2 processors and 10,000
//! million instructions for each of them, given out in turn. The example itself has 200,000 hosts; 20,000 are what is
//! usually published.

use crate::wheel::Wheel;
use plimsoll_control::route::version::mixed;
use serde::Serialize;

const HOST_CORES: usize = 16;
const HOST_MEMORY: u32 = 2048;
const MIPS: u64 = 1000;
const GUESTS_OF_HOST: u32 = 4;
const GUEST_CORES: usize = HOST_CORES / 4;
const GUEST_MEMORY: u32 = 512;
const TASK_CORES: usize = GUEST_CORES / 2;
const TASK_LENGTH: u64 = 10 * MIPS;
/// A second.
const SECOND: u64 = 1_000_000_000;
/// How long a virtual machine takes until it can work, and a task until it is there.
const HANDING_OVER: u64 = SECOND / 10;

/// What became of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetReport {
    /// Machines.
    pub hosts: u32,
    /// Virtual machines that found a place.
    pub placed: u32,
    /// Those that did not.
    pub refused: u32,
    /// Tasks that were finished.
    pub finished: u32,
    /// When the last one was, in nanoseconds.
    pub ended_ns: u64,
    /// How many events it took.
    pub events: u64,
    /// The same for the same course of events.
    pub digest: u64,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Ask { guest: u32 },
    Ready { guest: u32 },
    Begin { task: u32 },
    Done { task: u32 },
}

/// A fleet at work.
struct Fleet {
    wheel: Wheel<Event>,
    /// Hosts by their free processors, so that one with most of them is found at once.
    by_free: Vec<Vec<u32>>,
    free_memory: Vec<u32>,
    /// Which host each virtual machine is on, how many processors of it are free, and who waits for them.
    guests: Vec<(u32, usize, Vec<u32>)>,
    report: FleetReport,
}

/// Plays the scenario with so many hosts.
#[must_use]
pub fn fleet(hosts: u32) -> FleetReport {
    let mut by_free = vec![Vec::new(); HOST_CORES + 1];
    by_free[HOST_CORES] = (0..hosts).rev().collect();
    let count = hosts * GUESTS_OF_HOST;
    let report =
        FleetReport { hosts, placed: 0, refused: 0, finished: 0, ended_ns: 0, events: 0, digest: mixed(hosts.into()) };
    let mut fleet = Fleet {
        wheel: Wheel::default(),
        by_free,
        free_memory: vec![HOST_MEMORY; hosts as usize],
        guests: vec![(u32::MAX, GUEST_CORES, Vec::new()); count as usize],
        report,
    };
    (0..count).for_each(|guest| fleet.wheel.push(0, Event::Ask { guest }));
    while let Some((at, event)) = fleet.wheel.pop(u64::MAX) {
        fleet.report.events += 1;
        fleet.happen(at, event);
    }
    fleet.report
}

impl Fleet {
    fn happen(&mut self, at: u64, event: Event) {
        let number = match event {
            Event::Ask { guest } => self.place(guest),
            Event::Ready { guest } => {
                // Tasks are given out in turn: each virtual machine gets the one of its number.
                self.wheel.push(at + HANDING_OVER, Event::Begin { task: guest });
                guest
            }
            Event::Begin { task } => self.begin(task),
            Event::Done { task } => self.done(at, task),
        };
        self.report.digest = mixed(self.report.digest ^ at).wrapping_add(number.into());
    }

    /// On a host with most free processors.
    fn place(&mut self, guest: u32) -> u32 {
        for free in (GUEST_CORES..=HOST_CORES).rev() {
            let Some(host) = self.by_free[free].pop() else { continue };
            let memory = &mut self.free_memory[host as usize];
            if *memory < GUEST_MEMORY {
                // It is full whatever its processors are.
                continue;
            }
            *memory -= GUEST_MEMORY;
            self.by_free[free - GUEST_CORES].push(host);
            self.guests[guest as usize].0 = host;
            self.report.placed += 1;
            self.wheel.push(self.wheel.now() + HANDING_OVER, Event::Ready { guest });
            return host;
        }
        self.report.refused += 1;
        u32::MAX
    }

    /// A task begins where enough processors are free, or waits.
    fn begin(&mut self, task: u32) -> u32 {
        let (host, free, waiting) = &mut self.guests[task as usize];
        if *free < TASK_CORES {
            waiting.push(task);
        } else {
            *free -= TASK_CORES;
            self.wheel.push(self.wheel.now() + TASK_LENGTH * SECOND / MIPS, Event::Done { task });
        }
        *host
    }

    fn done(&mut self, at: u64, task: u32) -> u32 {
        let (host, free, waiting) = &mut self.guests[task as usize];
        *free += TASK_CORES;
        if let Some(next) = waiting.pop() {
            self.wheel.push(at, Event::Begin { task: next });
        }
        self.report.finished += 1;
        self.report.ended_ns = at;
        *host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_is_placed_and_every_task_is_done() {
        let report = fleet(200);
        assert_eq!((report.placed, report.refused, report.finished), (800, 0, 800));
        assert_eq!(report.ended_ns, 10_200_000_000);
        assert_eq!(report, fleet(200));
    }
}
