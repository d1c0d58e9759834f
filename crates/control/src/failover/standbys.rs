//! What standbys need while their primary serves.

use super::{
    Act, Answer, Decision, Memory, Policy, Preparation, Process, READ_LAG_BACK, READ_LAG_MAX, Role, STRANDED_AFTER,
    Seen, Unfit, What, copies,
};

/// Starts, puts right and counts standbys; adds to a decision that leads to the primary.
pub(super) fn look_after(policy: &Policy, memory: &mut Memory, seen: &Seen, decision: &mut Decision) {
    let primary = memory.primary;
    let others = (0..seen.members.len()).filter(|place| *place != primary);
    for (count, place) in others.enumerate() {
        let member = &seen.members[place];
        if count + 1 >= policy.members {
            // The file asks for fewer than there once were.
            if member.process == Process::Runs {
                decision.acts.push(Act::Stop { member: place });
            }
            memory.reading.remove(&place);
            continue;
        }
        match member.process {
            Process::Preparing => memory.reading.remove(&place),
            Process::Gone => {
                start(memory, seen, place, decision);
                memory.reading.remove(&place)
            }
            Process::Runs if member.writes() => {
                memory.unfit.entry(place).or_insert(Unfit::Rewind);
                decision.acts.push(Act::Fence { member: place });
                decision.tell(
                    What::Fenced,
                    format!("member {} takes writes and is not the primary: it is killed", place + 1),
                );
                memory.reading.remove(&place)
            }
            Process::Runs => {
                follow(memory, seen, place, decision);
                read(memory, seen, place)
            }
        };
    }
    memory.apart.retain(|place, _| seen.members.get(*place).is_some_and(|it| it.process == Process::Runs));
    decision.reads = memory.reading.iter().copied().collect();
    copies::look_after(policy, memory, seen, decision);
}

/// It gets the log of that primary, on that timeline.
pub(super) fn follows(answer: &Answer, of: usize, timeline: u32) -> bool {
    answer.follows == Some(of) && answer.streams && answer.timeline == timeline
}

/// A standby that does not run is started, its data put right first.
fn start(memory: &mut Memory, seen: &Seen, place: usize, decision: &mut Decision) {
    let member = &seen.members[place];
    let of = memory.primary;
    if member.failed == Some(Preparation::Rewind) {
        memory.unfit.insert(place, Unfit::Copy);
    }
    if member.backs_off {
        return;
    }
    let by = match memory.unfit.get(&place) {
        _ if !member.data => Preparation::Copy,
        None => Preparation::Nothing,
        Some(Unfit::Rewind) => Preparation::Rewind,
        Some(Unfit::Copy) => Preparation::Copy,
    };
    decision.acts.push(Act::Start { member: place, role: Role::Standby { of, by } });
    match by {
        Preparation::Nothing => {}
        Preparation::Rewind => decision.tell(
            What::Rejoining,
            format!("member {} may have log that member {} lacks: it is rewound, then follows it", place + 1, of + 1),
        ),
        Preparation::Copy => {
            decision.tell(What::Copying, format!("member {} is made a copy of member {}", place + 1, of + 1))
        }
    }
}

/// A standby that runs follows the primary, and is put right when it can't.
fn follow(memory: &mut Memory, seen: &Seen, place: usize, decision: &mut Decision) {
    let of = memory.primary;
    let Some(answer) = seen.members[place].standby() else { return };
    if answer.follows != Some(of) {
        decision.acts.push(Act::Follow { member: place, of });
    } else if follows(answer, of, memory.timeline) {
        memory.unfit.remove(&place);
        memory.apart.remove(&place);
        return;
    }
    let since = *memory.apart.entry(place).or_insert(seen.at);
    if answer.settled && seen.at.since(since) >= STRANDED_AFTER {
        let unfit = match memory.unfit.get(&place) {
            None => Unfit::Rewind,
            Some(_) => Unfit::Copy,
        };
        memory.unfit.insert(place, unfit);
        memory.apart.remove(&place);
        decision.acts.push(Act::Stop { member: place });
        let waited = seen.at.since(since);
        decision.tell(What::Stranded, format!("member {} has got no log for {waited}: it is put right", place + 1));
    }
}

/// Whether a standby serves reads; the answer is of no use.
fn read(memory: &mut Memory, seen: &Seen, place: usize) -> bool {
    let limit = if memory.reading.contains(&place) { READ_LAG_MAX } else { READ_LAG_BACK };
    let standby = seen.members[place].standby().filter(|answer| answer.streams);
    let behind = standby.map(|answer| memory.behind(answer.replayed, seen.at));
    // None: an engine has just begun to look. Whoever served reads goes on.
    if behind.is_some_and(|behind| behind.map_or(memory.reading.contains(&place), |behind| behind <= limit)) {
        memory.reading.insert(place)
    } else {
        memory.reading.remove(&place)
    }
}
