//! Replicas come, are probed, die and go: what the engine and the keeper do.

use super::{
    Event, NONE, Word, World, instant, nanosecond,
    state::{Replica, Stage},
};
use crate::plan::{MS, ns};
use plimsoll_control::{
    health::{self, ProbeKind},
    restart::{self, ExitSeen},
    termination,
};
use plimsoll_model::{Instant, ReplicaId, probe::Probe};
use std::collections::VecDeque;

/// How long an attempt of a probe takes that is answered, or refused.
const PROBE_NS: u64 = MS;
/// How long a process takes to end after it was asked to.
const END_NS: u64 = 20 * MS;

/// Why a process ends.
pub(super) const CAUSE_STOP: u8 = 0;
pub(super) const CAUSE_CRASH: u8 = 1;

impl World {
    /// Stores are there from the beginning, and are not decided about.
    pub(super) fn begin_stores(&mut self) {
        for station in self.plan.services()..self.plan.stations.len() {
            let replica = self.new_replica(station, 0, Stage::Running);
            let target = &mut self.replicas[replica as usize];
            target.alive = true;
            target.was_ready = true;
            target.ready_since = Some(instant(0));
        }
    }

    /// A new replica of a service: it is placed and started.
    pub(super) fn create(&mut self, station: usize, version: usize) {
        let replica = self.new_replica(station, version, Stage::Pending);
        self.stations[station].begun = true;
        self.launch(replica, 0);
    }

    fn new_replica(&mut self, station: usize, version: usize, stage: Stage) -> u32 {
        let own = &mut self.stations[station];
        own.serials += 1;
        let id = ReplicaId::new(self.plan.stations[station].name.clone(), own.serials);
        let index = self.replicas.len() as u32;
        own.members.push(index);
        let now = instant(self.wheel.now());
        self.replicas.push(Replica {
            id,
            station,
            version,
            node: None,
            zone: 0,
            stage,
            process: 0,
            created_at: now,
            started_at: now,
            warm_at: 0,
            alive: false,
            hung: false,
            clogged: false,
            slow_milli: 1000,
            health: health::Memory::default(),
            health_due: u64::MAX,
            outcomes: Vec::new(),
            under_way: Vec::new(),
            ready_since: None,
            was_ready: false,
            readiness_at: now,
            restart: restart::Memory::default(),
            restarts: 0,
            ending: None,
            weight: 1000,
            place: NONE,
            failures: 0,
            answers: 0,
            answers_weighed: 0,
            in_flight: 0,
            busy: 0,
            queue: VecDeque::new(),
            inside: Vec::new(),
            stuck: Vec::new(),
            parked: Vec::new(),
            cpu_ns: 0,
            marks: VecDeque::new(),
        });
        index
    }

    /// Starts the process of a replica, if there is room for it.
    pub(super) fn launch(&mut self, replica: u32, process: u32) {
        let target = &self.replicas[replica as usize];
        if target.process != process || !matches!(target.stage, Stage::Pending | Stage::BackOff) {
            return;
        }
        let station = target.station;
        if target.node.is_none() && !self.place(replica) {
            self.replicas[replica as usize].stage = Stage::Pending;
            return;
        }
        let now = self.wheel.now();
        let target = &mut self.replicas[replica as usize];
        target.stage = Stage::Running;
        target.process += 1;
        target.started_at = instant(now);
        target.warm_at = now + self.plan.stations[station].start_ns;
        target.alive = true;
        target.hung = false;
        target.failures = 0;
        let process = target.process;
        self.note(Word::Spawned, replica, process);
        self.view(station);
        self.consider_health(replica, process);
    }

    /// Puts a replica on the machine with the most room, in a zone with the fewest of its service; where there are no
    /// machines in the scenario there is always room.
    fn place(&mut self, replica: u32) -> bool {
        if self.plan.nodes.is_empty() {
            return true;
        }
        let station = self.replicas[replica as usize].station;
        let own = &self.plan.stations[station];
        let (cpu, memory) = (own.cpu_request.0, own.memory_request.0);
        let mut in_zone = vec![0_u32; self.plan.zones.len()];
        for member in &self.stations[station].members {
            let member = &self.replicas[*member as usize];
            in_zone[member.zone] += u32::from(member.node.is_some());
        }
        let fits = |(place, left): &(usize, &super::state::Node)| {
            !self.gone[self.plan.nodes[*place].zone] && left.cpu_left >= cpu && left.memory_left >= memory
        };
        let best = self.nodes.iter().enumerate().filter(fits).max_by_key(|(place, left)| {
            let few = u32::MAX - in_zone[self.plan.nodes[*place].zone];
            (few, left.cpu_left, usize::MAX - place)
        });
        let Some((place, _)) = best else { return false };
        self.nodes[place].cpu_left -= cpu;
        self.nodes[place].memory_left -= memory;
        let target = &mut self.replicas[replica as usize];
        (target.node, target.zone) = (Some(place), self.plan.nodes[place].zone);
        true
    }

    /// Gives back the room of a replica that has gone; whoever waits for room may take it.
    pub(super) fn leave_node(&mut self, replica: u32) {
        let target = &mut self.replicas[replica as usize];
        let Some(node) = target.node.take() else { return };
        let own = &self.plan.stations[target.station];
        self.nodes[node].cpu_left += own.cpu_request.0;
        self.nodes[node].memory_left += own.memory_request.0;
        self.place_waiting();
    }

    /// Whoever waits for room is asked again.
    pub(super) fn place_waiting(&mut self) {
        let pending = |(_, one): &(usize, &Replica)| one.stage == Stage::Pending;
        let waiting: Vec<(usize, u32)> =
            self.replicas.iter().enumerate().filter(pending).map(|(index, one)| (index, one.process)).collect();
        for (index, process) in waiting {
            self.wheel.push(self.wheel.now(), Event::Launch { replica: index as u32, process });
        }
    }

    /// Decides about the probes of one replica.
    pub(super) fn consider_health(&mut self, index: u32, process: u32) {
        let now = self.wheel.now();
        let replica = &mut self.replicas[index as usize];
        if replica.process != process || replica.stage != Stage::Running {
            return;
        }
        let Some(service) = &self.plan.stations[replica.station].service else { return };
        replica.health_due = u64::MAX;
        let seen = health::Seen {
            at: instant(now),
            started_at: replica.started_at,
            outcomes: std::mem::take(&mut replica.outcomes),
            under_way: replica.under_way.clone(),
            deleting: false,
            // An imagined process has no threads to look at.
            look: None,
        };
        let decision = health::decide(&service.probes, &mut replica.health, &seen);
        let before = replica.ready_since.is_some();
        replica.ready_since = decision.ready_since;
        if decision.ready != before {
            replica.was_ready |= decision.ready;
            replica.readiness_at = instant(now);
            self.note(if decision.ready { Word::Ready } else { Word::Unready }, index, process);
            let station = self.replicas[index as usize].station;
            self.checkers.readiness((now, station), index, decision.ready);
            self.view(station);
            self.turn_at(now);
        }
        if let health::Act::Restart { .. } = decision.act {
            self.begin_end(index, true);
            return;
        }
        for kind in decision.attempt {
            self.attempt(index, kind);
        }
        if let Some(at) = decision.again_at {
            let replica = &mut self.replicas[index as usize];
            let due = nanosecond(at).max(now);
            if due < replica.health_due {
                replica.health_due = due;
                self.wheel.push(due, Event::Health { replica: index, process });
            }
        }
    }

    fn probe(&self, index: u32, kind: ProbeKind) -> Option<&Probe> {
        let probes = &self.plan.stations[self.replicas[index as usize].station].service.as_ref()?.probes;
        match kind {
            ProbeKind::Startup => probes.startup.as_ref(),
            ProbeKind::Liveness => probes.liveness.as_ref(),
            ProbeKind::Readiness => probes.readiness.as_ref(),
        }
    }

    /// Begins one attempt of a probe. A process that hangs, or can't be reached, is waited for as long as the probe says.
    fn attempt(&mut self, index: u32, kind: ProbeKind) {
        let Some(timeout) = self.probe(index, kind).map(|probe| ns(probe.timeout)) else { return };
        let replica = &self.replicas[index as usize];
        let mute = replica.hung || replica.clogged || self.is_cut(0, replica.zone);
        let takes = if mute { timeout.max(PROBE_NS) } else { PROBE_NS + 2 * self.plan.way_ns(0, replica.zone) };
        let process = replica.process;
        self.replicas[index as usize].under_way.push(kind);
        self.wheel.push(self.wheel.now() + takes, Event::Probed { replica: index, process, kind: kind as u8 });
    }

    /// An attempt of a probe ends: it has passed if the process can answer now.
    pub(super) fn probed(&mut self, index: u32, process: u32, kind: u8) {
        let now = self.wheel.now();
        let cut = self.is_cut(0, self.replicas[index as usize].zone);
        let replica = &mut self.replicas[index as usize];
        if replica.process != process || replica.stage != Stage::Running {
            return;
        }
        let kind = [ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness][usize::from(kind.min(2))];
        let passed = replica.alive && replica.warm_at <= now && !replica.hung && !replica.clogged && !cut;
        replica.under_way.retain(|one| *one != kind);
        replica.outcomes.push(health::Outcome { probe: kind, passed, at: instant(now) });
        self.consider_health(index, process);
    }

    /// A replica is to end: for good, or to be started again because a probe failed.
    pub(super) fn begin_end(&mut self, index: u32, restarts: bool) {
        let replica = &mut self.replicas[index as usize];
        let now = instant(self.wheel.now());
        let station = replica.station;
        match replica.stage {
            Stage::Running => {}
            Stage::Restarting if !restarts => {
                replica.stage = Stage::Stopping;
                return;
            }
            Stage::Pending | Stage::BackOff if !restarts => {
                self.remove(index);
                return;
            }
            _ => return,
        }
        let Some(service) = &self.plan.stations[station].service else { return };
        replica.stage = if restarts { Stage::Restarting } else { Stage::Stopping };
        let grace = service.termination_grace;
        let policy = termination::Policy { grace, hook: false, drain: !restarts };
        replica.ending = Some((policy, termination::Memory::asked(now)));
        let process = replica.process;
        self.note(Word::Stopping, index, u32::from(restarts));
        self.checkers.readiness((self.wheel.now(), station), index, false);
        self.view(station);
        self.consider_ending(index, process);
    }

    /// Decides about the next step of an end.
    pub(super) fn consider_ending(&mut self, index: u32, process: u32) {
        let now = self.wheel.now();
        let replica = &mut self.replicas[index as usize];
        if replica.process != process || !replica.alive {
            return;
        }
        let in_flight = u64::from(replica.in_flight);
        let Some((policy, memory)) = &mut replica.ending else { return };
        let seen = termination::Seen { at: instant(now), unrouted: true, in_flight, hook_done: true };
        let decision = termination::decide(policy, memory, &seen);
        if let Some(at) = decision.again_at {
            self.wheel.push(nanosecond(at), Event::Ending { replica: index, process });
        }
        let hung = self.replicas[index as usize].hung;
        match decision.act {
            // What hangs does not hear the signal.
            termination::Act::Terminate if hung => {}
            termination::Act::Terminate => {
                self.wheel.push(now + END_NS, Event::Exit { replica: index, process, cause: CAUSE_STOP });
            }
            termination::Act::Kill => self.exit(index, process, CAUSE_STOP),
            termination::Act::Wait | termination::Act::Hook => {}
        }
    }

    /// A process ends; `restart` says what follows.
    pub(super) fn exit(&mut self, index: u32, process: u32, cause: u8) {
        let now = self.wheel.now();
        let replica = &mut self.replicas[index as usize];
        if replica.process != process || !replica.alive {
            return;
        }
        let station = replica.station;
        replica.alive = false;
        self.unroute(index);
        self.note(Word::Exited, index, process);
        self.checkers.readiness((now, station), index, false);
        let replica = &mut self.replicas[index as usize];
        let (by_us, probe_kill) = (replica.stage == Stage::Stopping, replica.stage == Stage::Restarting);
        let at = instant(now);
        let seen = restart::Seen {
            at,
            exited_at: at,
            exit: ExitSeen {
                signal: Some(if cause == CAUSE_STOP { 15 } else { 9 }),
                by_us,
                probe_kill,
                ..ExitSeen::default()
            },
            ready_for: replica.ready_since.map(|since| at.since(since)).unwrap_or_default(),
            ran_for: at.since(replica.started_at),
        };
        let restart = self.plan.stations[station].service.as_ref().map(|service| service.restart).unwrap_or_default();
        let policy = restart::Policy { restart, ..restart::Policy::default() };
        let decision = restart::decide(&policy, &mut replica.restart, &seen);
        forget_process(replica, at);
        self.break_inside(index);
        if by_us {
            self.remove(index);
        } else {
            self.after_end(index, decision.act);
        }
        self.turn_at(now);
    }

    fn after_end(&mut self, index: u32, act: restart::Act) {
        let now = self.wheel.now();
        let replica = &mut self.replicas[index as usize];
        let (station, process) = (replica.station, replica.process);
        let until = match act {
            restart::Act::Never => {
                self.remove(index);
                return;
            }
            restart::Act::Now => now,
            restart::Act::At(until) => nanosecond(until),
        };
        replica.stage = Stage::BackOff;
        replica.restarts += 1;
        self.figures.services.get_mut(station).into_iter().for_each(|own| own.restarts += 1);
        self.view(station);
        // Its machine is gone: it needs another one.
        let zone = self.replicas[index as usize].zone;
        if self.gone[zone] {
            self.leave_node(index);
        }
        self.wheel.push(until.max(now), Event::Launch { replica: index, process });
    }

    /// A replica is no more.
    fn remove(&mut self, index: u32) {
        let replica = &mut self.replicas[index as usize];
        replica.stage = Stage::Gone;
        let station = replica.station;
        self.stations[station].members.retain(|one| *one != index);
        self.leave_node(index);
        self.view(station);
        self.turn_at(self.wheel.now());
    }
}

/// What was true of a process is not of the next one.
fn forget_process(replica: &mut Replica, at: Instant) {
    replica.ready_since = None;
    replica.was_ready = false;
    replica.readiness_at = at;
    replica.ending = None;
    replica.outcomes.clear();
    replica.under_way.clear();
    replica.health_due = u64::MAX;
    replica.hung = false;
    replica.marks.clear();
}
