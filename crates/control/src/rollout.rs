//! How a new version of a service comes in: which revisions run, how many of each, and who gets which share of traffic.
//!
//! Rolling and recreate go as the Deployment controller of Kubernetes 1.36 goes about them (see [`crate::reconcile`]):
//! a missed deadline is told and nothing is rolled back for it. Blue-green and canary bring the new version up beside the
//! old one; a missed deadline, a person or the analysis ([`crate::analysis`]) sends it back. A revision that was sent back
//! is quarantined: it is not tried again until a person forgives it or the file asks for another one.
//!
//! Invariant: a revision without an available replica is given no share while another one has replicas that are.
//! Invariant: shares add up to the whole, or there are none (then every replica is a full one).
//! Invariant: with an analysis set and `inconclusive` not `promote`, blue-green and canary promote nothing without data.
//! Invariant: synthetic requests are asked of both versions or of none, and only in a step of a release whose file says so.
//! Invariant: deciding again at the same instant, with nothing new seen, changes nothing and tells nothing.

mod advance;
mod audience;
mod back;
mod layout;
mod memory;
mod progress;
mod soak;
mod steps;
mod synthetic;
pub mod together;
mod words;

pub use back::{Back, back};
pub use memory::{Command, MEMORY_VERSION, Memory, PAST_MAX, Paused, Quarantined, Stage, Wish};
pub use progress::Progress;

use crate::analysis::{Counts, Verdict};
use crate::reconcile::rolling::RollingPolicy;
use crate::reconcile::{ReplicaSeen, SetWanted};
use plimsoll_model::probe::Probe;
use plimsoll_model::rollout::{Rollout, Strategy};
use plimsoll_model::{Amount, Instant, Millis, Ratio, RevisionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How one service is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How many replicas are wanted now, by the file or by the autoscaler.
    pub replicas: u32,
    /// Strategy, limits and times of the file.
    pub rollout: Rollout,
    /// So long a readiness probe takes at most to find that a replica of the old version no longer works.
    #[serde(default)]
    pub watch: Millis,
}

impl Policy {
    /// The policy of a service's file, for so many replicas.
    #[must_use]
    pub fn of(rollout: &Rollout, readiness: Option<&Probe>, replicas: u32) -> Self {
        let watch =
            readiness.map(|probe| Millis(probe.period.0 * u64::from(probe.failure_threshold) + probe.timeout.0));
        Self { replicas, rollout: rollout.clone(), watch: watch.unwrap_or_default() }
    }

    /// Surge and unavailability; those of the strategies that have none only matter when the number changes.
    fn rolling(&self) -> RollingPolicy {
        let quarter = Amount::Share(Ratio::percent(25));
        let (max_surge, max_unavailable) = match self.rollout.strategy {
            Strategy::Rolling { max_surge, max_unavailable } => (max_surge, max_unavailable),
            _ => (quarter, quarter),
        };
        RollingPolicy { replicas: self.replicas, max_surge, max_unavailable, min_ready: self.rollout.min_ready }
    }

    /// For so long after it was promoted, a version that breaks its limits is still sent back. Where nothing is measured,
    /// nothing can be found later.
    fn bake(&self) -> Millis {
        if self.rollout.analysis.is_some() { self.rollout.bake } else { Millis(0) }
    }

    /// Without progress for so long it is told; Kubernetes: 600 s.
    fn deadline(&self) -> Millis {
        self.rollout.progress_deadline.unwrap_or(Millis::from_secs(600))
    }

    /// Replicas of a canary that is to take `share`: at least one, and so many that none of them has more to do than one of
    /// the old version, as long as the full number is enough for that. With more to do it would be slower for that alone.
    fn canary(&self, share: Ratio) -> u32 {
        let rest = Ratio::ONE.0.saturating_sub(share.0).max(1);
        let count = (u64::from(self.replicas) * share.0).div_ceil(rest);
        u32::try_from(count).unwrap_or(u32::MAX).clamp(1.min(self.replicas), self.replicas)
    }
}

/// What a world tells.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Now.
    pub at: Instant,
    /// The revision that the file asks for.
    pub wanted: RevisionId,
    /// Every replica of this service, those being stopped too; one that was ordered and has not been seen is `Starting`.
    pub replicas: Vec<ReplicaSeen>,
    /// What each revision answered since the last decision, span by span, oldest first; each span once.
    pub spans: Vec<BTreeMap<RevisionId, Counts>>,
    /// What people asked for since the last decision; one that comes twice does no harm.
    pub commands: Vec<Command>,
    /// What is wanted is no new version (replicas started anew, or a version that was promoted before): it takes the place
    /// of the present one as a rolling update does, whatever the strategy, and no analysis stops it.
    #[serde(default)]
    pub at_once: bool,
    /// The `before` command of a revision has ended since the last decision.
    #[serde(default)]
    pub prepared: Option<Prepared>,
}

/// How a `before` command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// Of which revision.
    pub revision: RevisionId,
    /// Why it failed, with the end of its output; `None`: it didn't.
    pub failed: Option<String>,
}

/// A part of the traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Whose.
    pub revision: RevisionId,
    /// How much.
    pub share: Ratio,
}

/// Something that happened in a release, for its ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Event {
    /// It began.
    Began {
        /// What comes in.
        revision: RevisionId,
    },
    /// Its `before` command has ended well.
    Prepared {
        /// Which.
        revision: RevisionId,
    },
    /// The new version now gets this share.
    Reached {
        /// How much.
        share: Ratio,
        /// Which requests it has, where no share of all says so.
        #[serde(default)]
        whom: Option<String>,
    },
    /// Its users ask too little for a verdict: both versions are asked synthetic requests until the step is over.
    Asked {
        /// How many of each.
        per_second: u32,
        /// How little.
        why: String,
    },
    /// It waits for a person.
    Paused {
        /// Why.
        why: String,
    },
    /// It goes on.
    Resumed {
        /// By whom.
        by: String,
    },
    /// The new version is the one.
    Promoted {
        /// Which.
        revision: RevisionId,
    },
    /// It was sent back and quarantined.
    RolledBack {
        /// What was sent back.
        revision: RevisionId,
        /// Why.
        why: String,
    },
    /// The file asks for the old version again: the release is over, and nothing is held against the new one.
    Withdrawn {
        /// What was coming in.
        revision: RevisionId,
    },
    /// A quarantined revision may be tried again.
    Forgiven {
        /// Which.
        revision: RevisionId,
        /// By whom.
        by: String,
    },
    /// No progress for as long as the deadline allows.
    DeadlineExceeded,
    /// There is progress again.
    Progressing,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Decision {
    /// How many of each revision should run.
    pub sets: Vec<SetWanted>,
    /// Who gets how much. Empty: every replica that serves is a full one.
    pub shares: Vec<Share>,
    /// The version that comes in as a canary, while both can serve: from its first step on it is shown to whom its audience
    /// says. Beside its share: a canary that requests have to match has no share by chance.
    pub canary: Option<RevisionId>,
    /// The old and the new version, which are asked synthetic requests now, both as often; empty: none are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub synthetic: Vec<RevisionId>,
    /// The `before` command of this revision is to be run; asked again and again until it has ended.
    pub prepare: Option<RevisionId>,
    /// What happened now; empty when nothing did.
    pub events: Vec<Event>,
    /// What the analysis says, where there is one.
    pub verdict: Option<Verdict>,
    /// The arithmetic behind `events`, line by line; without an event, only that of the analysis where there is one.
    pub steps: Vec<String>,
    /// The wanted revision runs alone, and all of it.
    pub complete: bool,
    /// For a person: where it stands and why.
    pub reason: String,
    /// When to ask again if nothing is seen before.
    pub again_at: Option<Instant>,
}

/// Decides how a service's release goes on.
pub fn decide(policy: &Policy, memory: &mut Memory, seen: &Seen) -> Decision {
    let mut decision = Decision::default();
    let before = memory.clone();
    advance::obey(memory, seen, &mut decision);
    advance::aim(policy, memory, seen, &mut decision);
    advance::observe(policy, memory, seen);
    layout::lay(policy, memory, seen, &mut decision);
    // One look can pass several stages (a set that is there already, steps that are due); each is passed once.
    while advance::step(policy, memory, seen, &mut decision) {
        layout::lay(policy, memory, seen, &mut decision);
    }
    decision.reason = layout::reason(policy, memory, seen);
    if !decision.events.is_empty() {
        let judged = std::mem::take(&mut decision.steps);
        decision.steps = steps::of(policy, (&before, memory), seen, judged);
    }
    decision
}
