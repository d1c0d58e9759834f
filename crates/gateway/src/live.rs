//! Live figures of replicas, services and routes: shared by all workers, and outliving every edition of the route table.
//!
//! What a choice needs (in-flight, latency, share) is shared; what is only counted is kept apart for each worker, so that
//! workers don't take cache lines from each other, and is added up when somebody asks.

use plimsoll_control::route::{budget, noted};
use plimsoll_model::{ReplicaId, route::Resilience};
use plimsoll_wire::gateway::BUCKETS_US;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};
use tokio::sync::Notify;

/// Counts by time, in the buckets of [`BUCKETS_US`] and one beyond; and all times together, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Histogram([AtomicU64; BUCKETS_US.len() + 1], AtomicU64);

impl Histogram {
    pub(crate) fn count(&self, micros: u64) {
        bump(&self.0[BUCKETS_US.partition_point(|bound| *bound < micros)], 1);
        bump(&self.1, micros);
    }

    /// All times together, in microseconds.
    pub(crate) fn sum_us(&self) -> u64 {
        self.1.load(Relaxed)
    }

    pub(crate) fn add_to(&self, sum: &mut Vec<u64>) {
        sum.resize(self.0.len(), 0);
        for (sum, count) in sum.iter_mut().zip(&self.0) {
            *sum += count.load(Relaxed);
        }
    }
}

/// Adds to a counter that only this worker writes: no locked instruction.
pub(crate) fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// A process of a replica: a replica that is started again is another process.
#[derive(Debug, Default)]
pub(crate) struct ProcessLive {
    /// Its pidfd told that it is gone.
    pub(crate) gone: AtomicBool,
}

/// One worker's counts of one replica.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct ReplicaShard {
    pub(crate) requests: AtomicU64,
    pub(crate) errors: AtomicU64,
    /// Those of the requests that nobody waited for.
    pub(crate) copies: AtomicU64,
    pub(crate) latency: Histogram,
    /// What was synthetic of all these; made when the first one ends.
    pub(crate) synthetic: OnceLock<Box<SyntheticShard>>,
}

/// One worker's counts of synthetic requests to one replica.
#[derive(Debug, Default)]
pub(crate) struct SyntheticShard {
    pub(crate) requests: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) latency: Histogram,
}

/// One replica.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct ReplicaLive {
    pub(crate) id: ReplicaId,
    /// `id` as text.
    pub(crate) name: String,
    pub(crate) in_flight: AtomicU32,
    pub(crate) latency_us: AtomicU32,
    /// Failures since the last success.
    pub(crate) failures: AtomicU32,
    /// As `weigh` said.
    pub(crate) share: AtomicU16,
    pub(crate) ejected: AtomicBool,
    pub(crate) shards: Box<[ReplicaShard]>,
}

impl ReplicaLive {
    fn new(id: ReplicaId, workers: usize) -> Self {
        Self {
            name: id.to_string(),
            id,
            in_flight: AtomicU32::new(0),
            latency_us: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            share: AtomicU16::new(0),
            ejected: AtomicBool::new(false),
            shards: (0..workers).map(|_| ReplicaShard::default()).collect(),
        }
    }

    /// The head of an answer came after so long.
    pub(crate) fn note_latency(&self, micros: u64) {
        self.latency_us.store(noted::latency(self.latency_us.load(Relaxed), micros), Relaxed);
    }

    pub(crate) fn answers(&self) -> u64 {
        self.shards.iter().map(|shard| shard.requests.load(Relaxed)).sum()
    }
}

/// One service.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct ServiceLive {
    pub(crate) in_flight: AtomicU32,
    /// Requests that wait for a replica.
    pub(crate) held: AtomicU32,
    /// Told whenever a replica may have become ready.
    pub(crate) ready: Notify,
    /// What may be tried again, in thousandths.
    pub(crate) retries_left: AtomicU64,
    /// Copies of requests that are under way to a canary …
    pub(crate) copies: AtomicU32,
    /// … and those that were not sent because too many were.
    pub(crate) copies_dropped: AtomicU64,
    /// Synthetic requests that are under way …
    pub(crate) synthetic: AtomicU32,
    /// … and whether somebody makes them.
    pub(crate) is_asked: AtomicBool,
    /// Requests of each worker.
    pub(crate) requests: Box<[Padded]>,
}

/// A counter on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded(pub(crate) AtomicU64);

impl ServiceLive {
    fn new(policy: &Resilience, workers: usize) -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            held: AtomicU32::new(0),
            ready: Notify::new(),
            retries_left: AtomicU64::new(budget::start(policy)),
            copies: AtomicU32::new(0),
            copies_dropped: AtomicU64::new(0),
            synthetic: AtomicU32::new(0),
            is_asked: AtomicBool::new(false),
            requests: (0..workers).map(|_| Padded::default()).collect(),
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.iter().map(|shard| shard.0.load(Relaxed)).sum()
    }

    /// Takes one retry from the allowance; `false` if nothing is left of it.
    pub(crate) fn take_retry(&self) -> bool {
        self.retries_left.fetch_update(Relaxed, Relaxed, budget::take).is_ok()
    }
}

/// One worker's counts of one route.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct RouteShard {
    /// Answers by class: 1xx … 5xx.
    pub(crate) statuses: [AtomicU64; 5],
    pub(crate) requests: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) shed: AtomicU64,
    pub(crate) latency: Histogram,
}

/// One route: `host/prefix`, or `from->to` of an edge.
#[derive(Debug)]
pub(crate) struct RouteLive {
    pub(crate) name: String,
    pub(crate) shards: Box<[RouteShard]>,
}

/// Everything that outlives an edition, by name. Touched only when an edition is compiled.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) workers: usize,
    pub(crate) replicas: BTreeMap<ReplicaId, Arc<ReplicaLive>>,
    pub(crate) processes: BTreeMap<String, Arc<ProcessLive>>,
    pub(crate) services: BTreeMap<String, Arc<ServiceLive>>,
    pub(crate) routes: BTreeMap<String, Arc<RouteLive>>,
    pools: BTreeMap<(ReplicaId, String, String), u64>,
    pools_made: u64,
}

impl Registry {
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers, ..Self::default() }
    }

    pub(crate) fn replica(&mut self, id: &ReplicaId) -> Arc<ReplicaLive> {
        let workers = self.workers;
        Arc::clone(self.replicas.entry(id.clone()).or_insert_with(|| Arc::new(ReplicaLive::new(id.clone(), workers))))
    }

    pub(crate) fn process(&mut self, id: &str) -> Arc<ProcessLive> {
        Arc::clone(self.processes.entry(id.to_owned()).or_default())
    }

    /// The figures of a service; one that is new begins with what its policy allows to be tried again.
    pub(crate) fn service(&mut self, name: &str, policy: &Resilience) -> Arc<ServiceLive> {
        let workers = self.workers;
        Arc::clone(self.services.entry(name.to_owned()).or_insert_with(|| Arc::new(ServiceLive::new(policy, workers))))
    }

    pub(crate) fn route(&mut self, name: &str) -> Arc<RouteLive> {
        let workers = self.workers;
        let make = || {
            let shards = (0..workers).map(|_| RouteShard::default()).collect();
            Arc::new(RouteLive { name: name.to_owned(), shards })
        };
        Arc::clone(self.routes.entry(name.to_owned()).or_insert_with(make))
    }

    /// A number for the connections to one process at one address; never used for another.
    pub(crate) fn pool(&mut self, id: &ReplicaId, process: &str, address: String) -> u64 {
        *self.pools.entry((id.clone(), process.to_owned(), address)).or_insert_with(|| {
            self.pools_made += 1;
            self.pools_made
        })
    }

    /// Forgets what nobody refers to any more: neither an edition nor a request.
    pub(crate) fn forget_unused(&mut self) {
        self.replicas.retain(|_, live| Arc::strong_count(live) > 1);
        self.processes.retain(|_, live| Arc::strong_count(live) > 1);
        self.services.retain(|_, live| Arc::strong_count(live) > 1);
        self.routes.retain(|_, live| Arc::strong_count(live) > 1);
        let processes = &self.processes;
        let replicas = &self.replicas;
        self.pools.retain(|(id, process, _), _| replicas.contains_key(id) && processes.contains_key(process));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_in_their_buckets() {
        let histogram = Histogram::default();
        for micros in [0, 100, 101, 10_000_000, 10_000_001] {
            histogram.count(micros);
        }
        let mut sum = Vec::new();
        histogram.add_to(&mut sum);
        assert_eq!((sum[0], sum[1], sum[21], sum[22]), (2, 1, 1, 1));
        assert_eq!(histogram.sum_us(), 20_000_202);
    }

    #[test]
    fn what_a_request_still_uses_is_not_forgotten() {
        let mut registry = Registry::new(1);
        let used = registry.replica(&ReplicaId::new("web", 1));
        let _ = registry.replica(&ReplicaId::new("web", 2));
        registry.forget_unused();
        assert_eq!(registry.replicas.keys().collect::<Vec<_>>(), [&used.id]);
    }
}
