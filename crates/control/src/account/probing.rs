//! How it came about that a replica is ready, is not, or must be restarted.

use super::{Account, Answer, Health, line};
use crate::health::{self, Act, Decision, ProbeKind};
use plimsoll_model::probe::{Probe, Probes};

pub(super) fn ask(asked: &Health) -> Answer {
    let mut memory = asked.memory.clone();
    answer(&health::decide(&asked.policy, &mut memory, &asked.seen))
}

pub(super) fn answer(decision: &Decision) -> Answer {
    let mut act = String::from(match (decision.started, decision.ready) {
        (false, _) => "not started",
        (true, false) => "not ready: it gets no requests",
        (true, true) => "ready: it may get requests",
    });
    if let Act::Restart { probe, .. } = &decision.act {
        act = format!("restart it, by its {probe}");
    }
    for kind in &decision.attempt {
        act.push_str(&format!("; try its {kind}"));
    }
    Answer { act, why: decision.reason.clone() }
}

pub(super) fn account(asked: &Health) -> Account {
    let Health { policy, memory, seen } = asked;
    let mut steps = vec![format!("its process was started {} ago", seen.at.since(seen.started_at))];
    for (kind, probe) in each(policy) {
        steps.push(format!(
            "{kind}: every {}, {} failures in a row or {} passes in a row turn it",
            probe.period, probe.failure_threshold, probe.success_threshold
        ));
    }
    for outcome in &seen.outcomes {
        let how = if outcome.passed { "passed" } else { "failed" };
        steps.push(format!("its {} {how} {} ago", outcome.probe, seen.at.since(outcome.at)));
    }
    if let Some(look) = seen.look {
        let does = if look.waits { "wait" } else { "work" };
        steps.push(format!(
            "it has no startup and no readiness probe; its processes {does}, and have run for {} µs",
            look.ran_ns / 1000
        ));
    }
    let was = if memory.ready_since.is_some() { "it was ready" } else { "it was not ready" };
    let given = ask(asked);
    steps.push(format!("{was}; now {}: {}", given.why, given.act));
    Account { steps, otherwise: otherwise(asked, &given) }
}

fn each(probes: &Probes) -> impl Iterator<Item = (ProbeKind, &Probe)> {
    let all = [
        (ProbeKind::Startup, &probes.startup),
        (ProbeKind::Liveness, &probes.liveness),
        (ProbeKind::Readiness, &probes.readiness),
    ];
    all.into_iter().filter_map(|(kind, probe)| Some((kind, probe.as_ref()?)))
}

fn otherwise(asked: &Health, given: &Answer) -> Vec<String> {
    let mut lines = Vec::new();
    for (kind, probe) in each(&asked.policy) {
        let more = probe.failure_threshold.saturating_add(1);
        let mut other = asked.clone();
        if let Some(probe) = named(&mut other.policy, kind) {
            probe.failure_threshold = more;
        }
        lines.extend(line(given, &format!("with failureThreshold {more} of its {kind}"), &ask(&other)));
    }
    for (place, outcome) in asked.seen.outcomes.iter().enumerate() {
        let mut other = asked.clone();
        other.seen.outcomes[place].passed = !outcome.passed;
        let how = if outcome.passed { "failed" } else { "passed" };
        lines.extend(line(given, &format!("had that {} {how}", outcome.probe), &ask(&other)));
    }
    lines
}

fn named(probes: &mut Probes, kind: ProbeKind) -> Option<&mut Probe> {
    match kind {
        ProbeKind::Startup => probes.startup.as_mut(),
        ProbeKind::Liveness => probes.liveness.as_mut(),
        ProbeKind::Readiness => probes.readiness.as_mut(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Memory, Outcome, Seen};
    use plimsoll_model::{Instant, Millis, probe::Handler};

    fn at(seconds: u64) -> Instant {
        Instant(1_000_000).after(Millis::from_secs(seconds))
    }

    /// A replica that was ready and whose readiness probe then failed so often, each second; the last failure as a question.
    fn failing(times: u64) -> Health {
        let readiness = Probe {
            handler: Handler::Exec { command: vec!["true".into()] },
            initial_delay: Millis(0),
            period: Millis::from_secs(1),
            timeout: Millis::from_secs(1),
            success_threshold: 1,
            failure_threshold: 3,
            termination_grace: None,
        };
        let policy = Probes { readiness: Some(readiness), ..Probes::default() };
        let mut memory = Memory::of_running(at(0), true, Some(at(0)));
        for second in 0..=times {
            let outcome = |at| Outcome { probe: ProbeKind::Readiness, passed: false, at };
            let outcomes = if second == 0 { vec![] } else { vec![outcome(Instant(at(second).0 + 1000))] };
            let now = Instant(at(second).0 + 1000);
            let seen = Seen { at: now, started_at: at(0), outcomes, under_way: vec![], ..Seen::default() };
            if second == times {
                return Health { policy, memory, seen };
            }
            health::decide(&policy, &mut memory, &seen);
            let asks = Seen { at: at(second + 1), outcomes: vec![], ..seen };
            health::decide(&policy, &mut memory, &asks);
        }
        unreachable!("the last second returns")
    }

    #[test]
    fn the_failure_that_takes_it_out_tells_that_one_more_was_allowed_by_a_higher_threshold() {
        let asked = failing(3);
        assert!(ask(&asked).act.starts_with("not ready: it gets no requests"), "{:?}", ask(&asked));
        let account = account(&asked);
        let [threshold, passed] = account.otherwise.as_slice() else { panic!("{account:?}") };
        assert!(threshold.starts_with("with failureThreshold 4 of its readiness probe: ready"), "{account:?}");
        assert!(passed.starts_with("had that readiness probe passed: ready"), "{account:?}");
        assert!(account.steps.iter().any(|step| step.contains("3 failures in a row of 3")), "{account:?}");
    }

    #[test]
    fn a_failure_before_that_changes_nothing() {
        assert!(ask(&failing(2)).act.starts_with("ready: it may get requests"));
    }
}
