//! What there is in a world.

use super::NONE;
use crate::{
    draws::Draws,
    plan::{Plan, StationPlan},
};
use plimsoll_control::{
    analysis::Counts,
    autoscale::{self, traffic},
    health, reconcile, restart, rollout, route, termination,
};
use plimsoll_model::{Instant, ReplicaId, RevisionId, route::Resilience};
use route::again::TRIED_MAX;
use std::collections::{BTreeMap, VecDeque};

/// A stream of requests, at work.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) draws: Draws,
    /// Counts changes of course; an arrival of a former course is passed over.
    pub(crate) turn: u32,
    /// Requests a second, or how many times people's usual pace.
    pub(crate) pace: f64,
    /// The mean time between two of them, in seconds.
    pub(crate) gap: f64,
    /// Until when each person stays, and which replica their cookie names.
    pub(crate) stay_until: Vec<u64>,
    pub(crate) cookies: Vec<u32>,
    /// What a limit remembers, by client.
    pub(crate) limits: Vec<route::limit::Memory>,
}

/// A version of a service.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) id: RevisionId,
    pub(crate) errors: u64,
    pub(crate) times_milli: u64,
}

/// A service or store, at work.
#[derive(Debug)]
pub(crate) struct Station {
    pub(crate) times: Draws,
    pub(crate) versions: Vec<Version>,
    /// The version that is asked for.
    pub(crate) wanted: usize,
    /// How many replicas are asked for, by the file or the autoscaler.
    pub(crate) replicas: u32,
    pub(crate) rollout: rollout::Memory,
    pub(crate) spans: Vec<BTreeMap<RevisionId, Counts>>,
    pub(crate) span: BTreeMap<usize, Counts>,
    pub(crate) shares: Vec<rollout::Share>,
    pub(crate) sets: Vec<reconcile::SetWanted>,
    pub(crate) scaler: Option<Scaler>,
    pub(crate) synthetic: Synthetic,
    pub(crate) resilience: Resilience,
    pub(crate) begun: bool,
    pub(crate) serials: u64,
    /// Replicas that exist, oldest first.
    pub(crate) members: Vec<u32>,
    /// As the gateway sees them: who may get a request, and which of `members` it is.
    pub(crate) view: Vec<route::Replica>,
    pub(crate) viewed: Vec<u32>,
    /// What stays true of `view` from request to request.
    pub(crate) among: route::Among,
    pub(crate) weights: route::Memory,
    pub(crate) settled: bool,
    pub(crate) in_flight: u32,
    pub(crate) requests: u64,
    pub(crate) refilled: (u64, u64),
    pub(crate) retries_left: u64,
    /// Requests that wait for a replica, in this order: until when, which, and its generation.
    pub(crate) held: VecDeque<(u64, u32, u32)>,
    pub(crate) deadlines: VecDeque<(u64, u32, u32)>,
    /// Sum of work for each request, for figures: nanoseconds of processors.
    pub(crate) busy_ns: u64,
    /// The same in time of workers.
    pub(crate) worked_ns: u64,
}

/// What two versions of a service are asked beside what users ask.
#[derive(Debug)]
pub(crate) struct Synthetic {
    /// The versions that are asked; `None`: nobody is.
    pub(crate) versions: Option<[usize; 2]>,
    /// From one to the next, in nanoseconds.
    pub(crate) every: u64,
    /// The next ones are on their way.
    pub(crate) begun: bool,
    pub(crate) turn: usize,
    /// How many have not ended.
    pub(crate) under_way: u32,
}

/// An autoscaler, between two decisions.
#[derive(Debug, Default)]
pub(crate) struct Scaler {
    pub(crate) memory: autoscale::Memory,
    pub(crate) samples: Vec<traffic::Sample>,
    pub(crate) due: u64,
    pub(crate) sampled: (u64, u64),
}

/// How far a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It waits for a machine with room.
    Pending,
    /// Its process runs.
    Running,
    /// Its process is ended, and then started again.
    Restarting,
    /// It is ended for good.
    Stopping,
    /// Its process ended and is started again later.
    BackOff,
    /// It ended for good.
    Gone,
}

/// One replica.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) id: ReplicaId,
    pub(crate) station: usize,
    pub(crate) version: usize,
    pub(crate) node: Option<usize>,
    pub(crate) zone: usize,
    pub(crate) stage: Stage,
    /// Counts its processes; what happens to a former one is passed over.
    pub(crate) process: u32,
    pub(crate) created_at: Instant,
    pub(crate) started_at: Instant,
    /// From when on the process can answer, in nanoseconds.
    pub(crate) warm_at: u64,
    pub(crate) alive: bool,
    pub(crate) hung: bool,
    pub(crate) clogged: bool,
    pub(crate) slow_milli: u64,
    pub(crate) health: health::Memory,
    pub(crate) health_due: u64,
    pub(crate) outcomes: Vec<health::Outcome>,
    pub(crate) under_way: Vec<health::ProbeKind>,
    pub(crate) ready_since: Option<Instant>,
    pub(crate) was_ready: bool,
    pub(crate) readiness_at: Instant,
    pub(crate) restart: restart::Memory,
    pub(crate) restarts: u32,
    pub(crate) ending: Option<(termination::Policy, termination::Memory)>,
    pub(crate) weight: u16,
    /// Its place in the gateway's view.
    pub(crate) place: u32,
    pub(crate) failures: u32,
    pub(crate) answers: u64,
    pub(crate) answers_weighed: u64,
    pub(crate) in_flight: u32,
    pub(crate) busy: u32,
    pub(crate) queue: VecDeque<(u32, u32)>,
    pub(crate) inside: Vec<u32>,
    /// What arrives when its link is free again: a call, and whether it is on its way back.
    pub(crate) stuck: Vec<(u32, u32, bool)>,
    /// Done while it hangs.
    pub(crate) parked: Vec<(u32, u32)>,
    pub(crate) cpu_ns: u64,
    pub(crate) marks: VecDeque<(Instant, u64)>,
}

impl Replica {
    /// New requests may go there.
    pub(crate) fn serves(&self) -> bool {
        self.stage == Stage::Running && self.ready_since.is_some()
    }
}

/// What is left of a machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) cpu_left: u64,
    pub(crate) memory_left: u64,
}

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    Free,
    /// It waits at the gateway for a replica.
    Held,
    /// On its way, or waiting for a connection.
    Way,
    /// It waits for a worker.
    Queued,
    /// It is worked on.
    Working,
    /// It waits for what it calls.
    Calling,
    /// Its answer is on its way.
    Back,
}

/// One request to one station.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// Counts its uses and its tries: what was meant for a former one is passed over.
    pub(crate) generation: u32,
    /// Counts its uses.
    pub(crate) life: u32,
    /// Whose call it is: another one (with its generation), or the stream `source`.
    pub(crate) parent: u32,
    pub(crate) parent_generation: u32,
    pub(crate) source: u32,
    pub(crate) user: u32,
    pub(crate) station: u32,
    pub(crate) replica: u32,
    pub(crate) place: u32,
    pub(crate) begun: u64,
    /// When it went to its replica, or began to wait for one.
    pub(crate) sent: u64,
    /// How long it has waited for replicas, altogether.
    pub(crate) waited: u64,
    /// When its answer is due; 0: no replica has had it since it last waited.
    pub(crate) due: u64,
    pub(crate) tried: [u32; TRIED_MAX],
    pub(crate) tries: u8,
    /// In how many of the tries that failed it may have been acted on.
    pub(crate) sends: u8,
    pub(crate) asked: u8,
    pub(crate) failed: bool,
    /// Nobody waits for it any more; its replica works on.
    pub(crate) abandoned: bool,
    pub(crate) counted: bool,
    /// Nobody made it.
    pub(crate) synthetic: bool,
    pub(crate) at: Where,
    pub(crate) stage: u32,
    pub(crate) left: u32,
    pub(crate) zone: u16,
}

impl Call {
    /// The first request of a client, that has not been answered.
    pub(crate) fn is_open_root(&self) -> bool {
        self.at != Where::Free && self.source != NONE && !self.abandoned
    }
}

pub(crate) fn sources(plan: &Plan) -> Vec<Source> {
    let source = |source: &crate::plan::SourcePlan| {
        let users = source.users.map_or(0, |users| users.0 as usize);
        let clients = if source.users.is_some() { users } else { source.clients as usize };
        Source {
            draws: Draws::of(plan.seed, &format!("traffic {}", source.name)),
            turn: 0,
            pace: 0.0,
            gap: 0.0,
            stay_until: vec![0; users],
            cookies: vec![NONE; users],
            limits: vec![route::limit::Memory::default(); if source.limit.is_some() { clients } else { 0 }],
        }
    };
    plan.sources.iter().map(source).collect()
}

pub(crate) fn stations(plan: &Plan) -> Vec<Station> {
    plan.stations.iter().map(|own| station(plan, own)).collect()
}

fn station(plan: &Plan, own: &StationPlan) -> Station {
    let first = Version { id: RevisionId("v1".into()), errors: own.errors, times_milli: 1000 };
    let service = own.service.as_ref();
    let replicas = match service.map(|service| (service, service.autoscaling.as_ref())) {
        Some((_, Some(scaling))) => scaling.at_first(),
        Some((service, None)) => service.replicas,
        None => 1,
    };
    let resilience = service.map(|service| service.resilience.clone()).unwrap_or_default();
    Station {
        times: Draws::of(plan.seed, &format!("work {}", own.name)),
        versions: vec![first],
        wanted: 0,
        replicas,
        rollout: rollout::Memory::default(),
        spans: Vec::new(),
        span: BTreeMap::new(),
        shares: Vec::new(),
        sets: Vec::new(),
        scaler: own.scaling.as_ref().map(|_| Scaler::default()),
        synthetic: Synthetic::none(),
        begun: false,
        serials: 0,
        members: Vec::new(),
        view: Vec::new(),
        viewed: Vec::new(),
        among: route::Among::default(),
        weights: route::Memory::default(),
        settled: false,
        in_flight: 0,
        requests: 0,
        refilled: (0, 0),
        retries_left: route::budget::start(&resilience),
        held: VecDeque::new(),
        deadlines: VecDeque::new(),
        busy_ns: 0,
        worked_ns: 0,
        resilience,
    }
}

/// Whether releases of it are judged by what they answer.
pub(crate) fn is_judged(own: &StationPlan) -> bool {
    own.service.as_ref().is_some_and(|service| service.rollout.analysis.is_some())
}
