//! Whether a system has come up, is still coming, or can't without help.
//!
//! Who brings a system up is told at once that a service crashes whenever it is started: waiting would change nothing for
//! ten seconds and more ([`crate::restart`]). It is started again all the same.
//!
//! Invariant: while anything may still get ready by itself within its next start, nothing is given up.

use crate::reconcile::Phase;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// So many ends in a row without a stable time between them are a crash loop: the next start waits for 10 s or longer.
const LOOP: u32 = 2;

/// One replica of a service that is not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaSeen {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub phase: Phase,
    /// Restarts in a row without a stable time between them.
    pub in_a_row: u32,
    /// Why it is in that phase, for a person.
    pub reason: String,
}

/// A service that is not as the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceSeen {
    /// What it waits for before it starts.
    pub waiting_on: Vec<String>,
    /// Its replicas, of whatever version.
    pub replicas: Vec<ReplicaSeen>,
}

/// What keeps a system from getting ready: a sentence for each replica that crashes or has failed. Empty: nothing, or
/// something is still coming. `missing` are the services that are not complete; `coming`: something beside them (a store, a
/// listener) is not ready yet.
#[must_use]
pub fn stuck(missing: &BTreeMap<String, ServiceSeen>, coming: bool) -> Vec<String> {
    let hopeless = |service: &ServiceSeen| service.replicas.iter().any(is_lost);
    let mut waits: BTreeMap<&String, &ServiceSeen> = missing.iter().filter(|(_, service)| !hopeless(service)).collect();
    // Whoever waits for one that is stuck is stuck itself.
    loop {
        let before = waits.len();
        let open: Vec<&String> = waits.keys().copied().collect();
        waits.retain(|_, service| {
            let on = &service.waiting_on;
            !on.iter().any(|name| missing.contains_key(name) && !open.contains(&name))
        });
        if waits.len() == before {
            break;
        }
    }
    let moving = missing.values().flat_map(|service| &service.replicas).any(may_move);
    if coming || moving || !waits.is_empty() {
        return Vec::new();
    }
    let lost = missing.values().flat_map(|service| &service.replicas).filter(|replica| is_lost(replica));
    lost.map(|replica| format!("{}: {}", replica.name, replica.reason)).collect()
}

/// It will not get ready by itself, or not soon.
fn is_lost(replica: &ReplicaSeen) -> bool {
    match replica.phase {
        Phase::Failed => true,
        Phase::BackOff => replica.in_a_row >= LOOP,
        _ => false,
    }
}

/// It may get ready, or end.
fn may_move(replica: &ReplicaSeen) -> bool {
    match replica.phase {
        Phase::Starting | Phase::Unready | Phase::Stopping => true,
        Phase::BackOff => replica.in_a_row < LOOP,
        Phase::Ready | Phase::Done | Phase::Failed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(name: &str, phase: Phase, in_a_row: u32) -> ReplicaSeen {
        ReplicaSeen { name: name.into(), phase, in_a_row, reason: "exited with code 3".into() }
    }

    fn service(on: &[&str], replicas: Vec<ReplicaSeen>) -> ServiceSeen {
        ServiceSeen { waiting_on: on.iter().map(|name| (*name).into()).collect(), replicas }
    }

    #[track_caller]
    fn check(missing: &[(&str, ServiceSeen)], coming: bool, want: &[&str]) {
        let missing = missing.iter().map(|(name, service)| ((*name).into(), service.clone())).collect();
        assert_eq!(stuck(&missing, coming), want);
    }

    #[test]
    fn a_crash_loop_is_told() {
        check(&[("a", service(&[], vec![replica("a-1", Phase::BackOff, 2)]))], false, &["a-1: exited with code 3"]);
        check(&[("a", service(&[], vec![replica("a-1", Phase::Failed, 0)]))], false, &["a-1: exited with code 3"]);
    }

    #[test]
    fn one_end_is_no_loop() {
        check(&[("a", service(&[], vec![replica("a-1", Phase::BackOff, 1)]))], false, &[]);
    }

    #[test]
    fn what_may_still_get_ready_is_waited_for() {
        let (lost, coming) = (replica("a-1", Phase::BackOff, 3), replica("b-1", Phase::Starting, 0));
        check(&[("a", service(&[], vec![lost.clone()])), ("b", service(&[], vec![coming]))], false, &[]);
        check(&[("a", service(&[], vec![lost.clone()]))], true, &[]);
        check(&[("a", service(&[], vec![lost, replica("a-2", Phase::Ready, 0)]))], false, &["a-1: exited with code 3"]);
    }

    #[test]
    fn whoever_waits_for_one_that_is_stuck_is_stuck() {
        let lost = service(&[], vec![replica("a-1", Phase::BackOff, 2)]);
        let chain = [("a", lost), ("b", service(&["a"], vec![])), ("c", service(&["b", "store"], vec![]))];
        check(&chain, false, &["a-1: exited with code 3"]);
        // One that waits for something else, or for nothing that is known, may begin at any moment.
        check(&[chain[0].clone(), ("d", service(&["store"], vec![]))], false, &[]);
        check(&[chain[0].clone(), ("d", service(&[], vec![]))], false, &[]);
    }

    #[test]
    fn nothing_missing_is_nothing_stuck() {
        check(&[], false, &[]);
    }
}
