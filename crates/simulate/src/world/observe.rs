//! What is measured in a world: by stream of requests, by service, and over time.

use super::{Event, World, state::Stage};
use crate::{
    histogram::Histogram,
    plan::{Plan, SECOND},
};
use plimsoll_control::rollout;
use serde::Serialize;

/// So many steps at most make the course of a run.
const STEPS_MAX: u64 = 240;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Answered rightly.
    Right,
    /// The application answered with an error.
    Error,
    /// The replica died, or none could be reached, and there was no other try.
    Broken,
    /// The replica's queue was full.
    Refused,
    /// Too many were in flight.
    Shed,
    /// No replica was ready for too long, or too many waited.
    Held,
    /// No answer in time.
    TimedOut,
    /// Above a rate limit.
    Limited,
}

impl Outcome {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] =
        [Self::Right, Self::Error, Self::Broken, Self::Refused, Self::Shed, Self::Held, Self::TimedOut, Self::Limited];

    /// For a person.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Error => "errors of the application",
            Self::Broken => "connections broken or refused",
            Self::Refused => "queues full",
            Self::Shed => "shed, too many in flight",
            Self::Held => "no replica ready in time",
            Self::TimedOut => "timed out",
            Self::Limited => "above a rate limit",
        }
    }
}

/// What one stream of requests met in one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStep {
    /// Requests that were asked for.
    pub asked: u64,
    /// Answered rightly.
    pub right: u64,
    /// Not.
    pub failed: u64,
    /// Half of the right ones took at most so long, in microseconds.
    pub p50_us: u64,
    /// 95 of 100 of them.
    pub p95_us: u64,
    /// 99 of 100 of them.
    pub p99_us: u64,
}

/// What one stream of requests met.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceFigures {
    /// Its name in the scenario.
    pub name: String,
    /// The path.
    pub route: String,
    /// Nobody asks: it only tells how such requests are worked on.
    pub silent: bool,
    /// Requests that were asked for.
    pub asked: u64,
    /// Ended ones, by outcome (see [`Outcome::ALL`]).
    pub outcomes: [u64; 8],
    /// How long right ones took.
    pub latency: Histogram,
    /// Its course.
    #[serde(skip)]
    pub steps: Vec<SourceStep>,
    #[serde(skip)]
    step: (SourceStep, Histogram, u64),
}

impl SourceFigures {
    /// Requests that ended.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// Requests that ended otherwise than rightly.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.ended() - self.outcomes[0]
    }
}

/// What one service was like in one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStep {
    /// Replicas that were wanted.
    pub wanted: u32,
    /// Replicas that took requests.
    pub ready: u32,
    /// Processors in use, in thousandths, on average.
    pub cpu_milli: u64,
}

/// What one service was like.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceFigures {
    /// Its name.
    pub name: String,
    /// Replicas times seconds, of what is counted.
    pub replica_seconds: f64,
    /// Seconds that are counted.
    #[serde(skip)]
    pub counted_s: f64,
    /// Most replicas that were wanted at once.
    pub replicas_max: u32,
    /// Fewest.
    pub replicas_min: u32,
    /// Processes that were started again.
    pub restarts: u64,
    /// Changes by its autoscaler.
    pub scalings: u64,
    /// Replicas that the gateway left out.
    pub ejections: u64,
    /// Requests that nobody made, to judge releases by.
    pub synthetic: u64,
    /// What happened in releases, and when (nanoseconds).
    pub releases: Vec<(u64, rollout::Event)>,
    /// Its course.
    #[serde(skip)]
    pub steps: Vec<ServiceStep>,
    #[serde(skip)]
    busy_before: u64,
}

impl ServiceFigures {
    /// Replicas on average.
    #[must_use]
    pub fn replicas_mean(&self) -> f64 {
        if self.counted_s > 0.0 { self.replica_seconds / self.counted_s } else { 0.0 }
    }
}

/// Everything that was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// By stream of requests.
    pub sources: Vec<SourceFigures>,
    /// By service.
    pub services: Vec<ServiceFigures>,
    /// The length of a step of a course.
    pub step_s: f64,
    /// From when on it was counted, in nanoseconds.
    #[serde(skip)]
    pub since_ns: u64,
    #[serde(skip)]
    step_ns: u64,
}

/// The length of the steps in which a course is told, in nanoseconds.
#[must_use]
pub(crate) fn step_ns(until_ns: u64) -> u64 {
    (until_ns / STEPS_MAX).div_ceil(SECOND).max(1) * SECOND
}

impl Figures {
    pub(crate) fn new(plan: &Plan) -> Self {
        let source = |source: &crate::plan::SourcePlan| SourceFigures {
            name: source.name.clone(),
            route: source.route.clone(),
            silent: source.users.is_none() && source.course.is_silent(),
            ..SourceFigures::default()
        };
        let services = plan.stations.iter().filter(|station| station.service.is_some()).map(|station| ServiceFigures {
            name: station.name.clone(),
            replicas_min: u32::MAX,
            ..ServiceFigures::default()
        });
        let step_ns = step_ns(plan.until_ns);
        Self {
            sources: plan.sources.iter().map(source).collect(),
            services: services.collect(),
            step_s: step_ns as f64 / 1e9,
            since_ns: 0,
            step_ns,
        }
    }

    pub(crate) fn step_ns(&self) -> u64 {
        self.step_ns
    }

    /// A request ended.
    #[inline]
    pub(crate) fn record(&mut self, source: usize, outcome: Outcome, took_ns: u64) {
        let own = &mut self.sources[source];
        own.outcomes[outcome as usize] += 1;
        let (step, latencies, _) = &mut own.step;
        if outcome == Outcome::Right {
            own.latency.add_to_both(latencies, took_ns);
            step.right += 1;
        } else {
            step.failed += 1;
        }
    }

    /// Some requests ended in the same way.
    pub(crate) fn record_many(&mut self, source: usize, outcome: Outcome, took_ns: u64, count: u64) {
        if count == 0 {
            return;
        }
        let own = &mut self.sources[source];
        own.outcomes[outcome as usize] += count;
        let (step, latencies, _) = &mut own.step;
        if outcome == Outcome::Right {
            own.latency.add_many(took_ns, count);
            step.right += count;
            latencies.add_many(took_ns, count);
        } else {
            step.failed += count;
        }
    }

    /// Replicas of a service were started again.
    pub(crate) fn restarted(&mut self, service: usize, count: u32) {
        if let Some(own) = self.services.get_mut(service) {
            own.restarts += u64::from(count);
        }
    }

    /// An autoscaler changed a number.
    pub(crate) fn scaled(&mut self, service: usize) {
        if let Some(own) = self.services.get_mut(service) {
            own.scalings += 1;
        }
    }

    /// The warm-up is over at that nanosecond: counting begins.
    pub(crate) fn forget_warm_up(&mut self, now: u64) {
        self.since_ns = now;
        for own in &mut self.sources {
            own.outcomes = [0; 8];
            own.asked = 0;
            own.step.2 = 0;
            own.latency.clear();
        }
        for own in &mut self.services {
            (own.replica_seconds, own.counted_s) = (0.0, 0.0);
            (own.replicas_min, own.replicas_max) = (u32::MAX, 0);
            (own.restarts, own.scalings, own.ejections, own.synthetic) = (0, 0, 0, 0);
        }
    }

    /// The end of a step for one stream.
    pub(crate) fn end_source_step(&mut self, source: usize) {
        let own = &mut self.sources[source];
        let (step, latencies, asked) = &mut own.step;
        let us = |per_mille| latencies.percentile_ns(per_mille).map_or(0, |ns| ns / 1000);
        let done = SourceStep {
            asked: own.asked.saturating_sub(*asked),
            p50_us: us(500),
            p95_us: us(950),
            p99_us: us(990),
            ..*step
        };
        own.steps.push(done);
        latencies.clear();
        *step = SourceStep::default();
        *asked = own.asked;
    }

    /// The end of a step for one service.
    pub(crate) fn end_service_step(&mut self, service: usize, (wanted, ready): (u32, u32), busy_ns: u64) {
        let (step_ns, since_ns) = (self.step_ns, self.since_ns);
        let own = &mut self.services[service];
        let used = busy_ns - std::mem::replace(&mut own.busy_before, busy_ns);
        let cpu_milli = used / (step_ns / 1000);
        // The step in which counting began counts for what is left of it.
        let ends = (own.steps.len() as u64 + 1).saturating_mul(step_ns);
        let counted_s = ends.saturating_sub(since_ns).min(step_ns) as f64 / 1e9;
        own.counted_s += counted_s;
        own.replica_seconds += f64::from(wanted) * counted_s;
        own.replicas_max = own.replicas_max.max(wanted);
        own.replicas_min = own.replicas_min.min(wanted);
        own.steps.push(ServiceStep { wanted, ready, cpu_milli });
    }

    /// Requests of all streams that ended, and those that ended rightly.
    #[must_use]
    pub fn ended(&self) -> (u64, u64) {
        let sum = |of: fn(&SourceFigures) -> u64| self.sources.iter().map(of).sum();
        (sum(SourceFigures::ended), sum(|one| one.outcomes[0]))
    }
}

impl World {
    /// A step of every course is over.
    pub(super) fn step_figures(&mut self) {
        self.wheel.push(self.wheel.now() + self.figures.step_ns, Event::Step);
        for source in 0..self.figures.sources.len() {
            self.figures.end_source_step(source);
        }
        for service in 0..self.plan.services() {
            let own = &self.stations[service];
            let there = own.members.iter().map(|index| &self.replicas[*index as usize]);
            let wanted = there.clone().filter(|one| one.stage != Stage::Stopping).count() as u32;
            let ready = there.filter(|one| one.serves()).count() as u32;
            let busy = own.busy_ns;
            self.figures.end_service_step(service, (wanted, ready), busy);
        }
    }
}
