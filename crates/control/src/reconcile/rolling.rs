//! A rolling update, as the Deployment controller of Kubernetes 1.36 goes about it (`pkg/controller/deployment`).
//!
//! One call does what its successive syncs do while nothing else happens: scale all sets in proportion when the wanted
//! number changed, else grow the new set and then shrink the old ones. Replicas that are being stopped are not counted,
//! so more than `replicas` + surge processes can run for a moment; that is Kubernetes' meaning too.
//!
//! Invariant: all sets together never grow beyond `replicas` + surge.
//! Invariant: no available replica is given up that is needed for `replicas` − unavailable; except that a change of the
//! wanted number in the midst of a rollout is spread over the sets by size, available or not, as Kubernetes does.
//! Invariant: a revision that was half brought in when the next one came is old like any other.

mod proportion;

use super::{Phase, ReplicaSeen, SetWanted};
use plimsoll_model::{Amount, Instant, Millis, RevisionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a service is rolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollingPolicy {
    /// How many replicas are wanted in all.
    pub replicas: u32,
    /// How many more there may be; a share is rounded up.
    pub max_surge: Amount,
    /// How many fewer may be available; a share is rounded down. If both come to 0, this one is 1.
    pub max_unavailable: Amount,
    /// Ready for so long before a replica counts as available.
    pub min_ready: Millis,
}

impl RollingPolicy {
    /// How many replicas more than wanted there may be.
    #[must_use]
    pub fn surge(&self) -> u32 {
        resolve(self.max_surge, self.replicas, u64::div_ceil)
    }

    /// How many replicas fewer than wanted may be available.
    #[must_use]
    pub fn unavailable(&self) -> u32 {
        let floor = resolve(self.max_unavailable, self.replicas, |part, whole| part / whole);
        let least = if self.surge() == 0 && floor == 0 { 1 } else { floor };
        least.min(self.replicas)
    }

    /// How many must stay available, as far as it lies with us.
    #[must_use]
    pub fn available_min(&self) -> u32 {
        self.replicas - self.unavailable()
    }

    /// How many all sets together may come to.
    fn allowed(&self) -> u32 {
        if self.replicas == 0 { 0 } else { self.replicas.saturating_add(self.surge()) }
    }
}

fn resolve(amount: Amount, replicas: u32, divide: fn(u64, u64) -> u64) -> u32 {
    match amount {
        Amount::Count(count) => count,
        Amount::Share(share) => {
            u32::try_from(divide(u64::from(replicas).saturating_mul(share.0), 1_000_000)).unwrap_or(u32::MAX)
        }
    }
}

/// The sets of a service, and how far its rollout is. What one call answers is handed to the next; durable, since it is
/// what stands between an old version and its early end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sets {
    /// Revision and size, oldest first. The new revision is always there, an old one only above 0.
    pub sets: Vec<SetWanted>,
    /// The number of replicas that the sets were laid out for; another number is a scaling.
    pub laid_for: u32,
    /// Every replica is of the new revision and available.
    pub complete: bool,
    /// For a person: how far it is and what it waits for.
    pub reason: String,
    /// When to ask again if nothing happens before (a replica becomes available by time); `None`: only when something
    /// is observed.
    pub again_at: Option<Instant>,
}

/// Decides the sets of one service. `former` is the last answer ([`Sets::default`] at the very first); `replicas` are
/// all replicas of this service and no other's, those being stopped too; one that was ordered and has not been observed
/// belongs here as `Starting`.
#[must_use]
pub fn sets(policy: &RollingPolicy, new: &RevisionId, former: &Sets, replicas: &[ReplicaSeen], at: Instant) -> Sets {
    let available = available(policy.min_ready, replicas, at);
    let mut layout = Layout::of(new, former, &available);
    let is_scaling = !former.sets.is_empty() && former.laid_for != policy.replicas;
    if is_scaling {
        layout.scale(policy, former.laid_for);
    }
    // Each round moves replicas from old sets to the new one, so that this ends.
    while layout.grow(policy) | layout.shrink(policy) {}
    layout.into_sets(policy, new, replicas, at)
}

/// How many replicas of each revision are available.
pub(super) fn available(min_ready: Millis, replicas: &[ReplicaSeen], at: Instant) -> BTreeMap<&RevisionId, u32> {
    let mut counts = BTreeMap::new();
    for replica in replicas.iter().filter(|replica| replica.available(min_ready, at)) {
        *counts.entry(&replica.revision).or_default() += 1;
    }
    counts
}

/// One set in the making.
#[derive(Debug, Clone)]
struct Part {
    revision: RevisionId,
    size: u32,
    available: u32,
}

impl Part {
    /// Available ones that remain once the set has its size: the others go first.
    fn available(&self) -> u32 {
        self.available.min(self.size)
    }
}

/// All sets in the making: the old ones, oldest first, and the new one.
struct Layout {
    parts: Vec<Part>,
    new: usize,
}

impl Layout {
    fn of(new: &RevisionId, former: &Sets, available: &BTreeMap<&RevisionId, u32>) -> Self {
        let part = |revision: &RevisionId, size| Part {
            revision: revision.clone(),
            size,
            available: available.get(revision).copied().unwrap_or(0),
        };
        let mut parts: Vec<Part> = former.sets.iter().map(|set| part(&set.revision, set.replicas)).collect();
        let position = parts.iter().position(|part| part.revision == *new);
        let new = position.unwrap_or_else(|| {
            parts.push(part(new, 0));
            parts.len() - 1
        });
        Self { parts, new }
    }

    fn total(&self) -> u32 {
        self.parts.iter().map(|part| part.size).sum()
    }

    fn old(&mut self) -> impl Iterator<Item = &mut Part> {
        let new = self.new;
        self.parts.iter_mut().enumerate().filter(move |(index, _)| *index != new).map(|(_, part)| part)
    }

    /// A change of the wanted number (`scale` in sync.go).
    fn scale(&mut self, policy: &RollingPolicy, before: u32) {
        let active = self.parts.iter().filter(|part| part.size > 0).count();
        if active <= 1 {
            // A lone set, whichever it is, takes the whole number first.
            let new = self.new;
            let lone = self.parts.iter().position(|part| part.size > 0).unwrap_or(new);
            self.parts[lone].size = policy.replicas;
            return;
        }
        let surge_before = RollingPolicy { replicas: before, ..*policy }.allowed();
        let mut sizes: Vec<u32> = self.parts.iter().map(|part| part.size).collect();
        proportion::spread(&mut sizes, surge_before, policy.allowed(), policy.replicas);
        for (part, size) in self.parts.iter_mut().zip(sizes) {
            part.size = size;
        }
    }

    /// Grows the new set as far as the surge allows (`reconcileNewReplicaSet`); whether anything changed.
    fn grow(&mut self, policy: &RollingPolicy) -> bool {
        let room = policy.replicas.saturating_add(policy.surge()).saturating_sub(self.total());
        let new = &mut self.parts[self.new];
        let before = new.size;
        if new.size > policy.replicas {
            new.size = policy.replicas;
        } else {
            new.size += room.min(policy.replicas - new.size);
        }
        new.size != before
    }

    /// Shrinks old sets as far as availability allows (`reconcileOldReplicaSets`); whether anything changed.
    fn shrink(&mut self, policy: &RollingPolicy) -> bool {
        let new = &self.parts[self.new];
        let coming = new.size - new.available();
        let mut budget = self.total().saturating_sub(policy.available_min()).saturating_sub(coming);
        if budget == 0 {
            return false;
        }
        let before = self.total();
        for part in self.old() {
            let unhealthy = (part.size - part.available()).min(budget);
            part.size -= unhealthy;
            budget -= unhealthy;
        }
        let available: u32 = self.parts.iter().map(Part::available).sum();
        let mut spare = available.saturating_sub(policy.available_min());
        for part in self.old() {
            let healthy = part.size.min(spare);
            part.size -= healthy;
            spare -= healthy;
        }
        self.total() != before
    }

    fn into_sets(self, policy: &RollingPolicy, new: &RevisionId, replicas: &[ReplicaSeen], at: Instant) -> Sets {
        let old: u32 = self.total() - self.parts[self.new].size;
        let waits = self.parts[self.new].size - self.parts[self.new].available();
        let sets = self.parts.into_iter().filter(|part| part.size > 0 || part.revision == *new);
        let sets = sets.map(|part| SetWanted { revision: part.revision, replicas: part.size }).collect();
        let progress = Progress::of(policy, new, replicas, at);
        let complete = old == 0 && progress.complete(policy.replicas);
        let reason = progress.reason(policy.replicas, waits, complete);
        Sets { sets, laid_for: policy.replicas, complete, reason, again_at: progress.again_at }
    }
}

/// How far a rollout is.
pub(super) struct Progress {
    all: u32,
    updated: u32,
    available: u32,
    again_at: Option<Instant>,
}

impl Progress {
    pub(super) fn of(policy: &RollingPolicy, new: &RevisionId, replicas: &[ReplicaSeen], at: Instant) -> Self {
        let count = |is: &dyn Fn(&&ReplicaSeen) -> bool| {
            u32::try_from(replicas.iter().filter(|one| one.phase != Phase::Stopping && is(one)).count())
                .unwrap_or(u32::MAX)
        };
        let then = replicas.iter().filter_map(|one| one.available_at(policy.min_ready)).filter(|then| *then > at);
        Self {
            all: count(&|_| true),
            updated: count(&|one| one.revision == *new),
            available: count(&|one| one.available(policy.min_ready, at)),
            again_at: then.min(),
        }
    }

    pub(super) fn complete(&self, wanted: u32) -> bool {
        self.all == wanted && self.updated == wanted && self.available == wanted
    }

    pub(super) fn again_at(&self) -> Option<Instant> {
        self.again_at
    }

    pub(super) fn reason(&self, wanted: u32, waits: u32, complete: bool) -> String {
        if complete {
            return format!("{wanted} of {wanted} replicas are new and available");
        }
        let Self { all, updated, available, .. } = self;
        let then =
            if waits > 0 { format!("; waits until {waits} of the new ones are available") } else { String::new() };
        format!("{updated} of {wanted} replicas are new, {all} run, {available} are available{then}")
    }
}
