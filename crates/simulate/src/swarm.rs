//! Many worlds, each with faults of chance: whether what must always be is, and whether everything comes back.
//!
//! `swizzle-clog` (fault 78): links to replicas are stopped and freed in an order of chance, over and over, among crashes,
//! hangs, slow replicas, partitions and lost zones.

use crate::{
    draws::Draws,
    plan::{Plan, PlanError, Traces},
    world::World,
};
use plimsoll_model::{
    Bytes, MilliCpu, Millis, System,
    simulation::{Fault, FaultKind, Nodes, Simulation},
};
use serde::Serialize;

/// Faults come within so long, and so long afterwards everything must be back.
const STORM: u64 = 120_000;
const CALM: u64 = 480_000;

/// What became of a swarm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SwarmReport {
    /// Worlds that were played.
    pub worlds: u64,
    /// Events in all of them.
    pub events: u64,
    /// Faults in all of them.
    pub faults: u64,
    /// Requests that ended, and of these, wrongly.
    pub requests: (u64, u64),
    /// Seeds of worlds in which a checker found something, with the first of it.
    pub broken: Vec<(u64, String)>,
    /// The same for the same course of all worlds.
    pub digest: u64,
}

/// Plays one world for each seed of a range. `told` is told after each.
///
/// # Errors
/// The scenario can't be simulated.
pub fn swarm(
    (system, scenario, traces): (&System, &Simulation, &Traces),
    seeds: std::ops::Range<u64>,
    mut told: impl FnMut(&SwarmReport),
) -> Result<SwarmReport, PlanError> {
    let mut report = SwarmReport::default();
    for seed in seeds {
        let scenario = stormy(system, scenario, seed);
        report.faults += scenario.faults.len() as u64;
        let mut world = World::new(Plan::of(system, &scenario, traces, seed)?);
        world.run();
        world.check_end();
        let (ended, right) = world.figures().ended();
        report.worlds += 1;
        report.events += world.events();
        report.requests = (report.requests.0 + ended, report.requests.1 + ended - right);
        report.digest = report.digest.rotate_left(1) ^ world.digest();
        if let Some(first) = world.violations().first() {
            report.broken.push((seed, first.clone()));
        }
        told(&report);
    }
    Ok(report)
}

/// The scenario with faults of chance, in two minutes of traffic, and a long calm afterwards.
fn stormy(system: &System, scenario: &Simulation, seed: u64) -> Simulation {
    let mut draws = Draws::of(seed, "storm");
    let mut stormy = scenario.clone();
    stormy.duration = Millis(STORM + CALM);
    stormy.warm_up = Millis(0);
    stormy.releases.clear();
    if stormy.nodes.is_empty() {
        for zone in ["a", "b", "c"] {
            let (cpu, memory) = (MilliCpu(64_000), Bytes(256 << 30));
            stormy.nodes.insert(zone.into(), Nodes { count: 3, cpu, memory, zone: zone.into(), region: "home".into() });
        }
    }
    let zones: Vec<&String> = stormy.nodes.values().map(|pool| &pool.zone).collect();
    let services: Vec<&String> = system.services.keys().collect();
    let places: Vec<&String> = system.services.keys().chain(system.stores.keys()).collect();
    let count = 5 + draws.below(20);
    let mut faults = Vec::new();
    for _ in 0..count {
        let kind = match draws.below(10) {
            0..=3 => FaultKind::Clog,
            4 | 5 => FaultKind::Crash,
            6 => FaultKind::Hang,
            7 => FaultKind::Slow,
            8 => FaultKind::Partition,
            _ => FaultKind::Zone,
        };
        let among = match kind {
            FaultKind::Zone | FaultKind::Partition => &zones,
            FaultKind::Crash | FaultKind::Slow => &places,
            _ => &services,
        };
        if among.is_empty() {
            continue;
        }
        let at = 5000 + draws.below(STORM - 35_000);
        faults.push(Fault {
            at: Millis(at),
            lasts: Millis(1 + draws.below(30_000)),
            kind,
            of: among[draws.below(among.len() as u64) as usize].clone(),
            count: 1 + draws.below(3) as u32,
            times_milli: 2000 + draws.below(50_000),
        });
    }
    stormy.faults = faults;
    stormy
}
