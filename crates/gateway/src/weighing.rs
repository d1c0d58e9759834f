//! Asks `control::route::weigh` ten times a second (and at once when a replica fails too often), and tells the live figures.

use crate::{ejections::Ejections, shared::Shared, table::Table};
use plimsoll_control::account::Eject;
use plimsoll_control::route::{Memory, Seen, SeenReplica, Standing, Weighed, budget, weigh};
use plimsoll_model::{Instant, Millis};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::time;

/// Between two questions.
const PERIOD: Duration = Duration::from_millis(100);
/// Between two questions that a failing replica asked for.
const SHORTEST: Duration = Duration::from_millis(5);

/// What is remembered of all services.
#[derive(Debug, Default)]
pub(crate) struct Weigher {
    services: BTreeMap<String, Service>,
}

#[derive(Debug, Default)]
struct Service {
    memory: Memory,
    /// Nothing changes before the next request or edition: the table's edition, and the requests so far.
    settled: Option<(u64, u64)>,
    requests: u64,
    filled_at: Instant,
}

impl Weigher {
    /// Weighs all replicas of `table` and tells their live figures.
    pub(crate) fn weigh(&mut self, table: &Table, at: Instant, ejections: &Mutex<Ejections>) {
        self.services.retain(|name, _| table.services.contains_key(name));
        for (name, backend) in &table.services {
            let service = self.services.entry(name.clone()).or_default();
            let requests = backend.live.requests();
            if service.settled == Some((table.edition, requests)) {
                continue;
            }
            let replicas = backend.endpoints.iter().map(|endpoint| SeenReplica {
                id: endpoint.live.id.clone(),
                start: endpoint.pool,
                serving: endpoint.serving,
                gone: endpoint.process.gone.load(Relaxed),
                weight: endpoint.weight,
                failures: endpoint.live.failures.load(Relaxed),
                answers: endpoint.live.answers(),
                latency_us: endpoint.live.latency_us.load(Relaxed),
            });
            let seen = Seen { at, replicas: replicas.collect() };
            // Nobody can be left out, or come back, where nobody has failed.
            let fails = seen.replicas.iter().any(|replica| replica.failures > 0);
            let former = fails.then(|| service.memory.clone());
            let weighed = weigh(&backend.resilience, &mut service.memory, &seen);
            let (mut opened, mut turned) = (false, false);
            for ((endpoint, seen), weighed) in backend.endpoints.iter().zip(&seen.replicas).zip(&weighed) {
                let ejected = matches!(weighed.standing, Standing::Ejected { .. });
                endpoint.live.share.store(weighed.share, Relaxed);
                let before = endpoint.live.ejected.swap(ejected, Relaxed);
                opened |= before && !ejected;
                turned |= before != ejected && weighed.standing != Standing::Closed;
                if weighed.latency_us != seen.latency_us {
                    endpoint.live.latency_us.store(weighed.latency_us, Relaxed);
                }
            }
            if opened {
                backend.live.ready.notify_waiters();
            }
            if let Some(memory) = former.filter(|_| turned) {
                let asked = Eject { policy: backend.resilience.clone(), memory, seen };
                ejections.lock().unwrap_or_else(PoisonError::into_inner).keep(name, &asked, &weighed);
            }
            let settled = weighed.iter().all(Weighed::is_settled)
                && service.requests == requests
                && backend.live.retries_left.load(Relaxed) >= budget::start(&backend.resilience);
            service.settled = settled.then_some((table.edition, requests));
            let elapsed = at.since(service.filled_at).0;
            if elapsed >= 50 {
                let new = requests.saturating_sub(service.requests);
                let fill = |left| {
                    budget::refill(&backend.resilience, budget::Seen { left, requests: new, elapsed: Millis(elapsed) })
                };
                // `fill` may run again if a retry was taken meanwhile.
                let _ = backend.live.retries_left.fetch_update(Relaxed, Relaxed, |left| Some(fill(left)));
                (service.requests, service.filled_at) = (requests, at);
            }
        }
    }
}

/// Weighs until the end of the gateway.
pub(crate) async fn keep_weighing(shared: Arc<Shared>, weigher: Arc<Mutex<Weigher>>) {
    loop {
        let nudged = time::timeout(PERIOD, shared.nudge.notified()).await.is_ok();
        let at = shared.instant(std::time::Instant::now());
        weigher.lock().unwrap_or_else(PoisonError::into_inner).weigh(&shared.table.load(), at, &shared.ejections);
        if nudged {
            time::sleep(SHORTEST).await;
        }
    }
}
