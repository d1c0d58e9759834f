//! A service whose releases are canaries, and scenarios in which one comes.

use crate::scene;
use plimsoll_model::{
    Millis, Ratio, Service,
    rollout::{Analysis, Rollout, Strategy},
    simulation::{Release, Simulation, Times},
};

/// A canary of 10 % and 50 %, each for at least 20 s.
pub(crate) fn canary() -> Service {
    let strategy = Strategy::Canary {
        steps: vec![Ratio::percent(10), Ratio::percent(50)],
        interval: Millis::from_secs(20),
        audience: Default::default(),
    };
    let analysis = Analysis {
        error_rate_max: Some(Ratio::percent(1)),
        latency_p95_max: Some(Millis::from_secs(2)),
        ..Analysis::default()
    };
    let rollout = Rollout { strategy, analysis: Some(analysis), ..Rollout::default() };
    Service { rollout, ..scene::service(4) }
}

/// A canary that begins with so small a share that hardly anybody meets a bad version: 0.08 % for at least 10 min.
pub(crate) fn careful() -> Service {
    let mut service = canary();
    let steps = vec![Ratio(800), Ratio::percent(10), Ratio::percent(50)];
    service.rollout.strategy =
        Strategy::Canary { steps, interval: Millis::from_secs(600), audience: Default::default() };
    service
}

/// A busy service for it: 2,000 requests a second, each of another person, by replicas that do 8 at once.
pub(crate) fn busy(seconds: u64, kind: (Ratio, u64)) -> Simulation {
    of_kind(scenario(2000, seconds, kind), 8)
}

/// Of another service: one whose replicas do so many requests at once.
pub(crate) fn of_kind(mut scenario: Simulation, workers: u32) -> Simulation {
    if let Some(work) = scenario.work.get_mut("web") {
        work.workers = Some(workers);
    }
    scenario
}

/// A release 30 s after the beginning; requests fail once in a thousand anyway.
pub(crate) fn scenario(per_second: u64, seconds: u64, (errors, times_milli): (Ratio, u64)) -> Simulation {
    let mut scenario = scene::scenario(seconds, per_second);
    if let Some(work) = scenario.work.get_mut("web") {
        work.errors = Ratio(1000);
        work.time = Times::Points(vec![(50_000, 4_000), (95_000, 14_000), (99_000, 30_000), (100_000, 90_000)]);
    }
    scenario.releases.push(Release { at: Millis::from_secs(30), service: "web".into(), errors, times_milli });
    scenario
}
