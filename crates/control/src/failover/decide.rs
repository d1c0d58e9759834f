//! The next steps.

use super::{
    Act, CHOICE_WAIT, Decision, HAND_OVER_MAX, HOLD_MAX, LOOK_EVERY, Member, Memory, Outcome, PROMOTE_MAX, Policy,
    Preparation, Process, REPLAY_MAX, Role, Seen, Stage, Unfit, Wanted, What, choose, copies, standbys,
};
use plimsoll_model::{Instant, Millis};

/// How soon what is under way is looked at again, if nothing is heard of it before.
const SOON: Millis = Millis(20);

/// Chooses the next steps. What changes in `memory.lasting()` must be on disk before they are taken.
#[must_use]
pub fn decide(policy: &Policy, memory: &mut Memory, seen: &Seen) -> Decision {
    observe(memory, seen);
    let heard = is_heard(memory, seen);
    let mut decision = match memory.stage {
        Stage::Steady => steady(policy, memory, seen),
        Stage::Handing { to, since } => handing(policy, memory, seen, (to, since)),
        Stage::Promoting { to, since } => promoting(policy, memory, seen, (to, since)),
    };
    if !heard {
        let why = format!("no other member is made the primary now: {}", decision.reason);
        decision.tell(What::Refused, why);
    }
    decision
}

/// Whether a person's wish, if there is one, is decided about now: there is a primary that serves, and it is another one.
fn is_heard(memory: &Memory, seen: &Seen) -> bool {
    let Some(wanted) = seen.asked else { return true };
    let serves = memory.stage == Stage::Steady && seen.members.get(memory.primary).is_some_and(Member::writes);
    serves && wanted != Wanted::Member(memory.primary)
}

/// Takes in what is seen.
fn observe(memory: &mut Memory, seen: &Seen) {
    for (place, member) in seen.members.iter().enumerate() {
        if member.process == Process::Runs && !member.alive && member.answer.is_none() {
            memory.silent.entry(place).or_insert(seen.at);
        } else {
            memory.silent.remove(&place);
        }
    }
    let Some(primary) = seen.members.get(memory.primary) else { return };
    if primary.process == Process::Gone {
        memory.gone.get_or_insert(seen.at);
    } else {
        memory.gone = None;
    }
    if primary.writes()
        && let Some(answer) = &primary.answer
    {
        memory.timeline = answer.timeline;
        memory.remember(seen.at, answer.position);
    }
}

/// A decision that waits for something that is under way.
fn wait(seen: &Seen, reason: impl Into<String>) -> Decision {
    Decision { reason: reason.into(), again_at: seen.at.after(SOON), ..Decision::default() }
}

/// A decision that waits for what may take long: a person, or the end of a back-off.
fn wait_long(seen: &Seen, reason: impl Into<String>) -> Decision {
    Decision { again_at: seen.at.after(LOOK_EVERY), ..wait(seen, reason) }
}

fn one(seen: &Seen, act: Act, what: What, reason: impl Into<String>) -> Decision {
    Decision { acts: vec![act], ..wait(seen, "") }.after(what, reason)
}

/// The primary is who it was.
fn steady(policy: &Policy, memory: &mut Memory, seen: &Seen) -> Decision {
    let place = memory.primary;
    let Some(primary) = seen.members.get(place) else { return wait(seen, "the primary is no member") };
    match primary.process {
        Process::Gone => gone(policy, memory, seen),
        Process::Preparing => wait(seen, format!("the data of member {} is being made ready", place + 1)),
        Process::Runs if primary.writes() => match seen.asked {
            Some(Wanted::Member(to)) if to == place => serve(policy, memory, seen),
            Some(wanted) => hand_over(policy, memory, seen, wanted),
            None => serve(policy, memory, seen),
        },
        Process::Runs if primary.answer.is_some() => {
            memory.stage = Stage::Promoting { to: place, since: seen.at };
            promoting(policy, memory, seen, (place, seen.at))
        }
        Process::Runs => {
            if let Some(fence) = hang(policy, memory, seen, place) {
                return fence;
            }
            let reason = format!("member {} does not serve yet", place + 1);
            // Whoever is connected stays so: what can't be asked may still work.
            Decision { leads_to: memory.silent.contains_key(&place).then_some(place), ..wait(seen, reason) }
        }
    }
}

/// Fences a member that runs and has been silent for too long.
fn hang(policy: &Policy, memory: &Memory, seen: &Seen, place: usize) -> Option<Decision> {
    let since = *memory.silent.get(&place)?;
    (seen.at.since(since) >= policy.hang_after).then(|| {
        // The same words as long as it takes to be gone: it is told once.
        let reason = format!(
            "member {} runs and has answered nothing for {}: it is killed before anybody takes over",
            place + 1,
            policy.hang_after
        );
        one(seen, Act::Fence { member: place }, What::Fenced, reason)
    })
}

/// All is well: the primary is reached, and standbys are looked after.
fn serve(policy: &Policy, memory: &mut Memory, seen: &Seen) -> Decision {
    let place = memory.primary;
    let reason = format!("member {} is the primary", place + 1);
    let again_at = seen.at.after(LOOK_EVERY);
    let mut decision = Decision { leads_to: Some(place), reason, again_at, ..Decision::default() };
    standbys::look_after(policy, memory, seen, &mut decision);
    decision
}

/// The primary is gone.
fn gone(policy: &Policy, memory: &mut Memory, seen: &Seen) -> Decision {
    let place = memory.primary;
    let primary = &seen.members[place];
    let others = || seen.members.iter().enumerate().filter(|(other, _)| *other != place);
    let since = memory.gone.unwrap_or(seen.at);
    if others().all(|(_, other)| other.process == Process::Gone) {
        let kept: Vec<usize> = others().filter(|(_, other)| other.data).map(|(other, _)| other).collect();
        if primary.data || kept.is_empty() {
            return restart(memory, seen, "no standby runs".into(), false);
        }
        let role = Role::Standby { of: place, by: Preparation::Nothing };
        let able = kept.into_iter().filter(|other| !seen.members[*other].backs_off);
        let acts = able.map(|member| Act::Start { member, role }).collect();
        return Decision { acts, ..wait(seen, "the primary's data is gone: its standbys are asked what they have") };
    }
    let slow = others().find(|(other, it)| {
        it.process == Process::Runs
            && !memory.unfit.contains_key(other)
            && !it.standby().is_some_and(|answer| answer.settled)
    });
    if let Some((slow, _)) = slow
        && seen.at.since(since) < CHOICE_WAIT
    {
        return wait(seen, format!("member {} is asked what it has received", slow + 1));
    }
    let choice = choose(policy, memory, seen, since);
    match choice.outcome {
        Outcome::Promote(to) => {
            let why = choice.why.clone();
            for other in choice.unknown.iter().chain([&place]) {
                memory.unfit.entry(*other).or_insert(Unfit::Rewind);
            }
            let decision = begin(policy, memory, seen, to);
            decision.after(What::Failover, format!("member {} is gone; {why}", place + 1))
        }
        Outcome::Restart => restart(memory, seen, choice.why, !choice.found.is_empty()),
        Outcome::Refuse => wait_long(seen, "").after(What::Refused, choice.why),
    }
}

/// The primary is started again where its log is.
fn restart(memory: &Memory, seen: &Seen, why: String, refused: bool) -> Decision {
    let place = memory.primary;
    if seen.members[place].backs_off {
        return wait_long(seen, format!("{why}; member {} ended too often to be started at once", place + 1));
    }
    let what = if refused { What::Refused } else { What::Starting };
    one(seen, Act::Start { member: place, role: Role::Primary }, what, why)
}

/// From now on that member is to be the primary.
fn begin(policy: &Policy, memory: &mut Memory, seen: &Seen, to: usize) -> Decision {
    memory.epoch += 1;
    memory.stage = Stage::Promoting { to, since: seen.at };
    memory.reading.clear();
    memory.apart.clear();
    let alone = copies::prepare(policy, memory, seen, to);
    let decision = promoting(policy, memory, seen, (to, seen.at));
    match alone {
        Some(why) => decision.after(What::Asynchronous, why),
        None => decision,
    }
}

/// A member becomes the primary.
fn promoting(policy: &Policy, memory: &mut Memory, seen: &Seen, (to, since): (usize, Instant)) -> Decision {
    if since == Instant(0) {
        memory.stage = Stage::Promoting { to, since: seen.at };
    } else if let Some(decision) = give_up(memory, seen, (to, since)) {
        return decision;
    }
    let not_gone = |place: usize| seen.members.get(place).is_some_and(|it| it.process != Process::Gone);
    let rivals = (0..seen.members.len()).filter(|place| *place != to);
    let rival =
        rivals.clone().find(|place| (*place == memory.primary && not_gone(*place)) || seen.members[*place].writes());
    if let Some(member) = rival {
        let reason = format!("member {} must be gone before member {} is promoted", member + 1, to + 1);
        return one(seen, Act::Fence { member }, What::Fenced, reason);
    }
    let Some(it) = seen.members.get(to) else { return wait(seen, "the next primary is no member") };
    match it.process {
        Process::Gone if it.backs_off => {
            wait_long(seen, format!("member {} ended too often to be started at once", to + 1))
        }
        Process::Gone => {
            let role = Role::Standby { of: to, by: Preparation::Nothing };
            one(seen, Act::Start { member: to, role }, What::Starting, format!("member {} is to be promoted", to + 1))
        }
        Process::Runs if it.writes() => {
            let (former, since) = (memory.primary, memory.gone);
            memory.primary = to;
            memory.stage = Stage::Steady;
            memory.unfit.remove(&to);
            memory.positions.clear();
            memory.gone = None;
            observe(memory, seen);
            let took =
                since.map(|since| format!(", {} after member {} was found gone", seen.at.since(since), former + 1));
            let reason =
                format!("member {} is the primary on timeline {}{}", to + 1, memory.timeline, took.unwrap_or_default());
            serve(policy, memory, seen).after(What::Promoted, reason)
        }
        Process::Runs if it.standby().is_some() => {
            let reason = format!("member {} is being promoted", to + 1);
            let alone = copies::before_promotion(policy, memory, seen, to);
            let acts = alone.into_iter().chain([Act::Promote { member: to }]).collect();
            Decision { acts, ..wait(seen, reason) }
        }
        Process::Runs => hang(policy, memory, seen, to)
            .unwrap_or_else(|| wait(seen, format!("member {} is to be promoted and does not answer yet", to + 1))),
        Process::Preparing => wait(seen, format!("member {} is being started", to + 1)),
    }
}

/// Gives up a member that does not become the primary, and does not run, where the one before has its data: nobody was led
/// to the new one, so that data has everything that was acknowledged. What the new one wrote, if anything, is taken back.
fn give_up(memory: &mut Memory, seen: &Seen, (to, since): (usize, Instant)) -> Option<Decision> {
    let (place, waited) = (memory.primary, seen.at.since(since));
    let intact = seen.members.get(place).is_some_and(|it| it.data && it.process == Process::Gone);
    if to == place || !intact || seen.members.get(to).is_some_and(Member::writes) || waited < PROMOTE_MAX {
        return None;
    }
    if seen.members.get(to).is_some_and(|it| it.process != Process::Gone) {
        let reason = format!("member {} has not become the primary within {REPLAY_MAX}: it is killed", to + 1);
        return (waited >= REPLAY_MAX).then(|| one(seen, Act::Fence { member: to }, What::Fenced, reason));
    }
    memory.stage = Stage::Steady;
    memory.unfit.remove(&place);
    memory.unfit.entry(to).or_insert(Unfit::Rewind);
    let why = format!("member {} has not become the primary within {waited}: member {} is again", to + 1, place + 1);
    Some(wait(seen, "").after(What::GivenUp, why))
}

/// A person wants another primary.
fn hand_over(policy: &Policy, memory: &mut Memory, seen: &Seen, wanted: Wanted) -> Decision {
    let members = seen.members.iter().enumerate().filter(|(place, _)| match wanted {
        Wanted::Best => true,
        Wanted::Member(member) => member == *place,
    });
    let able = members
        .filter(|(place, _)| !memory.unfit.contains_key(place))
        .filter_map(|(place, it)| Some((place, it.standby().filter(|answer| answer.streams)?.position)));
    let Some((to, _)) = able.max_by_key(|(place, position)| (*position, std::cmp::Reverse(*place))) else {
        let reason = match wanted {
            Wanted::Best => "no standby follows the primary that could take over".to_owned(),
            Wanted::Member(to) => {
                format!("member {} can't take over: it is no standby that follows the primary", to + 1)
            }
        };
        return serve(policy, memory, seen).after(What::Refused, reason);
    };
    memory.stage = Stage::Handing { to, since: seen.at };
    let reason = format!("member {} hands over to member {}", memory.primary + 1, to + 1);
    handing(policy, memory, seen, (to, seen.at)).after(What::Switchover, reason)
}

/// The primary is being ended cleanly, so that another one has everything.
fn handing(policy: &Policy, memory: &mut Memory, seen: &Seen, (to, since): (usize, Instant)) -> Decision {
    let place = memory.primary;
    let received = seen.members.get(to).and_then(|it| it.standby()).map(|answer| answer.position);
    let Some(primary) = seen.members.get(place) else { return wait(seen, "the primary is no member") };
    if primary.process != Process::Gone {
        if received.is_none() && primary.writes() {
            memory.stage = Stage::Steady;
            let reason = format!("member {} is gone: member {} stays the primary", to + 1, place + 1);
            return serve(policy, memory, seen).after(What::Refused, reason);
        }
        if let Some(fence) = hang(policy, memory, seen, place) {
            return fence;
        }
        if !seen.held && seen.at.since(since) < HOLD_MAX {
            return wait(seen, "whoever comes waits before the primary is ended");
        }
        if seen.at.since(since) >= HAND_OVER_MAX {
            let reason = format!("member {} has not ended within {HAND_OVER_MAX}: it is killed", place + 1);
            return one(seen, Act::Fence { member: place }, What::Fenced, reason);
        }
        let reason = format!("member {} is being ended, so that member {} has all of its log", place + 1, to + 1);
        return Decision { acts: vec![Act::Stop { member: place }], ..wait(seen, reason) };
    }
    let has_all = received.zip(primary.log_end).is_some_and(|(received, end)| received >= end);
    if has_all {
        memory.unfit.entry(place).or_insert(Unfit::Rewind);
        return begin(policy, memory, seen, to);
    }
    if seen.at.since(memory.gone.unwrap_or(seen.at)) < CHOICE_WAIT {
        return wait(seen, format!("member {} receives the last of the log", to + 1));
    }
    memory.stage = Stage::Steady;
    steady(policy, memory, &Seen { asked: None, ..seen.clone() })
}
