//! What is wanted of a system, what is seen of it, and what is to be done.

use plimsoll_model::{Instant, Millis, ReplicaId, RevisionId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is wanted of a system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// By service. One that has replicas and is not here, or has no sets, is stopped; keep it here, without sets, so
    /// that its `uses` order the stopping.
    pub services: BTreeMap<String, ServiceWanted>,
}

/// What is wanted of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceWanted {
    /// How many of each revision; other revisions are stopped. From [`super::rolling`], [`super::recreate`] or a release.
    pub sets: Vec<SetWanted>,
    /// Stores and services that must be ready before it first starts.
    pub uses: Vec<String>,
    /// Ready for so long before a replica counts as available (for whoever uses this service).
    pub min_ready: Millis,
}

/// So many replicas of one revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetWanted {
    /// Which; once only in a service.
    pub revision: RevisionId,
    /// How many; 0 is none.
    pub replicas: u32,
}

/// What is known of a system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Now.
    pub at: Instant,
    /// By store: whether it is ready. One that is missing is not.
    pub stores: BTreeMap<String, bool>,
    /// Every replica that exists, of every service, in any order.
    pub replicas: Vec<ReplicaSeen>,
    /// Acts that were ordered. One that has been observed may still be here: it is told by the replica's identity.
    pub ordered: Vec<Ordered>,
    /// Services that were started before, though they may have no replica now: they wait for nobody.
    pub begun: BTreeSet<String>,
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaSeen {
    /// Which.
    pub id: ReplicaId,
    /// What it runs.
    pub revision: RevisionId,
    /// How far it is.
    pub phase: Phase,
    /// Ready without a break since then; `None` when it is not ready.
    pub ready_since: Option<Instant>,
    /// When its process, the last one, was started.
    pub started_at: Instant,
    /// How often it was started again.
    pub restarts: u32,
}

impl ReplicaSeen {
    /// Ready for at least `min_ready`. As in Kubernetes, with 0 whoever is ready is available.
    #[must_use]
    pub fn available(&self, min_ready: Millis, at: Instant) -> bool {
        self.available_at(min_ready).is_some_and(|then| then <= at)
    }

    /// When it is available if it stays ready; `None` when it is not ready.
    #[must_use]
    pub fn available_at(&self, min_ready: Millis) -> Option<Instant> {
        if self.phase != Phase::Ready {
            return None;
        }
        self.ready_since.map(|since| since.after(min_ready))
    }
}

/// How far a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// It was started and has not been ready yet.
    Starting,
    /// It may be sent requests.
    Ready,
    /// It was ready and is no longer.
    Unready,
    /// Its process ended and will be started again.
    BackOff,
    /// It is being stopped for good.
    Stopping,
    /// It ended by itself and well, and stays so, by its restart policy: whoever uses it need not wait. It keeps its place
    /// in its set until it is stopped, which then means forgotten.
    Done,
    /// As `Done`, but it did not end well.
    Failed,
}

/// An act that was ordered and may not have been observed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ordered {
    /// This replica is being started.
    Start {
        /// The name it was given.
        replica: ReplicaId,
        /// What it runs.
        revision: RevisionId,
    },
    /// This replica is being stopped.
    Stop {
        /// Which.
        replica: ReplicaId,
    },
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Act {
    /// Start new replicas; whoever does it gives them their names.
    Start {
        /// Of which service.
        service: String,
        /// Of which revision.
        revision: RevisionId,
        /// How many, at least 1.
        count: u32,
    },
    /// Stop one for good.
    Stop {
        /// Which.
        replica: ReplicaId,
        /// For a person.
        reason: String,
    },
}

/// A service that wants to start for the first time and waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Which.
    pub service: String,
    /// What it uses that is not ready; never empty.
    pub on: Vec<String>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Decision {
    /// What to do, stops first.
    pub acts: Vec<Act>,
    /// Who waits for whom.
    pub waiting: Vec<Waiting>,
    /// When to ask again if nothing happens before; `None`: only when something is observed.
    pub again_at: Option<Instant>,
}
