//! What is held for or against each version of a service that is being released: what gateways saw, and what ended.

use super::{Engine, releasing::Release};
use plimsoll_control::analysis::{Counts, latency::Latencies};
use plimsoll_journal::entry::AcceptedSystem;
use plimsoll_model::{ReplicaId, RevisionId};
use plimsoll_wire::gateway::{BUCKETS_US, ReplicaFigures};
use std::collections::BTreeMap;

impl Engine {
    /// Keeps what a gateway saw since its last answer, for the releases that are judged by it.
    pub(super) fn sample_releases(&mut self, gateway: &str) {
        let Some(accepted) = &self.record.remembered.accepted else { return };
        let Some((figures, former, _)) = self.gateways.last_span(gateway) else { return };
        for (name, release) in &mut self.releases {
            if !is_judged(accepted, name, release) {
                continue;
            }
            let mut span: BTreeMap<RevisionId, Counts> = BTreeMap::new();
            for (replica, now) in figures.replicas.iter().filter(|(replica, _)| super::figures::is_of(replica, name)) {
                let known = replica.parse::<ReplicaId>().ok().and_then(|id| self.replicas.get(&id));
                let Some(known) = known else { continue };
                let then = former.replicas.get(replica).cloned().unwrap_or_default();
                add(span.entry(known.revision.clone()).or_default(), now, &then);
            }
            if span.values().any(|counts| counts.requests > 0) {
                release.spans.push(span);
            }
        }
    }

    /// Keeps that a replica ended by itself, for a release that is judged.
    pub(super) fn sample_end(&mut self, id: &ReplicaId) {
        let Some(accepted) = &self.record.remembered.accepted else { return };
        let (Some(replica), Some(release)) = (self.replicas.get(id), self.releases.get_mut(&id.service)) else {
            return;
        };
        if is_judged(accepted, &id.service, release) {
            let counts = Counts { ends: 1, ..Counts::default() };
            release.spans.push(BTreeMap::from([(replica.revision.clone(), counts)]));
        }
    }

    /// Whether a release waits for what gateways see.
    pub(super) fn releases_by_traffic(&self) -> bool {
        let Some(accepted) = &self.record.remembered.accepted else { return false };
        self.releases.iter().any(|(name, release)| is_judged(accepted, name, release))
    }
}

/// Whether what happens now to the versions of this service counts for or against the new one.
fn is_judged(accepted: &AcceptedSystem, name: &str, release: &Release) -> bool {
    let service = accepted.system.services.get(name);
    release.memory.is_judging() && service.is_some_and(|service| service.rollout.analysis.is_some())
}

/// Adds what a replica did between two answers of a gateway.
fn add(counts: &mut Counts, now: &ReplicaFigures, then: &ReplicaFigures) {
    let errors = now.errors.saturating_sub(then.errors);
    // A request can fail long after it came: in the span in which it fails there may be no other.
    counts.requests += now.requests.saturating_sub(then.requests).max(errors);
    counts.errors += errors;
    add_latencies(&mut counts.latencies, &now.latency, &then.latency);
    let (own, former) = (&now.synthetic, &then.synthetic);
    counts.synthetic.requests += own.requests.saturating_sub(former.requests);
    counts.synthetic.errors += own.errors.saturating_sub(former.errors);
    add_latencies(&mut counts.synthetic.latencies, &own.latency, &former.latency);
}

fn add_latencies(latencies: &mut Latencies, now: &[u64], then: &[u64]) {
    for (place, count) in now.iter().enumerate() {
        let new = count.saturating_sub(then.get(place).copied().unwrap_or(0));
        if new > 0 {
            latencies.add(middle(place), new);
        }
    }
}

/// The middle of a bucket in microseconds; what lies beyond them all counts as twice the last bound.
fn middle(place: usize) -> u64 {
    let below = place.checked_sub(1).and_then(|before| BUCKETS_US.get(before)).copied().unwrap_or(0);
    BUCKETS_US.get(place).map_or(below * 2, |above| below.midpoint(*above))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_failure_is_counted_though_no_request_came() {
        let then = ReplicaFigures { requests: 10, errors: 1, latency: vec![0, 4], ..ReplicaFigures::default() };
        let now = ReplicaFigures { errors: 3, latency: vec![1, 4, 2], ..then.clone() };
        let mut counts = Counts::default();
        add(&mut counts, &now, &then);
        assert_eq!((counts.requests, counts.errors, counts.latencies.count()), (2, 2, 3));
    }

    #[test]
    fn a_bucket_stands_for_its_middle() {
        assert_eq!((middle(0), middle(1), middle(22)), (50, 150, 20_000_000));
    }
}
