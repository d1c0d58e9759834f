//! Whether a release goes forward: Kubernetes' `progressDeadlineSeconds`.
//!
//! Source: `DeploymentProgressing` and `DeploymentTimedOut` of Kubernetes 1.36. Progress is more new ones, fewer old ones,
//! more ready or more available than before; while it is paused it is not timed.

use super::Seen;
use crate::reconcile::Phase;
use plimsoll_model::{Instant, Millis, RevisionId};
use serde::{Deserialize, Serialize};

/// What was there when something last went forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    updated: u32,
    old: u32,
    ready: u32,
    available: u32,
    /// When.
    since: Instant,
    /// The deadline has passed since.
    pub exceeded: bool,
}

impl Progress {
    /// The beginning of a release.
    #[must_use]
    pub(super) fn begin(at: Instant) -> Self {
        Self { since: at, ..Self::default() }
    }

    /// Looks again; true when the deadline was passed, or there is progress again, just now.
    pub(super) fn look(
        &mut self,
        seen: &Seen,
        target: &RevisionId,
        (min_ready, deadline): (Millis, Millis),
        timed: bool,
    ) -> bool {
        let there = seen.replicas.iter().filter(|one| one.phase != Phase::Stopping);
        let mut now = Self { since: self.since, exceeded: self.exceeded, ..Self::default() };
        for one in there {
            let is_new = one.revision == *target;
            now.updated += u32::from(is_new);
            now.old += u32::from(!is_new);
            now.ready += u32::from(one.phase == Phase::Ready);
            now.available += u32::from(one.available(min_ready, seen.at));
        }
        let forward = now.updated > self.updated
            || now.old < self.old
            || now.ready > self.ready
            || now.available > self.available;
        if forward || !timed {
            now.since = seen.at;
            now.exceeded &= !forward;
        } else if self.since.after(deadline) <= seen.at {
            now.exceeded = true;
        }
        let turned = now.exceeded != self.exceeded;
        *self = now;
        turned
    }

    /// When the deadline passes if nothing goes forward; None when it has.
    #[must_use]
    pub(super) fn due(&self, deadline: Millis) -> Option<Instant> {
        (!self.exceeded).then(|| self.since.after(deadline))
    }
}
