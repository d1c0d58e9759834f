//! `canary-no-data`: what is not known, or no number, promotes nothing.

#![expect(clippy::unwrap_used, reason = "a value that cannot be written or read back must fail the test")]

use plimsoll_control::analysis::{Counts, Memory, Policy, Sample, Synthetic, Verdict, judge, steps};
use plimsoll_control::autoscale::quantity::Milli;
use plimsoll_model::rollout::Analysis;
use plimsoll_model::{Instant, Millis, Ratio};
use proptest::{prelude::*, test_runner::RngSeed};

fn policy(error_rate: u64) -> Policy {
    let limits =
        Analysis { error_rate_max: Some(Ratio(error_rate)), latency_p95_max: Some(Millis(500)), ..Analysis::default() };
    Policy::of(limits)
}

/// Bits that no likelihood can have, and those at the edges of what one can.
const BITS: [u64; 8] = [
    0x7ff8_0000_0000_0000,
    0xfff8_0000_0000_0000,
    0x7ff0_0000_0000_0001,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0,
    1,
    u64::MAX,
];

/// A memory in whose evidence these bits stand, wherever evidence is kept.
fn remembered(bits: u64) -> Memory {
    let mut value = serde_json::to_value(Memory::default()).unwrap();
    for name in ["worse", "failing", "slow", "slower"] {
        assert!(value[name].is_array(), "{name} is kept as bits");
        value[name] = serde_json::json!([bits, bits, bits]);
    }
    serde_json::from_value(value).unwrap()
}

#[test]
fn without_data_nothing_passes_whatever_bits_were_remembered() {
    for bits in BITS {
        let (policy, memory) = (policy(10_000), remembered(bits));
        assert_ne!(judge(&policy, &memory), Verdict::Pass, "{bits:x}");
        let said = steps(&policy, &memory).join("\n");
        assert!(!said.contains("NaN") && !said.contains("odds inf"), "{bits:x}: {said}");
        // What is written again has no such bits any more.
        let text = serde_json::to_string(&memory).unwrap();
        assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
    }
}

#[test]
fn a_metric_that_is_no_number_is_no_quantity() {
    for text in ["NaN", "nan", "-NaN", "inf", "-inf", "Infinity", "", " ", "1e", "0x10"] {
        assert!(text.parse::<Milli>().is_err(), "{text:?}");
    }
}

fn counts() -> impl Strategy<Value = Counts> {
    // Errors may be more than requests: a request can fail in a later span than it came.
    (0..2_000_u64, 0..2_000_u64, 0..3_u64, 0..50_u64, 1..10_000_000_u64).prop_map(
        |(requests, errors, ends, made, us)| {
            let mut counts = Counts { requests, errors: errors / 10, ends: ends / 2, ..Counts::default() };
            counts.latencies.add(us, requests);
            counts.synthetic = Synthetic { requests: made.min(requests), errors: made / 10, ..Synthetic::default() };
            counts
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(std::env::var("PLIMSOLL_LAWS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)),
        ..ProptestConfig::default()
    })]

    /// Bounds: whatever is counted, no figure is other than a number; and with too few requests nothing passes.
    #[test]
    fn no_counts_make_a_figure_that_is_none(
        spans in prop::collection::vec((counts(), counts(), 0..5_u64, 0..5_u64, any::<bool>()), 0..40),
        error_rate in prop_oneof![Just(0_u64), Just(1), Just(10_000), Just(1_000_000)],
        bits in prop::sample::select(BITS.to_vec()),
    ) {
        let (policy, mut memory) = (policy(error_rate), remembered(bits));
        for (number, (new, old, mine, theirs, asked)) in spans.into_iter().enumerate() {
            let at = Instant(1).after(Millis(number as u64 * 250));
            memory.take(&policy, &Sample { at, new, old, serving: (mine, theirs), asked });
            let said = steps(&policy, &memory).join("\n");
            prop_assert!(!said.contains("NaN") && !said.contains("odds inf"), "{}", said);
            if memory.requests() < policy.enough() {
                prop_assert_ne!(judge(&policy, &memory), Verdict::Pass);
            }
        }
    }
}
