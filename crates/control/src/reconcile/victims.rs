//! Which replicas of a set go first, as a Kubernetes ReplicaSet chooses (`ActivePodsWithRanks`, 1.36): those that ended,
//! then not ready before ready, then ready for a shorter time, more restarts, younger. Times are compared by powers of
//! two, so that replicas of about the same age are equal; among equals the latest made goes first.
//!
//! One thing is more careful than there: a ready replica that is not yet available goes before one that is, although
//! both may be about equally long ready.

use super::{Phase, ReplicaSeen};
use plimsoll_model::{Instant, Millis};
use std::cmp::{Ordering, Reverse};

/// Sorts so that whoever goes first stands first.
pub(super) fn sort(replicas: &mut [&ReplicaSeen], min_ready: Millis, at: Instant) {
    replicas.sort_by(|one, other| order(one, other, min_ready, at));
}

fn order(one: &ReplicaSeen, other: &ReplicaSeen, min_ready: Millis, at: Instant) -> Ordering {
    let state = |replica: &ReplicaSeen| match replica.phase {
        Phase::Done | Phase::Failed => 0,
        Phase::Ready if replica.available(min_ready, at) => 3,
        Phase::Ready => 2,
        _ => 1,
    };
    let ready =
        |replica: &ReplicaSeen| replica.ready_since.filter(|_| replica.phase == Phase::Ready).map(|t| age(t, at));
    state(one)
        .cmp(&state(other))
        .then_with(|| ready(one).cmp(&ready(other)))
        .then_with(|| other.restarts.cmp(&one.restarts))
        .then_with(|| age(one.started_at, at).cmp(&age(other.started_at, at)))
        .then_with(|| Reverse(&one.id).cmp(&Reverse(&other.id)))
}

/// The power of two of an age in nanoseconds; 0 for a moment that lies ahead.
fn age(then: Instant, at: Instant) -> u32 {
    u128::from(at.0.saturating_sub(then.0)).saturating_mul(1000).checked_ilog2().map_or(0, |log| log + 1)
}
