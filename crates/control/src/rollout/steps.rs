//! The arithmetic behind what happened in a release, for a person.

use super::layout::available;
use super::{Memory, Policy, Seen, Stage, audience::seen_by};
use plimsoll_model::rollout::Strategy;

/// From where to where, what was there, and what was measured.
pub(super) fn of(
    policy: &Policy,
    (before, after): (&Memory, &Memory),
    seen: &Seen,
    judged: Vec<String>,
) -> Vec<String> {
    let mut steps = vec![policy.in_words()];
    let mut revisions = Vec::new();
    let named = [&before.stable, &before.target, &after.stable, &after.target];
    for revision in named.into_iter().flatten() {
        if !revisions.contains(&revision) {
            revisions.push(revision);
        }
    }
    for revision in revisions {
        let there = seen.replicas.iter().filter(|one| one.revision == *revision).count();
        steps.push(format!("{revision}: {} of {there} replicas available", available(policy, seen, revision)));
    }
    for command in &seen.commands {
        steps.push(format!("asked by {}: {:?} {}: {}", command.by, command.wish, command.revision, command.why));
    }
    // What nobody measured says nothing.
    if before.stage != Stage::Settled {
        steps.extend(judged);
    }
    if before.stage != after.stage {
        steps.push(format!("{} → {}", stage(before.stage), stage(after.stage)));
    }
    steps
}

impl Policy {
    /// The strategy and the number, for a person.
    #[must_use]
    pub fn in_words(&self) -> String {
        format!("{}, {} replicas wanted", strategy(self), self.replicas)
    }
}

fn strategy(policy: &Policy) -> String {
    match &policy.rollout.strategy {
        Strategy::Rolling { .. } => {
            let rolling = policy.rolling();
            let fewer = policy.replicas.saturating_sub(rolling.available_min());
            format!("rolling, at most {} more and {fewer} fewer", rolling.surge())
        }
        Strategy::Recreate => "recreate".into(),
        Strategy::BlueGreen { keep } => format!("blue-green, the old set kept for {keep}"),
        Strategy::Canary { steps, interval, audience } => {
            let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
            format!("canary, steps {}, {interval} each{}", steps.join(", "), seen_by(audience))
        }
    }
}

/// The name of a stage, for a person.
pub(super) fn stage(stage: Stage) -> String {
    match stage {
        Stage::Settled => "settled".into(),
        Stage::Preparing { done: None } => "its `before` command".into(),
        Stage::Preparing { .. } => "watching the old version after the `before` command".into(),
        Stage::Replacing => "replacing".into(),
        Stage::Raising => "raising the new set".into(),
        Stage::Switched { .. } => "switched, the old set kept warm".into(),
        Stage::Canary { step, since: None } => format!("canary step {}, its replicas coming up", step + 1),
        Stage::Canary { step, .. } => format!("canary step {}", step + 1),
        Stage::Finishing => "finishing".into(),
        Stage::Baking { .. } => "promoted, on probation".into(),
    }
}
