//! Laws of right-sizing: bounds, safety, idempotence, convergence.

use plimsoll_control::rightsize::{Allowed, Decision, Memory, Policy, Sample, Seen, Size, decide, recommend};
use plimsoll_model::{Instant, Millis};
use proptest::{prelude::*, test_runner::RngSeed};

const START: Instant = Instant(1_800_000_000_000_000);

fn laws(cases: u32) -> ProptestConfig {
    let seed = std::env::var("PLIMSOLL_LAWS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..ProptestConfig::default() }
}

fn minute(count: u64) -> Instant {
    START.after(Millis::from_secs(60 * count))
}

fn look(at: Instant, used: &[(u64, u64)]) -> Seen {
    let sample = |(place, (cpu, memory)): (usize, &(u64, u64))| Sample {
        replica: format!("web-{place}"),
        cpu: Some(*cpu),
        memory: Some(*memory),
    };
    Seen { at, samples: used.iter().enumerate().map(sample).collect(), cpu_requested: 500 }
}

/// One replica that always uses the same, for so many minutes.
fn steady(minutes: u64, cpu: u64, memory: u64) -> (Memory, Decision) {
    let mut remembered = Memory::default();
    let mut decision = recommend(&Policy::default(), &remembered);
    for count in 0..minutes {
        decision = decide(&Policy::default(), &mut remembered, &look(minute(count), &[(cpu, memory)]));
    }
    (remembered, decision)
}

fn in_order(size: Size) -> bool {
    size.lower <= size.target && size.target <= size.upper
}

proptest! {
    #![proptest_config(laws(150))]

    #[test]
    fn bounds_are_in_order_and_within_what_is_allowed(
        used in prop::collection::vec((0..64_000_u64, 0..64_000_000_000_u64), 1..200),
        (min, more) in (0..4000_u64, 0..4000_u64),
    ) {
        let policy = Policy { cpu_allowed: Allowed { min: Some(min), max: Some(min + more) }, ..Policy::default() };
        let mut memory = Memory::default();
        for (count, one) in used.iter().enumerate() {
            let decision = decide(&policy, &mut memory, &look(minute(count as u64), &[*one]));
            let (cpu, bytes) = (decision.cpu.unwrap(), decision.memory.unwrap());
            prop_assert!(in_order(cpu) && in_order(bytes), "{:?}", decision);
            prop_assert!(min <= cpu.lower && cpu.upper <= min + more);
            prop_assert!(bytes.lower >= policy.memory_min);
        }
    }

    #[test]
    fn memory_is_never_recommended_below_what_was_just_used(used in prop::collection::vec(0..8_000_000_000_u64, 1..60)) {
        let mut memory = Memory::default();
        let mut decision = recommend(&Policy::default(), &memory);
        for (count, bytes) in used.iter().enumerate() {
            decision = decide(&Policy::default(), &mut memory, &look(minute(count as u64), &[(0, *bytes)]));
        }
        // Within one window only its peak counts.
        prop_assert!(decision.memory.unwrap().target >= *used.iter().max().unwrap());
    }

    #[test]
    fn it_survives_being_written_down_and_asking_changes_nothing(
        used in prop::collection::vec((0..4000_u64, 0..4_000_000_000_u64), 1..60),
    ) {
        let mut memory = Memory::default();
        for (count, one) in used.iter().enumerate() {
            decide(&Policy::default(), &mut memory, &look(minute(count as u64), &[*one, *one]));
        }
        let text = serde_json::to_string(&memory).unwrap();
        let mut read: Memory = serde_json::from_str(&text).unwrap();
        let before = recommend(&Policy::default(), &memory);
        prop_assert_eq!(&recommend(&Policy::default(), &read), &before);
        let nothing = Seen { at: minute(used.len() as u64), samples: vec![], cpu_requested: 0 };
        prop_assert_eq!(decide(&Policy::default(), &mut read, &nothing), before);
        prop_assert!(text.len() < 20_000, "{} bytes", text.len());
    }
}

#[test]
fn nothing_is_recommended_without_a_sample() {
    let decision = recommend(&Policy::default(), &Memory::default());
    assert_eq!((decision.cpu, decision.memory, decision.samples), (None, None, 0));
}

#[test]
fn steady_use_comes_to_use_and_margin_with_bounds_that_close() {
    // 200m and 300 MB: within a bucket (5 %) and the margin (15 %).
    let (_, early) = steady(60, 200, 300_000_000);
    let (_, late) = steady(7 * 1440, 200, 300_000_000);
    for decision in [&early, &late] {
        let (cpu, memory) = (decision.cpu.unwrap(), decision.memory.unwrap());
        assert!((230..=245).contains(&cpu.target), "{cpu:?}");
        assert!((345_000_000..=365_000_000).contains(&memory.target), "{memory:?}");
    }
    let (early, late) = (early.cpu.unwrap(), late.cpu.unwrap());
    assert!(early.upper > 20 * early.target, "an hour of history: nearly anything may be right: {early:?}");
    assert!(late.upper < late.target * 5 / 4, "a week of history: {late:?}");
    assert!(late.lower > late.target * 9 / 10 && early.lower < late.lower, "{early:?} {late:?}");
    assert!(late.is_off(100) && late.is_off(2000) && !late.is_off(late.target));
}

#[test]
fn what_was_used_long_ago_is_forgotten() {
    let (mut memory, _) = steady(1440, 2000, 300_000_000);
    let mut decision = recommend(&Policy::default(), &memory);
    for count in 1440..8 * 1440 {
        decision = decide(&Policy::default(), &mut memory, &look(minute(count), &[(100, 100_000_000)]));
    }
    let cpu = decision.cpu.unwrap();
    assert!(cpu.target <= 130, "{cpu:?}");
}
