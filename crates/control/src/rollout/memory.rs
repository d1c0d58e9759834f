//! What a release remembers. It is durable: it is what stands between an old version and its early end.

use super::Progress;
use crate::analysis;
use crate::reconcile::rolling::Sets;
use plimsoll_model::{Instant, RevisionId};
use serde::{Deserialize, Serialize};

/// The version of [`Memory`] that this code writes.
pub const MEMORY_VERSION: u16 = 1;

/// What is carried from one decision to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The shape of this value; counts up with every change of meaning.
    pub version: u16,
    /// The revision that was last promoted; None before the first one.
    pub stable: Option<RevisionId>,
    /// What is coming in; None when nothing is.
    pub target: Option<RevisionId>,
    /// What was stable before, while the stable one is on probation.
    pub previous: Option<RevisionId>,
    /// How far it is.
    pub stage: Stage,
    /// It waits for a person.
    pub paused: Option<Paused>,
    /// The last sets.
    pub sets: Sets,
    /// What speaks for and against the new version.
    pub analysis: analysis::Memory,
    /// When anything last went forward.
    pub progress: Progress,
    /// Revisions that were sent back, oldest first.
    pub quarantine: Vec<Quarantined>,
    /// Revisions that were promoted and may be gone back to, the latest last; each once.
    #[serde(default)]
    pub past: Vec<RevisionId>,
    /// What is coming in is no new version: no strategy and no analysis, see [`super::Seen::at_once`].
    #[serde(default)]
    pub at_once: bool,
    /// A `before` command has taken away what the version before needs.
    #[serde(default)]
    pub contracted: bool,
    /// Since when both versions are asked synthetic requests in this step; None: users ask enough, or nothing is said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<Instant>,
}

/// So many promoted revisions can be gone back to.
pub const PAST_MAX: usize = 10;

impl Default for Memory {
    fn default() -> Self {
        Self {
            version: MEMORY_VERSION,
            stable: None,
            target: None,
            previous: None,
            stage: Stage::Settled,
            paused: None,
            sets: Sets::default(),
            analysis: analysis::Memory::default(),
            progress: Progress::default(),
            quarantine: Vec::new(),
            past: Vec::new(),
            at_once: false,
            contracted: false,
            synthetic: None,
        }
    }
}

impl Memory {
    /// The memory of a service that was rolled by its sets alone (as older versions did): what ran alone and whole is
    /// stable; in the midst of a change, the change goes on.
    #[must_use]
    pub fn seeded(sets: &Sets) -> Self {
        let stable = match sets.sets.as_slice() {
            [only] if sets.complete => Some(only.revision.clone()),
            _ => None,
        };
        Self { past: stable.iter().cloned().collect(), stable, sets: sets.clone(), ..Self::default() }
    }

    /// Revisions that may still be started: what runs, what comes in, and what may be gone back to.
    pub fn kept(&self) -> impl Iterator<Item = &RevisionId> {
        let named = [&self.stable, &self.target, &self.previous];
        let sets = self.sets.sets.iter().map(|set| &set.revision);
        named.into_iter().flatten().chain(&self.past).chain(sets)
    }

    /// Whether a version comes in where one runs already, or is on probation.
    #[must_use]
    pub fn is_releasing(&self) -> bool {
        self.stable.is_some() && self.stage != Stage::Settled
    }

    /// Whether it is the same but for what was measured, and when anything last went forward.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let named =
            |memory: &Self| (memory.version, memory.stage, memory.at_once, memory.contracted, memory.progress.exceeded);
        named(self) == named(other)
            && (&self.stable, &self.target, &self.previous) == (&other.stable, &other.target, &other.previous)
            && (&self.paused, &self.sets) == (&other.paused, &other.sets)
            && (&self.quarantine, &self.past) == (&other.quarantine, &other.past)
            && self.synthetic == other.synthetic
    }

    /// Remembers that a revision was promoted.
    pub(super) fn remember(&mut self, revision: &RevisionId) {
        self.past.retain(|past| past != revision);
        self.past.push(revision.clone());
        if self.past.len() > PAST_MAX {
            self.past.remove(0);
        }
    }

    /// Whether a revision was sent back and not forgiven.
    #[must_use]
    pub fn is_quarantined(&self, revision: &RevisionId) -> bool {
        self.quarantine.iter().any(|one| one.revision == *revision)
    }
}

/// How far a release is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// Nothing is coming in.
    Settled,
    /// The `before` command of the new version is to be run, or was.
    Preparing {
        /// Since when it has ended: the old version is watched; None while it runs.
        done: Option<Instant>,
    },
    /// Rolling or recreate: the new ones take the places of the old ones.
    Replacing,
    /// Blue-green: the new set comes up without traffic.
    Raising,
    /// Blue-green: the new set has the traffic, the old one is kept warm.
    Switched {
        /// Since when.
        since: Instant,
    },
    /// Canary: at the step of this index.
    Canary {
        /// Counts from 0.
        step: usize,
        /// Since when the step's share is in force; None while its replicas come up.
        since: Option<Instant>,
    },
    /// Canary: every step is passed, the rest of the new set comes up.
    Finishing,
    /// Promoted, on probation.
    Baking {
        /// Since when.
        since: Instant,
    },
}

/// Why it waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Who asked for it; empty: nobody, the analysis is inconclusive.
    pub by: String,
    /// Why.
    pub why: String,
}

/// A revision that was sent back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Which.
    pub revision: RevisionId,
    /// When.
    pub at: Instant,
    /// Why.
    pub why: String,
}

/// What a person asks for. It counts only for the revision that it names, so that one that arrives late does no harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Of which revision.
    pub revision: RevisionId,
    /// What.
    pub wish: Wish,
    /// Who.
    pub by: String,
    /// Why, in their words; may be empty.
    pub why: String,
}

/// What a person can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wish {
    /// Skip what is left to wait for; replicas must still come up.
    Promote,
    /// Send it back.
    Abort,
    /// Hold it where it is. The analysis goes on and may still send it back.
    Pause,
    /// Go on.
    Resume,
    /// Let a quarantined revision be tried again.
    Forgive,
}
