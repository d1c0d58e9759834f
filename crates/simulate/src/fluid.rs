//! A world in rates: days at the scale of the internet in seconds.
//!
//! Second by second, each service has arrivals, a capacity and what waits; how long answers take is reckoned by Erlang's
//! formulas. The autoscaler is asked as in a world of events, by the same function and as late. What is not imagined here:
//! probes, retries, releases, and faults other than crashes.
//!
//! Approximations: work takes exponential times as far as waiting goes; the better of two replicas is chosen, which lies
//! between a queue for each of them and one for both; calls one after another add their means, and the service that was asked first its
//! percentile.

mod station;

use crate::{
    plan::{Plan, PlanError, SECOND},
    predict::Basis,
    report::Report,
    world::{Figures, Outcome},
};
use plimsoll_model::simulation::FaultKind;
use station::Station;

/// One step.
const STEP_S: f64 = 1.0;
/// Points of the distribution of times that stand for one step.
const POINTS: [(f64, f64); 10] = [
    (0.05, 0.1),
    (0.15, 0.1),
    (0.25, 0.1),
    (0.35, 0.1),
    (0.45, 0.1),
    (0.55, 0.1),
    (0.65, 0.1),
    (0.775, 0.15),
    (0.9, 0.1),
    (0.975, 0.05),
];

/// A world in rates.
#[derive(Debug)]
pub struct Fluid {
    plan: Plan,
    stations: Vec<Station>,
    figures: Figures,
    /// By stream: visits of each station for one request.
    visits: Vec<Vec<f64>>,
    /// By stream: how long its answers took lately, in seconds, for people who wait for them.
    latency: Vec<f64>,
    /// Parts of requests that were not counted yet, by stream: right and failed ones.
    rest: Vec<(f64, f64)>,
    /// Right ones so far, by stream: all, and those at each of the points, so that few requests are spread over all of them.
    told: Vec<(u64, [u64; POINTS.len()])>,
    second: u64,
    /// By station, of what is counted: seconds that workers worked, and seconds that there were of them.
    worked: Vec<(f64, f64)>,
}

impl Fluid {
    /// A world at its first second.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let visits: Vec<Vec<f64>> = (0..plan.sources.len()).map(|source| visits(&plan, source)).collect();
        let stations = (0..plan.stations.len()).map(|station| Station::new(&plan, station)).collect();
        Self {
            stations,
            figures: Figures::new(&plan),
            latency: vec![0.0; visits.len()],
            rest: vec![(0.0, 0.0); visits.len()],
            told: vec![(0, [0; POINTS.len()]); visits.len()],
            visits,
            second: 0,
            worked: vec![(0.0, 0.0); plan.stations.len()],
            plan,
        }
    }

    /// Goes on to the end.
    pub fn run(&mut self) {
        let end = self.plan.until_ns.div_ceil(SECOND);
        let every = self.figures.step_ns() / SECOND;
        while self.second < end {
            if self.plan.warm_up_ns > 0 && self.second * SECOND == self.plan.warm_up_ns / SECOND * SECOND {
                self.forget_warm_up();
            }
            self.step();
            if self.second.is_multiple_of(every) {
                self.end_step();
            }
        }
    }

    /// The warm-up is over: counting begins.
    fn forget_warm_up(&mut self) {
        self.figures.forget_warm_up(self.second * SECOND);
        self.worked.fill((0.0, 0.0));
    }

    /// One second.
    fn step(&mut self) {
        let now = self.second * SECOND;
        self.crash();
        let rates: Vec<f64> = (0..self.visits.len()).map(|source| self.rate(source, now)).collect();
        for (station, own) in self.stations.iter_mut().enumerate() {
            let mut work = 0.0;
            let mut arrivals = 0.0;
            for (source, rate) in rates.iter().enumerate() {
                let visits = self.visits[source][station];
                arrivals += rate * visits;
                let plan = &self.plan.sources[source];
                let special = plan.time.as_ref().filter(|_| plan.station == station);
                let mean = special.unwrap_or(&self.plan.stations[station].time).mean_ns() / 1e9;
                work += rate * visits * mean;
            }
            if own.step(&self.plan, (station, self.second), (arrivals, work)) {
                self.figures.scaled(station);
            }
            self.worked[station].0 += own.worked_s;
            self.worked[station].1 += own.there();
        }
        for (source, rate) in rates.iter().enumerate() {
            self.answer(source, *rate);
        }
        self.second += 1;
    }

    /// Requests a second of a stream now.
    fn rate(&self, source: usize, now: u64) -> f64 {
        let plan = &self.plan.sources[source];
        let (pace, _) = plan.course.at(now);
        match plan.users {
            None => pace,
            Some((users, think, _)) => {
                let cycle = think as f64 / 1e9 / pace.max(1e-9) + self.latency[source];
                f64::from(users) / cycle.max(1e-9)
            }
        }
    }

    /// What a stream meets in this second.
    fn answer(&mut self, source: usize, rate: f64) {
        let plan = &self.plan.sources[source];
        let (mut right, mut behind) = (1.0, 0.0);
        for (station, visits) in self.visits[source].iter().enumerate().filter(|(_, visits)| **visits > 0.0) {
            let own = &self.stations[station];
            right *= own.kept;
            right *= 1.0 - self.plan.stations[station].errors as f64 / 1e6;
            if station == plan.station {
                continue;
            }
            behind += visits * own.mean_s;
        }
        let first = &self.stations[plan.station];
        let time = plan.time.as_ref().unwrap_or(&self.plan.stations[plan.station].time);
        let (good, bad) = &mut self.rest[source];
        *good += rate * right * STEP_S;
        *bad += rate * (1.0 - right) * STEP_S;
        let (count, failed) = (*good as u64, *bad as u64);
        *good -= count as f64;
        *bad -= failed as f64;
        let mut mean = 0.0;
        let (all, told) = &mut self.told[source];
        *all += count;
        let mut reached = 0.0;
        for (place, (p, share)) in POINTS.into_iter().enumerate() {
            let took = time.percentile_ns(p * 100.0) as f64 / 1e9 + first.wait(place) + behind;
            mean += share * took;
            // As many as bring the points up to here to their share of all so far.
            let before: u64 = told[..=place].iter().sum();
            reached += share;
            let upto = if place + 1 == POINTS.len() { *all } else { (*all as f64 * reached) as u64 };
            let here = upto.saturating_sub(before);
            told[place] += here;
            self.figures.record_many(source, Outcome::Right, (took * 1e9) as u64, here);
        }
        self.figures.record_many(source, Outcome::Refused, 0, failed);
        self.figures.sources[source].asked += count + failed;
        self.latency[source] = mean;
    }

    /// Replicas that crash in this second are replaced as fast as their processes start.
    fn crash(&mut self) {
        for (hit, fault) in &self.plan.faults {
            let crate::plan::Place::Station(station) = hit else { continue };
            if fault.kind == FaultKind::Crash && fault.at.0 / 1000 == self.second {
                let start_ns = self.plan.stations[*station].start_ns;
                let crashed = self.stations[*station].crash(fault.count, self.second, start_ns);
                self.figures.restarted(*station, crashed);
            }
        }
    }

    fn end_step(&mut self) {
        for source in 0..self.visits.len() {
            self.figures.end_source_step(source);
        }
        for station in 0..self.plan.services() {
            let own = &self.stations[station];
            self.figures.end_service_step(station, (own.wanted, own.ready), (own.busy_s * 1e9) as u64);
        }
    }

    /// What was measured.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// The service or store whose workers had least time left, and the share of it that they worked (1 is all).
    #[must_use]
    pub fn busiest(&self) -> (String, f64) {
        let share = |(worked, there): &(f64, f64)| if *there > 0.0 { worked / there } else { 0.0 };
        let all = self.worked.iter().map(share).enumerate();
        let found = all.max_by(|one, other| one.1.total_cmp(&other.1));
        found.map(|(station, used)| (self.plan.stations[station].name.clone(), used)).unwrap_or_default()
    }
}

impl Report {
    /// Plays a scenario in rates, and predicts every promise as [`Report::of`] does.
    ///
    /// # Errors
    /// The scenario can't be simulated.
    pub fn fluid(basis: Basis<'_>) -> Result<Self, PlanError> {
        let mut fluid = Fluid::new(Plan::of(basis.system, basis.scenario, basis.traces, basis.seed)?);
        fluid.run();
        let report = Self::of_figures(basis, fluid.figures().clone())?;
        Ok(Self { events: fluid.second, busiest: fluid.busiest(), causes: "more work than workers".into(), ..report })
    }
}

/// How often one request of a stream visits each station. There is no ring of calls (see [`Plan::of`]).
fn visits(plan: &Plan, source: usize) -> Vec<f64> {
    let mut visits = vec![0.0; plan.stations.len()];
    let own = &plan.sources[source];
    let mut open = vec![(own.station, 1.0, own.calls.as_deref())];
    while let Some((station, times, calls)) = open.pop() {
        visits[station] += times;
        for (to, count) in calls.unwrap_or(&plan.stations[station].calls) {
            open.push((*to as usize, times * f64::from(*count), None));
        }
    }
    visits
}
