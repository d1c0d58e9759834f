//! `Recreate`: every old replica goes before the first new one comes, as the Deployment controller does it.
//!
//! Invariant: no new replica is wanted while an old one runs, one that is being stopped included.

use super::rolling::{Progress, RollingPolicy, Sets};
use super::{Phase, ReplicaSeen, SetWanted};
use plimsoll_model::{Instant, RevisionId};

/// Decides the sets of one service. Of `policy`, surge and unavailable mean nothing here. `former` and `replicas` as in
/// [`super::rolling::sets`].
#[must_use]
pub fn sets(policy: &RollingPolicy, new: &RevisionId, former: &Sets, replicas: &[ReplicaSeen], at: Instant) -> Sets {
    let is_old =
        |replica: &&ReplicaSeen| replica.revision != *new && !matches!(replica.phase, Phase::Done | Phase::Failed);
    let old = replicas.iter().filter(is_old).count();
    let kept = former.sets.iter().find(|set| set.revision == *new).map_or(0, |set| set.replicas);
    let size = if old > 0 { kept.min(policy.replicas) } else { policy.replicas };
    let sets = vec![SetWanted { revision: new.clone(), replicas: size }];
    let progress = Progress::of(policy, new, replicas, at);
    let complete = old == 0 && progress.complete(policy.replicas);
    let reason = match old {
        0 => progress.reason(policy.replicas, 0, complete),
        _ => format!("{old} old replicas still run; the new ones come when they are gone"),
    };
    Sets { sets, laid_for: policy.replicas, complete, reason, again_at: progress.again_at() }
}
