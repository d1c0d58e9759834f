//! A floor for the number of replicas from the shape of the last weeks.
//!
//! Time is cut into slots of 15 minutes. For each, the most replicas that load asked for (not what bounds or a former
//! forecast gave) is kept. What is expected of a slot is the lower median of the same slots of former weeks; where fewer
//! than two weeks are known of it, that of the same time of day on former days. The floor is the most that is expected
//! from now until `ahead` from now, so that replicas are there before they are needed.
//!
//! Source: the seasonal naive forecast (period: a week), with a median in place of the last value, so that one freak
//! week raises nothing; Kubernetes has no such part.
//! Invariant: it only ever raises the floor: without knowledge it is 0, and the caller keeps it within its bounds.
//! Invariant: a time that nobody watched is a gap, not an idle time: it takes no part in any median.

use plimsoll_model::{Instant, Millis, autoscaling::Prediction as Policy};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The length of a slot.
pub const SLOT: Millis = Millis::from_secs(15 * 60);
/// Slots of a day.
const DAY: u32 = 96;
/// Slots of a week.
const WEEK: u32 = 7 * DAY;
/// Nobody looks back further; what is older is forgotten.
const WEEKS_MAX: u32 = 8;
/// Weeks (or days) that must be known of a slot before anything is expected of it.
const EVIDENCE: usize = 2;
/// Former days that stand in for weeks which are not known.
const DAYS: u32 = 7;

/// What load asked for in one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Slots since the Unix epoch.
    pub index: u32,
    /// The most replicas that load asked for in it.
    pub peak: u32,
}

/// What is known of former slots. It grows to the weeks looked at and no further.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Peaks of slots that are over, by slot.
    peaks: BTreeMap<u32, u32>,
    /// The slot that is under way.
    current: Option<Slot>,
}

impl Memory {
    /// Takes in a slot that is over, as it was written down.
    pub fn fold(&mut self, slot: Slot) {
        let peak = self.peaks.entry(slot.index).or_default();
        *peak = slot.peak.max(*peak);
        let oldest = slot.index.saturating_sub(WEEKS_MAX * WEEK);
        self.peaks = self.peaks.split_off(&oldest);
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.peaks.is_empty() && self.current.is_none()
    }
}

/// What a world tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Now.
    pub at: Instant,
    /// Replicas that load asked for since the last time (see `Decision::needed` of the owner). None: nobody looked.
    pub needed: Option<u32>,
}

/// What is foreseen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Not fewer; 0 when nothing is known.
    pub floor: u32,
    /// A slot that is over now, to be written down.
    pub over: Option<Slot>,
    /// When the answer may be another one though nothing is seen.
    pub again_at: Instant,
}

/// Says what is foreseen, and takes in what load asked for.
pub fn decide(policy: &Policy, memory: &mut Memory, seen: &Seen) -> Decision {
    let index = slot_of(seen.at);
    let mut over = memory.current.filter(|slot| slot.index != index);
    if let Some(slot) = over.filter(|slot| slot.index < index) {
        memory.fold(slot);
        memory.current = None;
    } else if over.take().is_some() {
        // The clock went back: what is under way belongs to no slot that can be told.
        memory.current = None;
    }
    if let Some(needed) = seen.needed {
        let known = memory.current.map_or(0, |slot| slot.peak);
        memory.current = Some(Slot { index, peak: needed.max(known) });
    }
    let last = slot_of(seen.at.after(policy.ahead));
    let expected = (index..=last).filter_map(|slot| expected(policy, memory, slot, index));
    let floor = expected.max().unwrap_or(0);
    Decision { floor, over, again_at: next_slot(seen.at, policy.ahead) }
}

/// What former weeks, or else former days, had at the time of a slot.
fn expected(policy: &Policy, memory: &Memory, slot: u32, now: u32) -> Option<u32> {
    let former = |step: u32, count: u32| {
        let slots = (1..=count).filter_map(move |back| slot.checked_sub(back * step)).filter(move |slot| *slot < now);
        slots.filter_map(|slot| memory.peaks.get(&slot).copied()).collect::<Vec<u32>>()
    };
    median(former(WEEK, u32::from(policy.weeks))).or_else(|| median(former(DAY, DAYS)))
}

/// The lower median of enough values.
fn median(mut values: Vec<u32>) -> Option<u32> {
    values.sort_unstable();
    (values.len() >= EVIDENCE).then(|| values.get((values.len() - 1) / 2).copied()).flatten()
}

/// The slot of a moment; beyond the end of what can be counted, the last one.
fn slot_of(at: Instant) -> u32 {
    u32::try_from(at.0 / (SLOT.0 * 1000)).unwrap_or(u32::MAX)
}

/// The next moment at which a slot begins, now or at the end of what is looked ahead.
fn next_slot(at: Instant, ahead: Millis) -> Instant {
    let length = SLOT.0 * 1000;
    let until = |moment: u64| length - moment % length;
    Instant(at.0.saturating_add(until(at.0).min(until(at.after(ahead).0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-01-15, at the beginning of a slot.
    const START: u32 = 2_000_000;

    fn at(slot: u32) -> Instant {
        Instant(u64::from(slot) * SLOT.0 * 1000)
    }

    fn remembered(peaks: &[(u32, u32)]) -> Memory {
        let mut memory = Memory::default();
        peaks.iter().for_each(|(index, peak)| memory.fold(Slot { index: *index, peak: *peak }));
        memory
    }

    #[track_caller]
    fn check(peaks: &[(u32, u32)], want: u32) {
        let policy = Policy { weeks: 4, ahead: Millis::from_secs(600) };
        let seen = Seen { at: at(START), needed: None };
        assert_eq!(decide(&policy, &mut remembered(peaks), &seen).floor, want);
    }

    #[test]
    fn one_week_is_no_shape() {
        check(&[], 0);
        check(&[(START - WEEK, 9)], 0);
    }

    #[test]
    fn former_weeks_raise_the_floor_and_one_freak_week_does_not() {
        check(&[(START - WEEK, 5), (START - 2 * WEEK, 6)], 5);
        check(&[(START - WEEK, 50), (START - 2 * WEEK, 6), (START - 3 * WEEK, 5)], 6);
        check(&[(START - WEEK, 50), (START - 3 * WEEK, 5)], 5);
    }

    #[test]
    fn former_days_stand_in_for_weeks_that_nobody_watched() {
        check(&[(START - DAY, 4), (START - 2 * DAY, 3), (START - 3 * DAY, 8)], 4);
    }

    #[test]
    fn what_comes_soon_counts_already() {
        let policy = Policy { weeks: 4, ahead: Millis::from_secs(600) };
        let mut memory = remembered(&[(START + 1 - WEEK, 7), (START + 1 - 2 * WEEK, 7)]);
        let seen = |us: u64| Seen { at: Instant(at(START).0 + us), needed: None };
        let early = decide(&policy, &mut memory, &seen(0));
        assert_eq!((early.floor, early.again_at), (0, Instant(at(START).0 + 300_000_000)));
        assert_eq!(decide(&policy, &mut memory, &seen(300_000_000)).floor, 7);
    }

    #[test]
    fn a_slot_is_told_once_with_its_peak() {
        let (policy, mut memory) = (Policy::default(), Memory::default());
        for needed in [2, 5, 3] {
            let seen = Seen { at: at(START), needed: Some(needed) };
            assert_eq!(decide(&policy, &mut memory, &seen).over, None);
        }
        let seen = Seen { at: at(START + 1), needed: Some(1) };
        assert_eq!(decide(&policy, &mut memory, &seen).over, Some(Slot { index: START, peak: 5 }));
        assert_eq!(decide(&policy, &mut memory, &seen).over, None);
    }
}
