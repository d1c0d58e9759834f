//! The sets and the shares of the present stage.

use super::{Decision, Memory, Policy, Seen, Share, Stage, audience, synthetic};
use crate::reconcile::rolling::{self, Sets};
use crate::reconcile::{SetWanted, recreate};
use plimsoll_model::rollout::Strategy;
use plimsoll_model::{Ratio, RevisionId};

/// How many replicas of a revision are available.
pub(super) fn available(policy: &Policy, seen: &Seen, revision: &RevisionId) -> u32 {
    let min_ready = policy.rollout.min_ready;
    let count =
        seen.replicas.iter().filter(|one| one.revision == *revision && one.available(min_ready, seen.at)).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Lays out sets and shares.
pub(super) fn lay(policy: &Policy, memory: &mut Memory, seen: &Seen, decision: &mut Decision) {
    let is_preparing = matches!(memory.stage, Stage::Preparing { .. });
    let target = memory.target.clone().filter(|_| !is_preparing);
    let Some(goal) = target.or_else(|| memory.stable.clone()) else { return wait(policy, memory, decision) };
    let n = policy.replicas;
    let new = match memory.stage {
        Stage::Settled | Stage::Baking { .. } | Stage::Replacing | Stage::Preparing { .. } => None,
        Stage::Raising | Stage::Switched { .. } | Stage::Finishing => Some(n),
        Stage::Canary { step, .. } => Some(policy.canary(share_of(policy, step))),
    };
    memory.sets = match (new, &memory.stable) {
        (Some(new), Some(stable)) => beside(policy, (stable, n), (&goal, new)),
        // Paused in the middle: what runs stays, as long as the wanted number does.
        _ if holds(policy, memory) => memory.sets.clone(),
        _ if policy.rollout.strategy == Strategy::Recreate => {
            recreate::sets(&policy.rolling(), &goal, &memory.sets, &seen.replicas, seen.at)
        }
        _ => rolling::sets(&policy.rolling(), &goal, &memory.sets, &seen.replicas, seen.at),
    };
    decision.sets.clone_from(&memory.sets.sets);
    decision.shares = shares(policy, memory, seen);
    decision.canary = audience::shown(policy, memory, seen);
    decision.synthetic = synthetic::asked(policy, memory, seen);
    decision.complete = memory.target.is_none() && memory.stable.as_ref() == Some(&seen.wanted) && memory.sets.complete;
    decision.again_at = memory.sets.again_at;
}

/// There is nothing that may run yet: the very first version is not prepared, or could not be.
fn wait(policy: &Policy, memory: &mut Memory, decision: &mut Decision) {
    memory.sets = Sets { laid_for: policy.replicas, reason: "nothing runs yet".into(), ..Sets::default() };
    decision.sets.clear();
    decision.shares.clear();
    decision.canary = None;
    decision.synthetic.clear();
}

fn holds(policy: &Policy, memory: &Memory) -> bool {
    memory.paused.is_some() && memory.stage == Stage::Replacing && memory.sets.laid_for == policy.replicas
}

/// Both versions side by side; the old one keeps its full number, so that it can take everything back at once.
fn beside(policy: &Policy, (stable, old): (&RevisionId, u32), (target, new): (&RevisionId, u32)) -> Sets {
    let sets = [(stable, old), (target, new)].into_iter().filter(|(_, replicas)| *replicas > 0);
    let sets = sets.map(|(revision, replicas)| SetWanted { revision: revision.clone(), replicas }).collect();
    let reason = format!("{new} of the new version beside {old} of the old one");
    Sets { sets, laid_for: policy.replicas, complete: false, reason, again_at: None }
}

/// The share of a canary's step.
pub(super) fn share_of(policy: &Policy, step: usize) -> Ratio {
    match &policy.rollout.strategy {
        Strategy::Canary { steps, .. } => steps.get(step).copied().unwrap_or(Ratio::ONE),
        _ => Ratio::ONE,
    }
}

/// The share of all requests that the new version should have now, were all of its replicas there.
fn aimed(policy: &Policy, stage: Stage) -> Option<Ratio> {
    let before = |step: usize| step.checked_sub(1).map_or(Ratio(0), |before| share_of(policy, before));
    match stage {
        Stage::Canary { .. } | Stage::Finishing if audience::is_chosen(policy) => Some(Ratio(0)),
        Stage::Settled | Stage::Baking { .. } | Stage::Replacing | Stage::Preparing { .. } => None,
        Stage::Raising => Some(Ratio(0)),
        Stage::Switched { .. } => Some(Ratio::ONE),
        Stage::Canary { step, since: Some(_) } => Some(share_of(policy, step)),
        Stage::Canary { step, since: None } => Some(before(step)),
        Stage::Finishing => match &policy.rollout.strategy {
            Strategy::Canary { steps, .. } => Some(before(steps.len())),
            _ => Some(Ratio(0)),
        },
    }
}

fn shares(policy: &Policy, memory: &Memory, seen: &Seen) -> Vec<Share> {
    let Some(stable) = &memory.stable else { return Vec::new() };
    let here = |revision: &RevisionId| available(policy, seen, revision);
    let (Some(aimed), Some(target)) = (aimed(policy, memory.stage), &memory.target) else {
        return leftover(policy, memory, seen, stable);
    };
    let new = match (here(stable) > 0, here(target) > 0) {
        // Whoever is alone takes everything, whatever was meant.
        (true, false) => Ratio(0),
        (false, true) => Ratio::ONE,
        _ => Ratio(aimed.0.min(Ratio::ONE.0)),
    };
    let parts = [(stable, Ratio(Ratio::ONE.0 - new.0)), (target, new)];
    parts.into_iter().map(|(revision, share)| Share { revision: revision.clone(), share }).collect()
}

/// After a canary or blue-green release is over, replicas of the version that is not kept may still be there: they get
/// nothing any more, as soon as those of the kept one can carry it.
fn leftover(policy: &Policy, memory: &Memory, seen: &Seen, stable: &RevisionId) -> Vec<Share> {
    let replaces = matches!(policy.rollout.strategy, Strategy::Rolling { .. } | Strategy::Recreate);
    if replaces || memory.stage == Stage::Replacing {
        return Vec::new();
    }
    let others = seen.replicas.iter().filter(|one| one.revision != *stable);
    let others = others.filter(|one| one.available(policy.rollout.min_ready, seen.at)).count();
    let kept = available(policy, seen, stable);
    if others == 0 || kept == 0 || (kept as usize) < others {
        return Vec::new();
    }
    vec![Share { revision: stable.clone(), share: Ratio::ONE }]
}

/// For a person: where it stands and why.
pub(super) fn reason(policy: &Policy, memory: &Memory, seen: &Seen) -> String {
    if let Some(one) = memory.quarantine.iter().find(|one| one.revision == seen.wanted) {
        return format!("{} was sent back and is not tried again: {}", one.revision, one.why);
    }
    let sets = &memory.sets.reason;
    let mut reason = match memory.stage {
        Stage::Settled | Stage::Replacing => sets.clone(),
        Stage::Preparing { done: None } => format!("{sets}; the `before` command of the new version runs"),
        Stage::Preparing { .. } => {
            format!("{sets}; its `before` command is done, and the old version is watched for {}", policy.watch)
        }
        Stage::Raising => format!("{sets}; traffic moves when all of them are available"),
        Stage::Switched { .. } => format!("{sets}; the new version has all traffic, the old one is kept warm"),
        Stage::Canary { step, since } => {
            let share = share_of(policy, step);
            let comes = if since.is_some() { "has" } else { "is to have" };
            let what = audience::whom(policy).unwrap_or_else(|| share.to_string());
            format!("{sets}; step {}: the new version {comes} {what}", step + 1)
        }
        Stage::Finishing => format!("{sets}; every step is passed, the rest of the new ones come up"),
        Stage::Baking { .. } => format!("{sets}; promoted, on probation"),
    };
    if !synthetic::asked(policy, memory, seen).is_empty() {
        reason.push_str("; users ask too little for a verdict, so both are asked synthetic requests");
    }
    if let Some(paused) = &memory.paused {
        let by = if paused.by.is_empty() { "the analysis" } else { &paused.by };
        reason = format!("paused by {by} ({}); {reason}", paused.why);
    }
    if memory.progress.exceeded && memory.target.is_some() {
        reason = format!("no progress for {}; {reason}", policy.deadline());
    }
    reason
}
