//! How it came about that another member of a store becomes its primary, or that none does.

use super::{Account, Answer, Failover, line};
use crate::failover::{self, Act, Choice, Decision, Outcome, Role, lsn};
use plimsoll_model::Millis;

pub(super) fn ask(asked: &Failover) -> Answer {
    let mut memory = asked.memory.clone();
    answer(&failover::decide(&asked.policy, &mut memory, &asked.seen))
}

pub(super) fn answer(decision: &Decision) -> Answer {
    let mut acts: Vec<String> = decision.acts.iter().map(words).collect();
    acts.push(match decision.leads_to {
        Some(place) => format!("its address leads to member {}", place + 1),
        None => "whoever comes waits".into(),
    });
    Answer { act: acts.join("; "), why: decision.reason.clone() }
}

fn words(act: &Act) -> String {
    match act {
        Act::Start { member, role: Role::Primary } => format!("start member {} as the primary", member + 1),
        Act::Start { member, role: Role::Standby { by, .. } } => {
            format!("start member {} as a standby ({by:?})", member + 1)
        }
        Act::Fence { member } => format!("kill member {} and wait until it is gone", member + 1),
        Act::Stop { member } => format!("end member {} cleanly", member + 1),
        Act::Promote { member } => format!("promote member {}", member + 1),
        Act::Wait { member } => format!("have commits of member {} wait for a standby", member + 1),
        Act::Alone { member } => format!("have commits of member {} wait for nobody", member + 1),
        Act::Follow { member, of } => format!("have member {} follow member {}", member + 1, of + 1),
    }
}

pub(super) fn account(asked: &Failover) -> Account {
    let Failover { policy, memory, seen } = asked;
    let mut steps = vec![format!(
        "member {} is the primary of epoch {} (of {} members; commits {})",
        memory.primary + 1,
        memory.epoch,
        policy.members,
        match (policy.synchronous, memory.alone) {
            (true, Some(_)) if !policy.strict => "wait for no standby, though they should: none was there",
            (true, _) => "wait for a standby",
            (false, _) => "wait for no standby",
        }
    )];
    steps.extend(seen.members.iter().enumerate().map(|(place, member)| {
        let says = member.answer.as_ref().map_or("says nothing".into(), |answer| {
            let role = if answer.recovering { "standby" } else { "primary" };
            format!("{role}, log up to {} on timeline {}", lsn(answer.position), answer.timeline)
        });
        format!("member {}: {:?}, {says}", place + 1, member.process)
    }));
    if let Some(choice) = choice(asked) {
        steps.extend(arithmetic(&choice));
    }
    let given = ask(asked);
    steps.push(format!("{}: {}", given.why, given.act));
    Account { steps, otherwise: otherwise(asked, &given) }
}

/// The choice that was made, if one was.
fn choice(asked: &Failover) -> Option<Choice> {
    let Failover { policy, memory, seen } = asked;
    let gone = seen.members.get(memory.primary)?.process == failover::Process::Gone;
    let stands = seen.members.iter().any(|member| member.answer.as_ref().is_some_and(|answer| answer.recovering));
    let steady = memory.stage == failover::Stage::Steady;
    (gone && stands && steady).then(|| failover::choose(policy, memory, seen, memory.gone.unwrap_or(seen.at)))
}

fn arithmetic(choice: &Choice) -> Vec<String> {
    let mut steps = Vec::new();
    if let Some(end) = choice.end {
        steps.push(format!("the primary's log ends at {}", lsn(end)));
    }
    for found in &choice.found {
        let lacks = choice.end.map(|end| format!(", {} bytes less", end.saturating_sub(found.position)));
        steps.push(format!(
            "member {} has received up to {}{}",
            found.member + 1,
            lsn(found.position),
            lacks.unwrap_or_default()
        ));
    }
    for unknown in &choice.unknown {
        steps.push(format!("member {} can't be asked, or is not fit", unknown + 1));
    }
    if let Some(window) = choice.window {
        steps.push(format!("what the best lacks was written within {window} at most"));
    }
    let outcome = match choice.outcome {
        Outcome::Promote(place) => format!("member {} may take over", place + 1),
        Outcome::Restart => "nobody may take over; the primary is started again".into(),
        Outcome::Refuse => "nobody may take over, and the primary's data is gone".into(),
    };
    steps.push(outcome);
    steps
}

/// Other promises, asked of the same decider.
fn otherwise(asked: &Failover, given: &Answer) -> Vec<String> {
    if choice(asked).is_none() {
        return Vec::new();
    }
    let under = |what: &str, change: &dyn Fn(&mut Failover)| {
        let mut other = asked.clone();
        change(&mut other);
        line(given, what, &ask(&other))
    };
    [
        under("had a recovery point of 1h been promised", &|other| {
            other.policy.recovery_point = Some(Millis::from_secs(3600));
        }),
        under("had no recovery point been promised", &|other| other.policy.recovery_point = None),
        under("had commits waited for a standby", &|other| {
            (other.policy.synchronous, other.memory.alone) = (true, None);
        }),
        under("had commits waited for no standby", &|other| other.policy.synchronous = false),
    ]
    .into_iter()
    .flatten()
    .collect()
}
