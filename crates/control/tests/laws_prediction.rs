//! Laws of the forecast: it stays below what was seen, needs evidence, survives gaps, and comes to rest on a shape.

use plimsoll_control::autoscale::prediction::{Memory, SLOT, Seen, Slot, decide};
use plimsoll_model::{Instant, Millis, autoscaling::Prediction};
use proptest::{prelude::*, test_runner::RngSeed};

const WEEK: u32 = 7 * 96;
/// The beginning of a slot.
const NOW: u32 = 2_000_000;

fn laws(cases: u32) -> ProptestConfig {
    let seed = std::env::var("PLIMSOLL_LAWS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..ProptestConfig::default() }
}

fn at(slot: u32) -> Instant {
    Instant(u64::from(slot) * SLOT.0 * 1000)
}

fn floor(policy: &Prediction, memory: &mut Memory, slot: u32) -> u32 {
    decide(policy, memory, &Seen { at: at(slot), needed: None }).floor
}

fn policy(weeks: u8) -> Prediction {
    Prediction { weeks, ahead: Millis::from_secs(600) }
}

proptest! {
    #![proptest_config(laws(200))]

    #[test]
    fn never_more_than_was_ever_needed_and_the_same_after_being_written_down(
        slots in prop::collection::vec((1..6 * WEEK, 0..50_u32), 0..300),
        weeks in 2..=8_u8,
    ) {
        let mut memory = Memory::default();
        slots.iter().for_each(|(back, peak)| memory.fold(Slot { index: NOW - back, peak: *peak }));
        let expected = floor(&policy(weeks), &mut memory, NOW);
        prop_assert!(expected <= slots.iter().map(|(_, peak)| *peak).max().unwrap_or(0));
        let text = serde_json::to_string(&memory).unwrap();
        let mut read: Memory = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(floor(&policy(weeks), &mut read, NOW), expected);
        prop_assert_eq!(floor(&policy(weeks), &mut read, NOW), expected, "asking changes nothing");
    }

    #[test]
    fn one_freak_week_raises_nothing(peak in 1..50_u32, freak in 50..5000_u32, which in 1..=3_u32) {
        let mut memory = Memory::default();
        for week in 1..=3 {
            memory.fold(Slot { index: NOW - week * WEEK, peak: if week == which { freak } else { peak } });
        }
        prop_assert_eq!(floor(&policy(4), &mut memory, NOW), peak);
    }

    #[test]
    fn gaps_change_nothing_as_long_as_two_weeks_are_known(peak in 1..50_u32, lost in 1..=4_u32) {
        let mut memory = Memory::default();
        for week in (1..=4).filter(|week| *week != lost) {
            memory.fold(Slot { index: NOW - week * WEEK, peak });
        }
        prop_assert_eq!(floor(&policy(4), &mut memory, NOW), peak);
    }
}

#[test]
fn a_weekly_shape_is_followed_from_the_third_week_on() {
    // Busy on one morning of the week only.
    let needs = |slot: u32| if (slot % WEEK) / 4 == 30 { 9 } else { 2 };
    let (policy, mut memory) = (policy(4), Memory::default());
    let mut below = 0;
    for slot in NOW..NOW + 5 * WEEK {
        let decision = decide(&policy, &mut memory, &Seen { at: at(slot), needed: Some(needs(slot)) });
        assert!(decision.floor <= 9);
        below += u32::from(slot > NOW + 2 * WEEK && decision.floor < needs(slot));
    }
    assert_eq!(below, 0, "slots of the last weeks for which too few were expected");
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut memory = Memory::default();
    for slot in NOW..NOW + 20 * WEEK {
        memory.fold(Slot { index: slot, peak: 1 });
    }
    let text = serde_json::to_string(&memory).unwrap();
    assert!(text.len() < 100_000, "{} bytes", text.len());
}
