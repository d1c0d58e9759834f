//! Who sees the version that comes in, beside the share that it has.

use super::{Memory, Policy, Seen, Stage, layout::available};
use plimsoll_model::{RevisionId, audience::Audience, rollout::Strategy};

/// The audience of a canary; `None` for every other strategy.
fn of(policy: &Policy) -> Option<&Audience> {
    if let Strategy::Canary { audience, .. } = &policy.rollout.strategy { Some(audience) } else { None }
}

/// The version that is shown to it: from its first step on, while both versions can serve.
pub(super) fn shown(policy: &Policy, memory: &Memory, seen: &Seen) -> Option<RevisionId> {
    of(policy)?;
    let has_begun = match memory.stage {
        Stage::Canary { step, since } => step > 0 || since.is_some(),
        stage => stage == Stage::Finishing,
    };
    let (stable, target) = (memory.stable.as_ref()?, memory.target.as_ref()?);
    let both = available(policy, seen, stable) > 0 && available(policy, seen, target) > 0;
    (has_begun && both).then(|| target.clone())
}

/// Requests have to match: nobody else is given the new version by chance, whatever the step.
pub(super) fn is_chosen(policy: &Policy) -> bool {
    of(policy).is_some_and(|audience| audience.matches.is_some())
}

/// Which requests it has, in words, where no share of all says so.
pub(super) fn whom(policy: &Policy) -> Option<String> {
    let matches = of(policy)?.matches.as_ref()?;
    Some(format!("the requests with {matches}, and no others"))
}

/// Behind what is said of a canary; empty where chance decides alone.
pub(super) fn seen_by(audience: &Audience) -> String {
    let who = audience.to_string();
    if who.is_empty() { who } else { format!(", seen by {who}") }
}
