//! How a release came to its next step.

use super::{Account, Answer, Rollout, line};
use crate::{
    analysis::Verdict,
    rollout::{self, Decision, Event},
};
use plimsoll_model::{Millis, rollout::Inconclusive};

pub(super) fn ask(asked: &Rollout) -> (Answer, Decision) {
    let mut memory = asked.memory.clone();
    let decision = rollout::decide(&asked.policy, &mut memory, &asked.seen);
    (answer(&decision), decision)
}

pub(super) fn answer(decision: &Decision) -> Answer {
    let mut acts: Vec<String> = decision.events.iter().map(event).collect();
    acts.extend(decision.sets.iter().map(|set| format!("{} of {}", set.replicas, set.revision)));
    acts.extend(decision.shares.iter().map(|one| format!("{} of the traffic to {}", one.share, one.revision)));
    if !decision.synthetic.is_empty() {
        acts.push("synthetic requests to both versions".into());
    }
    Answer { act: acts.join(", "), why: decision.reason.clone() }
}

fn event(event: &Event) -> String {
    match event {
        Event::Began { revision } => format!("begin {}", revision),
        Event::Prepared { revision } => format!("go on with {} after its command", revision),
        Event::Reached { whom: Some(whom), .. } => format!("give it {whom}"),
        Event::Reached { share, .. } => format!("give it {share} of the traffic"),
        Event::Asked { per_second, why } => format!("ask each version {per_second} requests a second ({why})"),
        Event::Paused { why } => format!("pause ({why})"),
        Event::Resumed { by } => format!("go on ({by})"),
        Event::Promoted { revision } => format!("promote {}", revision),
        Event::RolledBack { revision, why } => format!("roll {} back ({why})", revision),
        Event::Withdrawn { revision } => format!("withdraw {}", revision),
        Event::Forgiven { revision, by } => format!("forgive {} ({by})", revision),
        Event::DeadlineExceeded => "tell that there is no progress".into(),
        Event::Progressing => "tell that there is progress again".into(),
    }
}

pub(super) fn account(asked: &Rollout) -> Account {
    let Rollout { policy, memory, seen } = asked;
    let (given, decision) = ask(asked);
    let mut steps = vec![];
    if decision.events.is_empty() {
        steps.push(policy.in_words());
    }
    steps.push(format!("before: {:?}, wanted revision {}", memory.stage, seen.wanted));
    for span in &seen.spans {
        for (revision, counts) in span {
            let made = counts.synthetic.requests;
            let made = if made > 0 { format!(" ({made} to synthetic requests)") } else { String::new() };
            let (requests, errors) = (counts.requests, counts.errors);
            steps.push(format!("{revision} gave {requests} answers{made}, {errors} of them failed"));
        }
    }
    if let Some(analysis) = &policy.rollout.analysis {
        let rate = analysis.error_rate_max.map(|most| format!("at most {most} may fail"));
        let slow = analysis.latency_p95_max.map(|most| format!("p95 of at most {most}"));
        let limits: Vec<String> = [rate, slow].into_iter().flatten().collect();
        if !limits.is_empty() {
            steps.push(format!("limits: {}", limits.join(", ")));
        }
        steps.push(format!("requests to it in this step, before these: {}", memory.analysis.requests()));
    }
    steps.extend(decision.steps.iter().cloned());
    match &decision.verdict {
        Some(Verdict::Pass) => steps.push("analysis: as good, within its limits".into()),
        Some(Verdict::Fail(why)) => steps.push(format!("analysis: not as good: {why}")),
        Some(Verdict::Inconclusive(why)) => steps.push(format!("analysis: can't tell yet: {why}")),
        None => {}
    }
    steps.push(format!("{}: {}", given.why, given.act));
    Account { steps, otherwise: otherwise(asked, &given) }
}

fn otherwise(asked: &Rollout, given: &Answer) -> Vec<String> {
    let vary = |change: &dyn Fn(&mut Rollout)| {
        let mut other = asked.clone();
        change(&mut other);
        ask(&other).0
    };
    let unlimited = vary(&|other| other.policy.rollout.analysis = None);
    let promoting = vary(&|other| {
        if let Some(analysis) = &mut other.policy.rollout.analysis {
            analysis.inconclusive = Inconclusive::Promote;
        }
    });
    let spotless = vary(&|other| {
        for counts in other.seen.spans.iter_mut().flat_map(|span| span.values_mut()) {
            counts.errors = 0;
        }
    });
    let unaided = vary(&|other| {
        if let Some(analysis) = &mut other.policy.rollout.analysis {
            analysis.synthetic = None;
        }
    });
    let later = vary(&|other| other.seen.at = other.seen.at.after(Millis::from_secs(3600)));
    let lines = [
        line(given, "without failed answers in these spans", &spotless),
        line(given, "without analysis", &unlimited),
        line(given, "with inconclusive: promote", &promoting),
        line(given, "without `synthetic`", &unaided),
        line(given, "an hour later, with nothing new seen", &later),
    ];
    lines.into_iter().flatten().collect()
}
