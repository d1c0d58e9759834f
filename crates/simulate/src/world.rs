//! A world in events: every request, every probe, every decision at its own nanosecond.
//!
//! The world only observes and acts; what is chosen is chosen by `control`, by the same functions that engine and gateway
//! ask. Draws come from seeded streams, and times are whole numbers, so that the same plan and seed give the same trace on
//! every machine.
//!
//! Invariant: nothing here reads a clock or iterates over anything without an order.

mod arrivals;
mod faults;
mod gateway;
mod observe;
mod processes;
mod requests;
mod scaling;
mod state;
mod synthetic;
mod turn;

pub use observe::{Figures, Outcome, ServiceFigures, SourceFigures};

use crate::{
    checkers::Checkers,
    draws::{Draws, folded},
    plan::{MS, Plan, SECOND, ns},
    times::TimeTable,
    wheel::Wheel,
};
use plimsoll_control::route::version::mixed;
use plimsoll_model::{Instant, Millis};
use state::{Call, Node, Replica, Source, Station};

/// No place in a list.
pub(crate) const NONE: u32 = u32::MAX;

/// How often shares are weighed and time-outs are looked for, as the gateway does.
const WEIGH_EVERY: u64 = 100 * MS;
/// How often traffic is told to autoscalers that go by it, as the engine asks.
const SAMPLE_EVERY: u64 = 50 * MS;
/// How often figures of releases are told.
const SPAN_EVERY: u64 = SECOND;

/// What happens at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The next request of an open stream.
    Arrive { source: u16, turn: u32 },
    /// The course of a stream changes.
    Change { source: u16 },
    /// A person has thought.
    Thought { source: u16, user: u32 },
    /// A request reaches its replica.
    Reach { call: u32, generation: u32 },
    /// A replica has done its own part of a request.
    Worked { call: u32, generation: u32 },
    /// An answer reaches whoever asked.
    Answered { call: u32, generation: u32 },
    /// A connection could not be made in time.
    Unconnected { call: u32, generation: u32 },
    /// Shares, time-outs.
    Weigh,
    /// What gateways saw, for autoscalers.
    Sample,
    /// What replicas used, for autoscalers.
    Scrape,
    /// An autoscaler is asked.
    Scale { station: u16 },
    /// What versions answered, for releases.
    Span,
    /// Both versions of a service are asked what nobody else asked.
    Synthetic { station: u16 },
    /// Rollouts and replicas are decided about.
    Turn,
    /// A replica's probes are decided about.
    Health { replica: u32, process: u32 },
    /// An attempt of a probe ends.
    Probed { replica: u32, process: u32, kind: u8 },
    /// A back-off is over, or a place may be free.
    Launch { replica: u32, process: u32 },
    /// A replica's end is decided about.
    Ending { replica: u32, process: u32 },
    /// A process ends.
    Exit { replica: u32, process: u32, cause: u8 },
    /// A new version is asked for.
    Release { index: u16 },
    /// A fault begins, or is over.
    Fault { index: u16, begins: bool },
    /// A step of the course of figures.
    Step,
    /// The warm-up is over.
    Count,
}

/// A world that runs.
#[derive(Debug)]
pub struct World {
    pub(crate) plan: Plan,
    pub(crate) wheel: Wheel<Event>,
    pub(crate) sources: Vec<Source>,
    pub(crate) stations: Vec<Station>,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) calls: Vec<Call>,
    pub(crate) free_calls: Vec<u32>,
    /// Zones that can't be reached now, and those whose machines are gone.
    pub(crate) unreachable: Vec<bool>,
    pub(crate) gone: Vec<bool>,
    pub(crate) unit: TimeTable,
    pub(crate) choices: Draws,
    pub(crate) failing: Draws,
    /// A turn is due at this moment already.
    pub(crate) turning: bool,
    /// The next turn that somebody asked for.
    pub(crate) turn_due: u64,
    pub(crate) checkers: Checkers,
    pub(crate) figures: Figures,
    /// How far it was played, in nanoseconds.
    reached: u64,
    events: u64,
    digest: u64,
    trace: Option<String>,
}

impl World {
    /// A world at its first moment.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let (sources, stations) = (state::sources(&plan), state::stations(&plan));
        let nodes = plan.nodes.iter().map(|node| Node { cpu_left: node.cpu, memory_left: node.memory }).collect();
        let zones = plan.zones.len();
        let mut world = Self {
            wheel: Wheel::default(),
            sources,
            stations,
            replicas: Vec::new(),
            nodes,
            calls: Vec::new(),
            free_calls: Vec::new(),
            unreachable: vec![false; zones],
            gone: vec![false; zones],
            unit: TimeTable::exponential(1e9),
            choices: Draws::of(plan.seed, "gateway"),
            failing: Draws::of(plan.seed, "errors"),
            turning: false,
            turn_due: u64::MAX,
            checkers: Checkers::new(&plan),
            figures: Figures::new(&plan),
            reached: 0,
            events: 0,
            digest: mixed(plan.seed),
            trace: None,
            plan,
        };
        world.begin();
        world
    }

    /// Also writes a line for everything that happens; see [`World::take_trace`].
    #[must_use]
    pub fn traced(mut self) -> Self {
        self.trace = Some(String::new());
        self
    }

    fn begin(&mut self) {
        self.begin_stores();
        self.turn();
        self.begin_traffic();
        let scrapes = self.plan.stations.iter().any(|one| one.scaling.as_ref().is_some_and(|own| own.hpa.is_some()));
        let samples =
            self.plan.stations.iter().any(|one| one.scaling.as_ref().is_some_and(|own| own.traffic.is_some()));
        let judges = self.plan.stations.iter().any(state::is_judged);
        let first = [
            (true, WEIGH_EVERY, Event::Weigh),
            (scrapes, ns(self.plan.metrics.every).max(MS), Event::Scrape),
            (samples, SAMPLE_EVERY, Event::Sample),
            (judges, SPAN_EVERY, Event::Span),
            (true, self.figures.step_ns(), Event::Step),
            (self.plan.warm_up_ns > 0, self.plan.warm_up_ns, Event::Count),
        ];
        for (_, at, event) in first.into_iter().filter(|one| one.0) {
            self.wheel.push(at, event);
        }
        for (index, (_, release)) in self.plan.releases.iter().enumerate() {
            self.wheel.push(ns(release.at), Event::Release { index: index as u16 });
        }
        for (index, (_, fault)) in self.plan.faults.iter().enumerate() {
            self.wheel.push(ns(fault.at), Event::Fault { index: index as u16, begins: true });
        }
        for station in 0..self.plan.services() {
            if self.plan.stations[station].scaling.is_some() {
                self.wheel.push(0, Event::Scale { station: station as u16 });
            }
        }
    }

    /// Goes on to the end of the plan.
    pub fn run(&mut self) {
        self.run_until(self.plan.until_ns);
    }

    /// Goes on until that nanosecond, or the end of the plan if that comes before.
    pub fn run_until(&mut self, ns: u64) {
        let until = ns.min(self.plan.until_ns);
        self.reached = self.reached.max(until);
        while let Some((_, event)) = self.wheel.pop(until) {
            self.events += 1;
            self.happen(event);
        }
    }

    /// How many events have happened.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// A number that is the same for the same course of events, and for no other.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many replicas of a service or store serve now.
    pub(crate) fn serving(&self, station: usize) -> usize {
        self.stations[station].members.iter().filter(|one| self.replicas[**one as usize].serves()).count()
    }

    /// How many requests each version of a service has answered, by its place in the row of releases.
    #[must_use]
    pub fn answers(&self, service: usize) -> Vec<u64> {
        let mut answers = vec![0; self.stations[service].versions.len()];
        for replica in self.replicas.iter().filter(|one| one.station == service) {
            answers[replica.version] += replica.answers;
        }
        answers
    }

    /// How many replicas of a service are wanted now.
    pub(crate) fn wanted(&self, station: usize) -> usize {
        self.stations[station].sets.iter().map(|set| set.replicas as usize).sum()
    }

    /// How far it was played, in nanoseconds.
    pub(crate) fn now_ns(&self) -> u64 {
        self.reached.max(self.wheel.now())
    }

    /// By service: how many replicas serve now, and how many are wanted.
    #[must_use]
    pub fn replicas(&self) -> Vec<(String, usize, u32)> {
        let own = |station: usize| {
            let wanted = self.stations[station].sets.iter().map(|set| set.replicas).sum();
            (self.plan.stations[station].name.clone(), self.serving(station), wanted)
        };
        (0..self.plan.services()).map(own).collect()
    }

    /// How much of their workers' time services and stores have worked so far, by name; 1 is all of it.
    #[must_use]
    pub fn uses(&self) -> Vec<(String, f64)> {
        let seconds = self.wheel.now() as f64;
        let used = |(station, plan): (usize, &crate::plan::StationPlan)| {
            let steps = self.figures.services.get(station).map_or(&[][..], |own| own.steps.as_slice());
            let ready = match steps.len() {
                0 => self.serving(station).max(1) as f64,
                count => steps.iter().map(|step| f64::from(step.ready)).sum::<f64>() / count as f64,
            };
            let there = ready * f64::from(plan.workers) * seconds;
            (plan.name.clone(), if there > 0.0 { self.stations[station].worked_ns as f64 / there } else { 0.0 })
        };
        self.plan.stations.iter().enumerate().map(used).collect()
    }

    /// What was measured.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// What the checkers found wrong so far; empty when nothing is.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        self.checkers.violations()
    }

    /// Asks the checkers for their last word: nothing may be lost, and (when every fault is over) everything is back.
    pub fn check_end(&mut self) {
        let open = self.calls.iter().filter(|call| call.is_open_root());
        let oldest = open.clone().map(|call| call.begun).min();
        let pending = |station: usize| {
            self.stations[station].members.iter().any(|one| self.replicas[*one as usize].stage == state::Stage::Pending)
        };
        let pending: Vec<bool> = (0..self.plan.services()).map(pending).collect();
        self.checkers.end(self.wheel.now(), (open.count() as u64, oldest), &pending);
    }

    /// The lines since this was last called; empty unless the world is traced.
    pub fn take_trace(&mut self) -> String {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Now, as decisions are told: the simulation begins at the epoch plus a second, since 0 stands for "never" here and there.
    pub(crate) fn instant(&self) -> Instant {
        instant(self.wheel.now())
    }

    /// Writes down that something happened.
    #[inline]
    pub(crate) fn note(&mut self, word: Word, one: u32, other: u32) {
        let packed = (u64::from(one) << 32) | u64::from(other);
        self.digest = folded(self.digest ^ self.wheel.now(), packed ^ ((word as u64 + 1) << 60)).wrapping_add(packed);
        if let Some(trace) = &mut self.trace {
            use std::fmt::Write as _;
            let written = writeln!(trace, "{} {word:?} {one} {other}", self.wheel.now());
            debug_assert!(written.is_ok(), "writing to a String can't fail");
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { source, turn } => self.arrive(source, turn),
            Event::Change { source } => self.change_course(source),
            Event::Thought { source, user } => self.ask_as(source, user),
            Event::Reach { call, generation } => self.reach(call, generation),
            Event::Worked { call, generation } => self.worked(call, generation),
            Event::Answered { call, generation } => self.answered(call, generation),
            Event::Unconnected { call, generation } => self.unconnected(call, generation),
            Event::Weigh => self.weigh_all(),
            Event::Sample => self.sample_traffic(),
            Event::Scrape => self.scrape(),
            Event::Scale { station } => self.scale(station.into()),
            Event::Span => self.tell_spans(),
            Event::Synthetic { station } => self.ask_both(station.into()),
            Event::Turn => self.turn(),
            Event::Health { replica, process } => self.consider_health(replica, process),
            Event::Probed { replica, process, kind } => self.probed(replica, process, kind),
            Event::Launch { replica, process } => self.launch(replica, process),
            Event::Ending { replica, process } => self.consider_ending(replica, process),
            Event::Exit { replica, process, cause } => self.exit(replica, process, cause),
            Event::Release { index } => self.release(index.into()),
            Event::Fault { index, begins } => self.fault(index.into(), begins),
            Event::Step => self.step_figures(),
            Event::Count => self.figures.forget_warm_up(self.wheel.now()),
        }
    }
}

/// Words of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Asked,
    Sent,
    Done,
    Spawned,
    Ready,
    Unready,
    Exited,
    Stopping,
    Scaled,
    Released,
    Fault,
    Ejected,
}

/// A nanosecond of the simulation as a moment of decisions.
pub(crate) fn instant(ns: u64) -> Instant {
    Instant(ns / 1000 + 1_000_000)
}

/// A moment of decisions as a nanosecond of the simulation.
pub(crate) fn nanosecond(at: Instant) -> u64 {
    at.0.saturating_sub(1_000_000).saturating_mul(1000)
}

/// A length in nanoseconds as one in milliseconds.
pub(crate) fn millis(ns: u64) -> Millis {
    Millis(ns / MS)
}
