//! Whether both versions are asked more than users ask of them, so that the new one can be judged.
//!
//! Invariant: nothing synthetic is asked where the file doesn't say so, where only one version can answer, while a person
//! holds the release, or after its step.
//! Invariant: a verdict is waited for only so long: synthetic requests that never come hold no release.

use super::{Decision, Event, Memory, Policy, Seen, advance, layout::available};
use crate::analysis;
use plimsoll_model::{Instant, Millis, RevisionId, synthetic::Synthetic};

/// Users are watched for a quarter of the step, but for no longer than this, before they are found to ask too little.
const WATCH_MAX: Millis = Millis::from_secs(10);
/// Beyond twice the time that enough requests take, so long is waited for a verdict.
const SPARE: Millis = Millis::from_secs(10);

fn traffic(policy: &Policy) -> Option<&Synthetic> {
    policy.rollout.analysis.as_ref()?.synthetic.as_ref()
}

/// The versions that are to be asked more now; empty: none.
pub(super) fn asked(policy: &Policy, memory: &Memory, seen: &Seen) -> Vec<RevisionId> {
    let wanted = traffic(policy).is_some() && memory.synthetic.is_some() && memory.paused.is_none();
    let both = [&memory.stable, &memory.target].map(Clone::clone).into_iter().flatten();
    let both: Vec<RevisionId> = both.filter(|revision| available(policy, seen, revision) > 0).collect();
    if wanted && advance::at_soak(memory.stage) && both.len() == 2 { both } else { Vec::new() }
}

/// Begins with it if users ask too little for a verdict at the end of the step; true when it did.
pub(super) fn begin(
    policy: &Policy,
    memory: &mut Memory,
    (at, since, until): (Instant, Instant, Instant),
    decision: &mut Decision,
) -> bool {
    let (Some(limits), Some(traffic)) = (&policy.rollout.analysis, traffic(policy)) else { return false };
    if memory.synthetic.is_some() {
        return false;
    }
    let whole = until.since(since);
    let looked = Millis((whole.0 / 4).min(WATCH_MAX.0));
    if at < since.after(looked) {
        advance::wake(decision, since.after(looked));
        return false;
    }
    let enough = analysis::Policy::of(limits.clone()).enough();
    let (had, passed) = (memory.analysis.requests(), at.since(since));
    // At the pace of so far, and never less than there are.
    let expected = u128::from(had) * u128::from(whole.0.max(passed.0)) / u128::from(passed.0.max(1));
    if expected >= u128::from(enough) {
        return false;
    }
    memory.synthetic = Some(at);
    let why = format!("the new version had {had} of {enough} requests in {passed} of {whole}");
    decision.events.push(Event::Asked { per_second: traffic.requests_per_second, why });
    true
}

/// Until when a verdict is waited for, beyond the end of a step; `None`: not at all.
pub(super) fn patience(policy: &Policy, memory: &Memory) -> Option<Instant> {
    let (limits, traffic) = (policy.rollout.analysis.as_ref()?, traffic(policy)?);
    let enough = analysis::Policy::of(limits.clone()).enough();
    let takes = enough.saturating_mul(1000) / u64::from(traffic.requests_per_second.max(1));
    memory.synthetic.map(|began| began.after(Millis(takes.saturating_mul(2).saturating_add(SPARE.0))))
}
