//! A system and a scenario, made ready to be simulated: names are places in lists, distributions are tables.

use crate::{course::Course, times::TimeTable};
use plimsoll_control::{account, autoscale};
use plimsoll_model::{
    Bytes, MilliCpu, Millis, Ratio, Service, System,
    route::{LimitBy, RateLimit},
    simulation::{Arrivals, Fault, FaultKind, Metrics, Network, Release, Simulation, Traffic},
};
use std::collections::BTreeMap;

/// Nanoseconds of a millisecond.
pub(crate) const MS: u64 = 1_000_000;
/// Nanoseconds of a second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// The longest time that is imagined, in nanoseconds: 73 years. What is longer counts as that, so that no sum of a few
/// times leaves its 64 bits.
pub(crate) const LONGEST_NS: u64 = 1 << 61;

/// A time of the file in nanoseconds.
#[inline]
pub(crate) fn ns(time: Millis) -> u64 {
    time.0.saturating_mul(MS).min(LONGEST_NS)
}

/// What can't be simulated. All of it at once; fix the scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct PlanError(pub Vec<String>);

/// Everything a world is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed of every draw.
    pub seed: u64,
    /// How long, in nanoseconds.
    pub until_ns: u64,
    /// What is not counted, in nanoseconds.
    pub warm_up_ns: u64,
    pub(crate) system: System,
    pub(crate) stations: Vec<StationPlan>,
    pub(crate) sources: Vec<SourcePlan>,
    pub(crate) zones: Vec<Zone>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) metrics: Metrics,
    pub(crate) releases: Vec<(usize, Release)>,
    pub(crate) faults: Vec<(Place, Fault)>,
}

/// What a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Station(usize),
    Zone(usize),
}

/// A service or a store.
#[derive(Debug, Clone)]
pub(crate) struct StationPlan {
    pub(crate) name: String,
    /// `None`: a store.
    pub(crate) service: Option<Service>,
    pub(crate) scaling: Option<autoscale::Policy>,
    pub(crate) time: TimeTable,
    pub(crate) cpu: Ratio,
    pub(crate) workers: u32,
    pub(crate) blocking: bool,
    pub(crate) queue: usize,
    pub(crate) start_ns: u64,
    pub(crate) errors: u64,
    pub(crate) calls: Vec<(u32, u32)>,
    /// What one replica asks for.
    pub(crate) cpu_request: MilliCpu,
    pub(crate) memory_request: Bytes,
}

/// A stream of requests.
#[derive(Debug, Clone)]
pub(crate) struct SourcePlan {
    pub(crate) name: String,
    pub(crate) route: String,
    pub(crate) station: usize,
    pub(crate) course: Course,
    /// People: how many, how long they think and stay (nanoseconds; 0: for ever).
    pub(crate) users: Option<(u32, u64, u64)>,
    pub(crate) clients: u32,
    pub(crate) retries: u8,
    pub(crate) zone: usize,
    pub(crate) limit: Option<RateLimit>,
    /// Where it differs from what the service does for others.
    pub(crate) time: Option<TimeTable>,
    pub(crate) calls: Option<Vec<(u32, u32)>>,
    /// Everybody asks once, at that nanosecond.
    pub(crate) at_once_ns: Option<u64>,
}

/// Where machines stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Zone {
    pub(crate) name: String,
    pub(crate) region: String,
}

/// One machine.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) zone: usize,
    pub(crate) cpu: u64,
    pub(crate) memory: u64,
}

/// Traces that were read, by the name in the scenario: second, requests a second.
pub type Traces = BTreeMap<String, Vec<(u64, f64)>>;

impl Plan {
    /// Makes a scenario ready. Without any traffic there are only decisions about nothing, which is allowed.
    ///
    /// # Errors
    /// Something is named that does not exist, or a trace was not read.
    pub fn of(system: &System, scenario: &Simulation, traces: &Traces, seed: u64) -> Result<Self, PlanError> {
        let mut wrong = Vec::new();
        let names: Vec<&String> = system.services.keys().chain(system.stores.keys()).collect();
        let place = |name: &String| names.iter().position(|one| *one == name);
        for name in scenario.work.keys().filter(|name| place(name).is_none()) {
            wrong.push(format!("simulation.services.{name}: there is no service or store of that name"));
        }
        let zones = zones(scenario);
        let mut plan = Self {
            seed,
            until_ns: ns(scenario.duration),
            warm_up_ns: ns(scenario.warm_up),
            system: system.clone(),
            stations: names.iter().map(|name| station(system, scenario, name, &names, &mut wrong)).collect(),
            sources: Vec::new(),
            nodes: nodes(scenario, &zones),
            zones,
            network: scenario.network,
            metrics: scenario.metrics,
            releases: Vec::new(),
            faults: Vec::new(),
        };
        for (name, traffic) in &scenario.traffic {
            match source(system, name, traffic, (&plan.zones, traces)) {
                Ok((source, service)) => {
                    let calls = traffic.calls.as_ref().map(|calls| {
                        calls.iter().filter_map(|(to, count)| Some((narrow(place(to)?), *count))).collect()
                    });
                    plan.sources.extend(place(&service).map(|station| SourcePlan { station, calls, ..source }));
                }
                Err(why) => wrong.push(format!("simulation.traffic.{name}: {why}")),
            }
        }
        for release in &scenario.releases {
            match system.services.keys().position(|name| *name == release.service) {
                Some(service) => plan.releases.push((service, release.clone())),
                None => wrong.push(format!("simulation.releases: there is no service called {}", release.service)),
            }
        }
        for fault in &scenario.faults {
            let hit = match fault.kind {
                FaultKind::Zone | FaultKind::Partition => {
                    plan.zones.iter().position(|zone| zone.name == fault.of).map(Place::Zone)
                }
                _ => place(&fault.of).map(Place::Station),
            };
            match hit {
                Some(hit) => plan.faults.push((hit, fault.clone())),
                None => wrong.push(format!("simulation.faults: there is no {} to be hit", fault.of)),
            }
        }
        if let Some(ring) = plan.ring() {
            wrong.push(format!("simulation: {ring} calls itself, directly or through others, for ever"));
        }
        if wrong.is_empty() { Ok(plan) } else { Err(PlanError(wrong)) }
    }

    /// A station that calls itself, directly or through others.
    fn ring(&self) -> Option<&str> {
        let found = (0..self.stations.len()).find(|start| {
            let mut known = vec![false; self.stations.len()];
            let mut open = vec![*start];
            while let Some(station) = open.pop() {
                for (to, _) in &self.stations[station].calls {
                    if *to as usize == *start {
                        return true;
                    }
                    if !std::mem::replace(&mut known[*to as usize], true) {
                        open.push(*to as usize);
                    }
                }
            }
            false
        });
        found.map(|station| self.stations[station].name.as_str())
    }

    /// How many services there are; stores come after them.
    pub(crate) fn services(&self) -> usize {
        self.system.services.len()
    }

    /// One way from zone to zone, in nanoseconds.
    pub(crate) fn way_ns(&self, from: usize, to: usize) -> u64 {
        let network = &self.network;
        let us = if from == to {
            network.local_us
        } else if self.zones[from].region == self.zones[to].region {
            network.zones_us
        } else {
            network.regions_us
        };
        us.saturating_mul(1000).min(LONGEST_NS)
    }
}

/// All zones, in order of their names; at least one.
fn zones(scenario: &Simulation) -> Vec<Zone> {
    let mut zones: Vec<Zone> = Vec::new();
    for pool in scenario.nodes.values() {
        let zone = Zone { name: pool.zone.clone(), region: pool.region.clone() };
        if !zones.contains(&zone) {
            zones.push(zone);
        }
    }
    if zones.is_empty() {
        zones.push(Zone { name: "here".into(), region: "here".into() });
    }
    zones
}

/// One machine of each pool after the other, so that the first replicas lie apart.
fn nodes(scenario: &Simulation, zones: &[Zone]) -> Vec<Node> {
    let most = scenario.nodes.values().map(|pool| pool.count).max().unwrap_or(0);
    let mut nodes = Vec::new();
    for round in 0..most {
        for pool in scenario.nodes.values().filter(|pool| pool.count > round) {
            let zone = zones.iter().position(|zone| zone.name == pool.zone).unwrap_or(0);
            nodes.push(Node { zone, cpu: pool.cpu.0, memory: pool.memory.0 });
        }
    }
    nodes
}

fn station(
    system: &System,
    scenario: &Simulation,
    name: &str,
    names: &[&String],
    wrong: &mut Vec<String>,
) -> StationPlan {
    let work = scenario.work.get(name).cloned().unwrap_or_default();
    let service = system.services.get(name).cloned();
    let mut calls = Vec::new();
    for (to, count) in &work.calls {
        match names.iter().position(|one| *one == to) {
            Some(to) => calls.push((narrow(to), *count)),
            None => wrong.push(format!("simulation.services.{name}.calls: there is no service or store called {to}")),
        }
    }
    let resources = service.as_ref().map(|service| service.resources.clone()).unwrap_or_default();
    StationPlan {
        name: name.to_owned(),
        // As the engine has it: what a machine does not measure moves nothing.
        scaling: service.as_ref().and_then(account::scaling_on_a_machine).as_ref().map(autoscale::Policy::from),
        time: TimeTable::of(&work.time),
        cpu: work.cpu,
        workers: work.workers.unwrap_or_else(|| usual_workers(service.as_ref())).max(1),
        blocking: work.blocking,
        queue: work.queue as usize,
        start_ns: ns(work.start),
        errors: work.errors.0,
        calls,
        cpu_request: resources.cpu_request.unwrap_or_default(),
        memory_request: resources.memory_request.unwrap_or_default(),
        service,
    }
}

/// One for each processor of its limit, or else of its request; for a store 16.
fn usual_workers(service: Option<&Service>) -> u32 {
    let Some(service) = service else { return 16 };
    let cpu = service.resources.cpu_limit.or(service.resources.cpu_request).unwrap_or(MilliCpu(1000));
    u32::try_from(cpu.0.div_ceil(1000)).unwrap_or(1)
}

fn source(
    system: &System,
    name: &str,
    traffic: &Traffic,
    (zones, traces): (&[Zone], &Traces),
) -> Result<(SourcePlan, String), String> {
    let path = traffic.route.split(['?', '#']).next().unwrap_or_default();
    let (service, limit) = routed(system, path)
        .ok_or_else(|| format!("no path of the ingress and no service is called {}", traffic.route))?;
    let zone = match &traffic.region {
        None => 0,
        Some(region) => zones
            .iter()
            .position(|zone| zone.region == *region)
            .ok_or_else(|| format!("no machines are in the region {region}"))?,
    };
    let (base, users) = match &traffic.arrivals {
        Arrivals::Rate(rate) => (vec![(0, rate.per_second())], None),
        Arrivals::Users { count, think, session } => {
            let stay = session.map_or(0, ns);
            (vec![(0, 1.0)], Some((*count, ns(*think).max(MS), stay)))
        }
        Arrivals::Trace(file) => {
            (traces.get(file).cloned().ok_or_else(|| format!("the trace {file} was not read"))?, None)
        }
    };
    let source = SourcePlan {
        name: name.to_owned(),
        route: traffic.route.clone(),
        station: 0,
        course: Course::new(base, traffic.daily, traffic.spikes.clone()),
        users,
        clients: traffic.clients.max(1),
        retries: traffic.retries,
        zone,
        limit,
        time: traffic.time.as_ref().map(TimeTable::of),
        calls: None,
        at_once_ns: None,
    };
    Ok((source, service))
}

/// The service behind a path (the longest prefix wins, by whole segments), or the service of that name.
pub(crate) fn routed(system: &System, route: &str) -> Option<(String, Option<RateLimit>)> {
    if system.services.contains_key(route) {
        return Some((route.to_owned(), None));
    }
    let fits = |prefix: &str| {
        let prefix = prefix.trim_end_matches('/');
        route.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let all = system.ingress.hosts.values().flat_map(|host| host.paths.iter().map(move |path| (path, host)));
    let ((_, service), host) =
        all.filter(|((prefix, _), _)| fits(prefix)).max_by_key(|((prefix, _), _)| prefix.len())?;
    let not_by_header = |limit: &&RateLimit| !matches!(limit.by, LimitBy::Header(_));
    Some((service.clone(), host.rate_limit.as_ref().filter(not_by_header).cloned()))
}

fn narrow(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
