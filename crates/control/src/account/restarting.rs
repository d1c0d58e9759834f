//! How it came about that a replica whose process ended is started again, or is not.

use super::{Account, Answer, Restart, line};
use crate::restart::{self, Act, Decision, FORGET_AFTER, Memory, Seen};
use plimsoll_model::service::RestartPolicy;

pub(super) fn ask(asked: &Restart) -> Answer {
    let mut memory = asked.memory;
    answer(&asked.seen, &restart::decide(&asked.policy, &mut memory, &asked.seen))
}

pub(super) fn answer(seen: &Seen, decision: &Decision) -> Answer {
    let act = match decision.act {
        Act::Now => "start it again now".into(),
        Act::At(at) => format!("start it again in {}", at.since(seen.at)),
        Act::Never => "leave it ended".into(),
    };
    Answer { act, why: decision.reason.clone() }
}

pub(super) fn account(asked: &Restart) -> Account {
    let Restart { policy, memory, seen } = asked;
    let mut steps = vec![
        format!("it ran for {}, and had been ready for {} when it ended", seen.ran_for, seen.ready_for),
        format!("restartPolicy: {:?}", policy.restart),
    ];
    let stable = policy.stable_after;
    if seen.ready_for >= stable {
        steps.push(format!(
            "{} is at least {stable}: it did not fail to start, its back-off is forgotten",
            seen.ready_for
        ));
    } else {
        steps.push(format!("{} is less than {stable}: it counts as a crash", seen.ready_for));
        let since = seen.exited_at.min(seen.at).since(memory.restart_at);
        let forgotten = if since > FORGET_AFTER { "forgotten: " } else { "" };
        let wait = memory.wait.map_or_else(|| "none".to_owned(), |wait| wait.to_string());
        steps.push(format!(
            "crashes in a row before: {}; the wait that follows: {wait} ({forgotten}{since} since its last start, of \
             {FORGET_AFTER})",
            memory.in_a_row
        ));
    }
    let given = ask(asked);
    steps.push(format!("{}: {}", given.why, given.act));
    Account { steps, otherwise: otherwise(asked, &given) }
}

fn otherwise(asked: &Restart, given: &Answer) -> Vec<String> {
    let vary = |change: &dyn Fn(&mut Restart)| {
        let mut other = asked.clone();
        change(&mut other);
        ask(&other)
    };
    let stable = asked.policy.stable_after;
    let ready = vary(&|other| other.seen.ready_for = stable);
    let first = vary(&|other| other.memory = Memory::default());
    let policy = |restart| vary(&|other: &mut Restart| other.policy.restart = restart);
    let lines = [
        line(given, &format!("had it been ready for {stable}"), &ready),
        line(given, "had it been the first crash", &first),
        line(given, "with restartPolicy Always", &policy(RestartPolicy::Always)),
        line(given, "with restartPolicy OnFailure", &policy(RestartPolicy::OnFailure)),
        line(given, "with restartPolicy Never", &policy(RestartPolicy::Never)),
    ];
    lines.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restart::{ExitSeen, Policy};
    use plimsoll_model::{Instant, Millis};

    #[track_caller]
    fn check(in_a_row: u32, ready_s: u64, want: (&str, &[&str])) {
        let at = Instant(0).after(Millis::from_secs(1000));
        let wait = (in_a_row > 0).then(|| Millis::from_secs(10));
        let memory = Memory { in_a_row, wait, restart_at: at, ..Memory::default() };
        let seen = Seen {
            at: at.after(Millis::from_secs(1)),
            exited_at: at.after(Millis::from_secs(1)),
            exit: ExitSeen { code: Some(3), ..ExitSeen::default() },
            ready_for: Millis::from_secs(ready_s),
            ran_for: Millis::from_secs(1),
        };
        let asked = Restart { policy: Policy::default(), memory, seen };
        assert_eq!(ask(&asked).act, want.0);
        let account = account(&asked);
        assert_eq!(account.otherwise, want.1);
        assert!(account.steps.last().is_some_and(|step| step.ends_with(want.0)), "{account:?}");
    }

    #[test]
    fn a_crash_loop_tells_its_wait_and_what_would_have_ended_it() {
        let otherwise = [
            "had it been ready for 10s: start it again now",
            "had it been the first crash: start it again now",
            "with restartPolicy Never: leave it ended",
        ];
        check(1, 0, ("start it again in 10s", &otherwise));
    }

    #[test]
    fn one_that_was_stable_is_replaced_at_once_whatever_was_before() {
        check(4, 60, ("start it again now", &["with restartPolicy Never: leave it ended"]));
    }
}
