//! The whole system: which replicas to start and which to stop so that what runs becomes what is wanted.
//!
//! A service's first start waits for the stores and services that it uses; once it has begun, one of them that fails
//! does not stop it. Which replica goes first is Kubernetes' order for a ReplicaSet. A service that is no longer wanted
//! goes after its users.
//!
//! Invariant: after the acts, every set that is wanted has its number of replicas, neither more nor less, unless its
//! service waits.
//! Invariant: a replica is stopped once; nothing that is being stopped or has ended is stopped again.
//! Invariant: with the acts in `ordered`, or carried out and observed, deciding again gives no act.

pub mod recreate;
pub mod rolling;
mod seen;
mod victims;

pub use seen::{Act, Decision, Ordered, Phase, ReplicaSeen, Seen, ServiceWanted, SetWanted, Waiting, Wanted};

use crate::order;
use plimsoll_model::{Instant, Millis, ReplicaId, RevisionId};
use std::collections::{BTreeMap, BTreeSet};

/// Decides what to start and what to stop now.
#[must_use]
pub fn decide(wanted: &Wanted, seen: &Seen) -> Decision {
    let view = View::of(seen);
    let mut decision = Decision::default();
    let mut starts = vec![];
    for (name, service) in &wanted.services {
        let on = not_ready(wanted, &view, service, &mut decision.again_at);
        let waits = !on.is_empty() && !view.has_begun(name) && service.sets.iter().any(|set| set.replicas > 0);
        for set in &service.sets {
            let (stops, missing) = view.balance(name, set, service.min_ready);
            decision.acts.extend(stops);
            if missing > 0 && !waits {
                starts.push(Act::Start { service: name.clone(), revision: set.revision.clone(), count: missing });
            }
        }
        if waits {
            decision.waiting.push(Waiting { service: name.clone(), on });
        }
    }
    decision.acts.extend(superfluous(wanted, &view));
    decision.acts.append(&mut starts);
    if decision.waiting.is_empty() {
        decision.again_at = None;
    }
    decision
}

/// What is seen, with the ordered acts taken in.
struct View<'a> {
    seen: &'a Seen,
    /// Replicas that neither are being stopped nor will be.
    staying: Vec<&'a ReplicaSeen>,
    /// Starts that were ordered and not observed, by service and revision.
    coming: BTreeMap<(&'a str, &'a RevisionId), u32>,
}

impl<'a> View<'a> {
    fn of(seen: &'a Seen) -> Self {
        let stopped: BTreeSet<&ReplicaId> = seen.ordered.iter().filter_map(stopped).collect();
        let known: BTreeSet<&ReplicaId> = seen.replicas.iter().map(|replica| &replica.id).collect();
        let stays = |replica: &&ReplicaSeen| replica.phase != Phase::Stopping && !stopped.contains(&replica.id);
        let mut coming = BTreeMap::new();
        let mut counted = BTreeSet::new();
        for order in &seen.ordered {
            let Ordered::Start { replica, revision } = order else { continue };
            let gone = known.contains(replica) || stopped.contains(replica);
            if !gone && counted.insert(replica) {
                *coming.entry((replica.service.as_str(), revision)).or_default() += 1;
            }
        }
        Self { seen, staying: seen.replicas.iter().filter(stays).collect(), coming }
    }

    /// Whether a service was ever started.
    fn has_begun(&self, service: &str) -> bool {
        self.seen.begun.contains(service)
            || self.coming.keys().any(|(name, _)| *name == service)
            || self.seen.replicas.iter().any(|replica| replica.id.service == service)
    }

    /// Which replicas of a set must go, and how many are missing.
    fn balance(&self, service: &str, set: &SetWanted, min_ready: Millis) -> (Vec<Act>, u32) {
        let is_ours = |replica: &&ReplicaSeen| replica.id.service == service && replica.revision == set.revision;
        let mut ours: Vec<&ReplicaSeen> = self.staying.iter().copied().filter(is_ours).collect();
        let coming = self.coming.get(&(service, &set.revision)).copied().unwrap_or(0);
        let wanted = set.replicas as usize;
        let have = ours.len() + coming as usize;
        if have <= wanted {
            return (vec![], u32::try_from(wanted - have).unwrap_or(u32::MAX));
        }
        victims::sort(&mut ours, min_ready, self.seen.at);
        let reason = format!("{wanted} of revision {} wanted, {have} are there", set.revision);
        (ours.into_iter().take(have - wanted).map(|replica| stop(replica, reason.clone())).collect(), 0)
    }
}

fn stopped(order: &Ordered) -> Option<&ReplicaId> {
    match order {
        Ordered::Stop { replica } => Some(replica),
        Ordered::Start { .. } => None,
    }
}

fn stop(replica: &ReplicaSeen, reason: String) -> Act {
    Act::Stop { replica: replica.id.clone(), reason }
}

/// What a service uses and that is not ready. Notes when one of them will be available.
fn not_ready(wanted: &Wanted, view: &View, service: &ServiceWanted, again_at: &mut Option<Instant>) -> Vec<String> {
    let at = view.seen.at;
    let ready = |name: &String| {
        if let Some(ready) = view.seen.stores.get(name) {
            return Ok(*ready);
        }
        let Some(used) = wanted.services.get(name) else { return Ok(false) };
        // Nothing of it is wanted (scaled to 0): there is nothing to wait for.
        if used.sets.iter().all(|set| set.replicas == 0) {
            return Ok(true);
        }
        let replicas = view.seen.replicas.iter().filter(|replica| replica.id.service == *name);
        if replicas.clone().any(|replica| replica.phase == Phase::Done) {
            return Ok(true);
        }
        match replicas.filter_map(|replica| replica.available_at(used.min_ready)).min() {
            Some(then) if then > at => Err(then),
            then => Ok(then.is_some()),
        }
    };
    let mut on = vec![];
    for name in &service.uses {
        match ready(name) {
            Ok(true) => continue,
            Ok(false) => {}
            Err(then) => *again_at = Some(again_at.map_or(then, |other| other.min(then))),
        }
        on.push(name.clone());
    }
    on
}

/// Stops of replicas whose revision or service is no longer wanted; a service goes when its leaving users are gone.
fn superfluous(wanted: &Wanted, view: &View) -> Vec<Act> {
    let leaving = |name: &str| wanted.services.get(name).is_none_or(|service| service.sets.is_empty());
    let uses: BTreeMap<String, Vec<String>> =
        wanted.services.iter().map(|(name, service)| (name.clone(), service.uses.clone())).collect();
    // Whoever still runs, even one that is being stopped, may still call what it uses.
    let running: BTreeSet<&str> = view
        .seen
        .replicas
        .iter()
        .filter(|replica| !matches!(replica.phase, Phase::Done | Phase::Failed))
        .map(|replica| replica.id.service.as_str())
        .chain(view.coming.keys().map(|(name, _)| *name))
        .filter(|name| leaving(name))
        .collect();
    let held =
        |name: &str| running.iter().any(|user| order::reaches(&uses, user, name) && !order::reaches(&uses, name, user));
    let mut acts = vec![];
    for replica in &view.staying {
        let service = replica.id.service.as_str();
        if leaving(service) {
            if !held(service) {
                acts.push(stop(replica, "its service is no longer wanted".into()));
            }
        } else if !wanted.services[service].sets.iter().any(|set| set.revision == replica.revision) {
            acts.push(stop(replica, format!("revision {} is no longer wanted", replica.revision)));
        }
    }
    acts
}
