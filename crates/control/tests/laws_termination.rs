//! Laws of an end: bounds (SIGKILL keeps its distance), safety (nobody is cut off early), each step once, and an end at last.

use plimsoll_control::termination::{Act, Memory, Policy, Seen, TERM_TO_KILL_MIN, decide};
use plimsoll_model::{Instant, Millis};
use proptest::{prelude::*, test_runner::RngSeed};

/// The same cases in every run. Other cases: `PLIMSOLL_LAWS_SEED`.
fn laws(cases: u32) -> ProptestConfig {
    let seed = std::env::var("PLIMSOLL_LAWS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(laws(500))]

    /// Whatever is in flight, whenever the hook ends, and however often it is asked.
    #[test]
    fn every_end_keeps_its_order_and_its_bounds(
        grace_ms in 0..60_000_u64,
        hook in any::<bool>(),
        drain in any::<bool>(),
        looks in prop::collection::vec((1..4_000_u64, any::<bool>(), 0..3_u64, any::<bool>()), 1..40),
    ) {
        let policy = Policy { grace: Millis(grace_ms), hook, drain };
        let asked_at = Instant(1_800_000_000_000_000);
        let (mut memory, mut at, mut hook_done) = (Memory::asked(asked_at), asked_at, false);
        let mut acts: Vec<(Act, Instant)> = Vec::new();
        let mut due = None;
        // Then nothing new is seen any more: whoever asks when it was told to ask sees the end.
        let quiet = std::iter::repeat_n((0, true, 1, true), 12);
        for (step, (ms, unrouted, in_flight, done)) in looks.into_iter().chain(quiet).enumerate() {
            at = match due.filter(|_| ms == 0) {
                Some(due) => due,
                None => at.after(Millis(ms)),
            };
            hook_done |= done && memory.hooked;
            let seen = Seen { at, unrouted, in_flight, hook_done };
            let before = memory;
            let decision = decide(&policy, &mut memory, &seen);
            due = decision.again_at;
            prop_assert!(due.is_none_or(|due| due > at), "step {step}: asked again at once, for ever: {decision:?}");
            if decision.act == Act::Wait {
                prop_assert_eq!(memory, before, "who waits remembers nothing new");
                prop_assert!(due.is_some() || memory.killed, "it waits for nothing: {decision:?}");
                continue;
            }
            prop_assert!(acts.iter().all(|(act, _)| *act != decision.act), "{:?} twice", decision.act);
            acts.push((decision.act, at));
            let drained = !drain || (unrouted && in_flight == 0);
            let over = at >= asked_at.after(Millis(grace_ms.saturating_sub((grace_ms / 2).min(5000))));
            match decision.act {
                Act::Hook => prop_assert!(hook && (drained || over)),
                Act::Terminate => {
                    prop_assert!(drained || over, "cut off {in_flight} requests early");
                    prop_assert!(!hook || memory.hooked, "its hook was left out");
                    prop_assert!(!hook || hook_done || over, "its hook was cut off early");
                }
                Act::Kill => {
                    let sent = acts.iter().find(|(act, _)| *act == Act::Terminate).map(|(_, at)| *at);
                    prop_assert!(sent.is_some_and(|sent| at >= sent.after(TERM_TO_KILL_MIN)));
                    prop_assert!(at >= asked_at.after(policy.grace));
                }
                Act::Wait => {}
            }
        }
        prop_assert!(memory.killed, "what does not end by itself is ended: {memory:?}, {acts:?}");
    }
}
