//! Which standby takes over from a primary that is gone, or that none may.

use super::{Memory, Policy, Process, Seen, lsn};
use plimsoll_model::{Instant, Millis};
use std::cmp::Reverse;

/// The arithmetic of one choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Standbys that could be asked: place and the end of the log that they received, the best first.
    pub found: Vec<Found>,
    /// Standbys that could not be asked.
    pub unknown: Vec<usize>,
    /// The end of the log that the primary wrote. None: its folder can't be read, and it was never asked.
    pub end: Option<u64>,
    /// The bytes of it that the best does not have. None: not known.
    pub lost: Option<u64>,
    /// The time within which they were written, at most. None: not known.
    pub window: Option<Millis>,
    /// What follows.
    pub outcome: Outcome,
    /// Why, for a person.
    pub why: String,
}

/// A standby that could be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its place.
    pub member: usize,
    /// The end of the log that it received.
    pub position: u64,
}

/// What follows from a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// That member takes over.
    Promote(usize),
    /// More would be lost than may be, or nobody can take over: the primary is started again where it was.
    Restart,
    /// As above, but the primary's data is gone: a person must decide.
    Refuse,
}

/// Chooses. `gone` is when the primary was found gone.
#[must_use]
pub fn choose(policy: &Policy, memory: &Memory, seen: &Seen, gone: Instant) -> Choice {
    let primary = memory.primary;
    let others = || seen.members.iter().enumerate().filter(|(place, _)| *place != primary);
    let mut found: Vec<Found> = others()
        .filter(|(place, _)| !memory.unfit.contains_key(place))
        .filter_map(|(member, it)| it.standby().filter(|answer| answer.settled).map(|answer| (member, answer.position)))
        .map(|(member, position)| Found { member, position })
        .collect();
    // Of equals the one that has less to replay: one whose replay stands still would never be the primary.
    let replayed = |member: usize| seen.members[member].answer.as_ref().map_or(0, |answer| answer.replayed);
    found.sort_by_key(|one| (Reverse(one.position), Reverse(replayed(one.member)), one.member));
    let unknown =
        others().map(|(place, _)| place).filter(|place| found.iter().all(|one| one.member != *place)).collect();
    let it = seen.members.get(primary);
    let end = it.and_then(|it| it.log_end).max(memory.positions.last().map(|(_, position)| *position));
    let best = found.first().copied();
    let lost = best.and_then(|best| Some(end?.saturating_sub(best.position)));
    let window =
        best.and_then(|best| if lost == Some(0) { Some(Millis(0)) } else { memory.since_whole(best.position, gone) });
    let mut choice = Choice { found, unknown, end, lost, window, outcome: Outcome::Restart, why: String::new() };
    let (may, why) = judge(policy, memory.alone, &choice);
    let intact = it.is_some_and(|it| it.data && it.process == Process::Gone);
    (choice.outcome, choice.why) = match (may, best, intact) {
        (true, Some(best), _) => (Outcome::Promote(best.member), why),
        (_, _, true) => (Outcome::Restart, format!("{why}: the primary is started again where its log is")),
        _ => (Outcome::Refuse, format!("{why}, and the data of the primary is gone: a person must decide")),
    };
    choice
}

/// Whether the best may take over, and why.
fn judge(policy: &Policy, alone: Option<Instant>, choice: &Choice) -> (bool, String) {
    let Some(best) = choice.found.first() else {
        return (false, "no standby is there that could take over".into());
    };
    let place = best.member + 1;
    if policy.synchronous && alone.is_none() {
        return match choice.unknown.first() {
            None => (
                true,
                format!(
                    "member {place} has received the most, up to {}; a commit was acknowledged only when a standby had it, so nothing acknowledged is lost",
                    lsn(best.position)
                ),
            ),
            Some(silent) => (
                false,
                format!(
                    "member {} can't be asked, and may hold acknowledged commits that member {place} lacks",
                    silent + 1
                ),
            ),
        };
    }
    let Some(lost) = choice.lost else {
        return (false, format!("how much member {place} lacks is not known"));
    };
    if lost == 0 {
        return (
            true,
            format!("member {place} has received everything that was written, up to {}", lsn(best.position)),
        );
    }
    let lacks = format!("member {place} lacks {lost} bytes of what was written");
    if policy.synchronous {
        let why = format!("{lacks}, and it may have been acknowledged: no standby was there for commits to wait for");
        return (false, why);
    }
    match (policy.recovery_point, choice.window) {
        (None, _) => (false, format!("{lacks}, and no recovery point is promised by which they might be lost")),
        (Some(max), Some(window)) if window <= max => {
            (true, format!("{lacks}, of the last {window} at most; the promised recovery point is {max}"))
        }
        (Some(max), Some(window)) => {
            (false, format!("{lacks}, of the last {window}, more than the promised recovery point of {max}"))
        }
        (Some(max), None) => {
            (false, format!("{lacks}, of a time that is not known; the promised recovery point is {max}"))
        }
    }
}
