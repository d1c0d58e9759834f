//! The end of a step in which the new version has its share: on, back, or wait for a person.

use super::{Decision, Event, Memory, Paused, Policy, Stage, advance, synthetic};
use crate::analysis::Verdict;
use plimsoll_model::{Instant, rollout::Inconclusive};

/// At the end of a soak: on, back, or wait for a person.
pub(super) fn soak(
    policy: &Policy,
    memory: &mut Memory,
    (at, since, until): (Instant, Instant, Instant),
    decision: &mut Decision,
) -> bool {
    let is_doubtful = matches!(decision.verdict, Some(Verdict::Inconclusive(_)));
    if is_doubtful && synthetic::begin(policy, memory, (at, since, until), decision) {
        return true;
    }
    let patience = synthetic::patience(policy, memory).filter(|_| is_doubtful).unwrap_or(until).max(until);
    if at < patience {
        advance::wake(decision, if at < until { until } else { patience });
        return false;
    }
    if let Some(Verdict::Inconclusive(missing)) = decision.verdict.clone() {
        let wish = policy.rollout.analysis.as_ref().map(|analysis| analysis.inconclusive).unwrap_or_default();
        match wish {
            Inconclusive::Promote => {}
            Inconclusive::Rollback => {
                return advance::send_back_unless_bound(memory, at, &format!("inconclusive: {missing}"), decision);
            }
            Inconclusive::Pause => {
                let why = format!("inconclusive: {missing}");
                decision.events.push(Event::Paused { why: why.clone() });
                memory.paused = Some(Paused { by: String::new(), why });
                return true;
            }
        }
    }
    match memory.stage {
        Stage::Canary { step, .. } => memory.stage = Stage::Canary { step: step + 1, since: None },
        _ => advance::promote(memory, Some((policy.bake(), at)), decision),
    }
    true
}
