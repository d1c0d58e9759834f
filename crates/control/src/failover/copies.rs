//! Whether commits of the primary wait for a standby, where the file wants that and no standby may be there.
//!
//! Invariant: that commits wait for nobody is on disk before any of them does; that they wait again is only remembered once
//! a standby has all that was written while they did not. So whoever chooses a successor knows which of both it is.

use super::{ALONE_AFTER, Act, Decision, FORM_MAX, Memory, Policy, READ_LAG_MAX, Seen, What, lsn, standbys::follows};
use plimsoll_model::Instant;

/// Adds to a decision that leads to the primary what is to be done about its commits.
pub(super) fn look_after(policy: &Policy, memory: &mut Memory, seen: &Seen, decision: &mut Decision) {
    if !policy.synchronous {
        // Should the file want it one day, standbys may lack what was acknowledged until then.
        memory.alone.get_or_insert(seen.at);
        return;
    }
    match memory.alone {
        None => stays(policy, memory, seen, decision),
        Some(since) => comes_back(policy, memory, seen, (since, &mut *decision)),
    }
    decision.alone = memory.alone.is_some() && !policy.strict;
    decision.stalls = !decision.alone && following(memory, seen).next().is_none();
}

/// Commits wait: as long as anybody is there whom they could wait for.
fn stays(policy: &Policy, memory: &mut Memory, seen: &Seen, decision: &mut Decision) {
    if following(memory, seen).next().is_some() {
        (memory.followed, memory.unfollowed) = (true, None);
        return;
    }
    if policy.strict {
        return;
    }
    let since = *memory.unfollowed.get_or_insert(seen.at);
    let patience = if memory.followed { ALONE_AFTER } else { FORM_MAX };
    if seen.at.since(since) < patience {
        decision.again_at = decision.again_at.min(since.after(patience));
        return;
    }
    let place = memory.primary;
    memory.be_alone(seen.at);
    decision.acts.push(Act::Alone { member: place });
    let why = format!("no standby has followed member {} for {patience}: {}", place + 1, on_one_copy());
    decision.tell(What::Asynchronous, why);
}

/// Commits wait for nobody: until a standby is there that is not far behind, and then until it has everything.
fn comes_back(policy: &Policy, memory: &mut Memory, seen: &Seen, (since, decision): (Instant, &mut Decision)) {
    let member = memory.primary;
    let Some(primary) = seen.members.get(member) else { return };
    let near = |position: u64| memory.behind(position, seen.at).is_some_and(|behind| behind <= READ_LAG_MAX);
    let able = match primary.waits {
        // Whoever is far behind would have commits wait until it is not.
        Some(false) => following(memory, seen).any(|(_, position)| near(position)),
        _ => following(memory, seen).next().is_some(),
    };
    if !able && !policy.strict {
        memory.joining = None;
        if primary.waits != Some(false) {
            decision.acts.push(Act::Alone { member });
        }
        return;
    }
    if primary.waits != Some(true) {
        memory.joining = None;
        decision.acts.push(Act::Wait { member });
        return;
    }
    let Some(answer) = &primary.answer else { return };
    let all = *memory.joining.get_or_insert(answer.position);
    let Some((standby, _)) = following(memory, seen).find(|(_, position)| *position >= all) else { return };
    (memory.alone, memory.joining, memory.followed, memory.unfollowed) = (None, None, true, None);
    let took = seen.at.since(since);
    let why = format!(
        "member {} has all that was written up to {}: commits wait for a standby again, after {took}",
        standby + 1,
        lsn(all)
    );
    decision.tell(What::Synchronous, why);
}

/// Standbys that get the primary's log, and up to where they have it.
fn following(memory: &Memory, seen: &Seen) -> impl Iterator<Item = (usize, u64)> {
    let (primary, timeline) = (memory.primary, memory.timeline);
    let members = seen.members.iter().enumerate().filter(move |(place, _)| *place != primary);
    members.filter_map(move |(place, member)| {
        let answer = member.standby().filter(|answer| follows(answer, primary, timeline))?;
        Some((place, answer.position))
    })
}

/// A member is about to become the primary: if nobody runs who could follow it, its commits wait for nobody from the first
/// one on. Why, if that is new.
pub(super) fn prepare(policy: &Policy, memory: &mut Memory, seen: &Seen, to: usize) -> Option<String> {
    let former = memory.primary;
    let others = seen.members.iter().enumerate().filter(|(place, _)| *place != to && *place != former);
    // A store that has served is whole: nobody is waited for as at its first start.
    (memory.followed, memory.unfollowed) = (true, None);
    let nobody = others.map(|(_, member)| member).all(|member| member.standby().is_none());
    if !policy.synchronous || policy.strict || !nobody || memory.alone.is_some() {
        return None;
    }
    memory.be_alone(seen.at);
    Some(format!("no standby is left that could follow member {}: {}", to + 1, on_one_copy()))
}

/// The step that comes before a promotion.
pub(super) fn before_promotion(policy: &Policy, memory: &Memory, seen: &Seen, to: usize) -> Option<Act> {
    let waits = seen.members.get(to)?.waits;
    let alone = policy.synchronous && !policy.strict && memory.alone.is_some();
    (alone && waits != Some(false)).then_some(Act::Alone { member: to })
}

fn on_one_copy() -> &'static str {
    "its commits wait for none until one does, and what is written meanwhile is on one copy"
}

impl Memory {
    fn be_alone(&mut self, at: Instant) {
        self.alone = Some(at);
        self.joining = None;
        self.unfollowed = None;
    }
}
