//! After the last fault everything comes back, and no client waits for ever.

use crate::plan::{Plan, SECOND, ns};
use std::collections::BTreeSet;

/// The longest back-off, and a minute for probes and placing.
const CALM_NS: u64 = 360 * SECOND;
/// How late a time-out may be seen.
const LATE_NS: u64 = SECOND;

/// What is wanted and what is there.
#[derive(Debug)]
pub(super) struct Liveness {
    services: Vec<Own>,
    faults: u32,
    calm_since: u64,
    /// No client waits longer.
    patience_ns: u64,
}

#[derive(Debug)]
struct Own {
    name: String,
    ready: BTreeSet<u32>,
    wanted: u32,
    changed_at: u64,
    start_ns: u64,
}

impl Liveness {
    pub(super) fn new(plan: &Plan) -> Self {
        let services = plan.stations.iter().filter_map(|station| {
            station.service.as_ref()?;
            let name = station.name.clone();
            Some(Own { name, ready: BTreeSet::new(), wanted: 0, changed_at: 0, start_ns: station.start_ns })
        });
        let patience = plan
            .stations
            .iter()
            .filter_map(|station| station.service.as_ref())
            .map(|service| &service.limits)
            .map(|limits| {
                ns(limits.response).saturating_add(ns(limits.hold)).saturating_add(ns(limits.connect).saturating_mul(8))
            });
        // A request may wait for its own service, and that one for each that it calls.
        let patience_ns = patience.fold(LATE_NS, u64::saturating_add);
        Self { services: services.collect(), faults: 0, calm_since: 0, patience_ns }
    }

    pub(super) fn readiness(&mut self, (_, station): (u64, usize), replica: u32, ready: bool) {
        let Some(own) = self.services.get_mut(station) else { return };
        if ready {
            own.ready.insert(replica);
        } else {
            own.ready.remove(&replica);
        }
    }

    pub(super) fn sets(&mut self, (now, station): (u64, usize), total: u32) {
        let own = &mut self.services[station];
        if own.wanted != total {
            own.wanted = total;
            own.changed_at = now;
        }
    }

    pub(super) fn fault(&mut self, now: u64, begins: bool) {
        self.faults = if begins { self.faults + 1 } else { self.faults.saturating_sub(1) };
        self.calm_since = now;
    }

    /// Nobody waits longer than time-outs allow.
    pub(super) fn oldest(&self, now: u64, oldest: Option<u64>) -> Result<(), String> {
        let Some(begun) = oldest else { return Ok(()) };
        let waits = now.saturating_sub(begun);
        if waits <= self.patience_ns {
            return Ok(());
        }
        Err(format!("liveness: a client has waited for {:.1} s", waits as f64 / 1e9))
    }

    /// Every service that was left in peace for long enough has its replicas, unless there is no room for them.
    pub(super) fn end(&self, now: u64, pending: &[bool]) -> Vec<String> {
        if self.faults > 0 || now < self.calm_since + CALM_NS {
            return Vec::new();
        }
        let services = self.services.iter().zip(pending).filter(|(own, pending)| {
            let had_time = now >= own.changed_at + 2 * own.start_ns + 60 * SECOND;
            !**pending && had_time && (own.ready.len() as u32) < own.wanted
        });
        services
            .map(|(own, _)| format!("liveness: {} has {} of {} replicas ready", own.name, own.ready.len(), own.wanted))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn liveness(ready: &[u32], wanted: u32) -> Liveness {
        let own =
            Own { name: "web".into(), ready: ready.iter().copied().collect(), wanted, changed_at: 0, start_ns: 0 };
        Liveness { services: vec![own], faults: 0, calm_since: 0, patience_ns: SECOND }
    }

    #[test]
    fn what_does_not_come_back_is_found_once_it_had_the_time() {
        assert!(liveness(&[1, 2], 2).end(1000 * SECOND, &[false]).is_empty());
        assert_eq!(liveness(&[1], 2).end(1000 * SECOND, &[false]).len(), 1);
        assert!(liveness(&[1], 2).end(100 * SECOND, &[false]).is_empty());
        assert!(liveness(&[1], 2).end(1000 * SECOND, &[true]).is_empty());
    }

    #[test]
    fn who_waits_for_ever_is_found() {
        assert!(liveness(&[], 0).oldest(3 * SECOND, Some(SECOND)).is_err());
        assert!(liveness(&[], 0).oldest(3 * SECOND, Some(2 * SECOND)).is_ok());
    }
}
