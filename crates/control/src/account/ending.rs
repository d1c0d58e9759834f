//! How the next step of a replica's end came about.

use super::{Account, Answer, Terminate, line};
use crate::termination::{self, Act, Decision};
use plimsoll_model::Millis;

pub(super) fn ask(asked: &Terminate) -> Answer {
    let mut memory = asked.memory;
    answer(&termination::decide(&asked.policy, &mut memory, &asked.seen))
}

pub(super) fn answer(decision: &Decision) -> Answer {
    let act = match decision.act {
        Act::Wait => "wait",
        Act::Hook => "run its preStop hook",
        Act::Terminate => "send SIGTERM",
        Act::Kill => "send SIGKILL to it and its descendants",
    };
    Answer { act: act.into(), why: decision.reason.clone() }
}

pub(super) fn account(asked: &Terminate) -> Account {
    let Terminate { policy, memory, seen } = asked;
    let mut steps = vec![
        format!("asked to end {} ago, its grace is {}", seen.at.since(memory.asked_at), policy.grace),
        format!(
            "requests in flight: {}; every gateway serves routes without it: {}",
            seen.in_flight,
            if seen.unrouted { "yes" } else { "not yet" }
        ),
    ];
    if let Some(sent) = memory.terminated_at {
        steps.push(format!("SIGTERM was sent {} ago", seen.at.since(sent)));
    }
    let given = ask(asked);
    let mut longer = asked.clone();
    longer.policy.grace = Millis(policy.grace.0.saturating_mul(2));
    let what = format!("with terminationGracePeriodSeconds twice as long ({})", longer.policy.grace);
    let mut drained = asked.clone();
    (drained.seen.in_flight, drained.seen.unrouted) = (0, true);
    let otherwise =
        [line(&given, &what, &ask(&longer)), line(&given, "with nothing in flight any more", &ask(&drained))];
    Account { steps, otherwise: otherwise.into_iter().flatten().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::termination::{Memory, Policy, Seen};
    use plimsoll_model::Instant;

    #[test]
    fn a_kill_tells_its_grace_and_that_a_longer_one_would_have_waited() {
        let at = |ms: u64| Instant(0).after(Millis(ms));
        let memory = Memory { asked_at: at(0), hooked: false, terminated_at: Some(at(10)), killed: false };
        let policy = Policy { grace: Millis::from_secs(5), hook: false, drain: true };
        let seen = Seen { at: at(5000), unrouted: true, in_flight: 1, hook_done: false };
        let asked = Terminate { policy, memory, seen };
        assert_eq!(ask(&asked).act, "send SIGKILL to it and its descendants");
        let account = account(&asked);
        assert_eq!(account.steps[0], "asked to end 5s ago, its grace is 5s");
        assert_eq!(account.otherwise, ["with terminationGracePeriodSeconds twice as long (10s): wait"]);
    }
}
