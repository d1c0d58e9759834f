//! Laws of synthetic requests in a release: when they are asked for, what they prove, and that they end.
//!
//! What holds after every decision (both versions or none, both there, nobody holds it) the world checks itself.

#![expect(clippy::unwrap_used, reason = "a value that cannot be written or read back must fail the test")]

#[path = "laws_rollout/world.rs"]
#[expect(dead_code, reason = "other laws use the rest of it")]
mod world;

use plimsoll_control::rollout::{Event, Wish};
use plimsoll_model::rollout::{Inconclusive, Strategy as How};
use plimsoll_model::{Millis, Ratio, audience::Audience, synthetic::Synthetic};
use proptest::{prelude::*, test_runner::RngSeed};
use world::{Nature, WELL, World, revision};

fn canary() -> How {
    let steps = [10, 50].map(Ratio::percent).to_vec();
    How::Canary { steps, interval: Millis::from_secs(10), audience: Audience::default() }
}

fn blue_green() -> How {
    How::BlueGreen { keep: Millis::from_secs(10) }
}

/// A world whose releases are judged, with so many requests of users in 100 ms.
fn world(strategy: How, traffic: u64) -> World {
    aided(strategy, traffic, 20)
}

/// With so many synthetic requests a second where users ask too little.
fn aided(strategy: How, traffic: u64, requests_per_second: u32) -> World {
    let mut world = World::new(strategy, 3).analysed(Inconclusive::Pause);
    let synthetic = Synthetic { requests_per_second, ..Synthetic::default() };
    world.policy.rollout.analysis.as_mut().unwrap().synthetic = Some(synthetic);
    world.traffic = traffic;
    world
}

/// Runs until it is so, for ten minutes at most.
#[track_caller]
fn run_until(world: &mut World, what: &str, is: impl Fn(&World) -> bool) {
    for _ in 0..6000 {
        if is(world) {
            return;
        }
        world.tick();
    }
    panic!("{what}: {:?}", world.last);
}

fn asked(world: &World) -> usize {
    world.events.iter().filter(|(_, event)| matches!(event, Event::Asked { .. })).count()
}

#[test]
fn what_users_do_not_ask_is_asked_until_a_good_version_is_in() {
    for strategy in [canary(), blue_green()] {
        let steps = if matches!(strategy, How::Canary { .. }) { 2 } else { 1 };
        let mut world = world(strategy.clone(), 0);
        world.release("two", WELL);
        world.run_s(90);
        assert!(world.promoted(), "{strategy:?}: {:?}", world.events);
        assert_eq!(asked(&world), steps, "once in each step: {:?}", world.events);
        assert!(world.last.synthetic.is_empty(), "it ends with the judgement");
    }
}

#[test]
fn a_bad_version_is_found_by_them_alone() {
    for (strategy, errors) in [(canary(), 50), (canary(), 10), (blue_green(), 50)] {
        let mut world = world(strategy.clone(), 0);
        world.release("two", Nature { errors, ..WELL });
        world.run_s(90);
        let why = world.rolled_back().unwrap();
        assert!(why.contains("fails more often") && why.contains("synthetic"), "{strategy:?}: {why}");
        world.runs_only("one");
    }
}

#[test]
fn where_users_ask_enough_nothing_is_synthetic() {
    for strategy in [canary(), blue_green()] {
        let mut world = world(strategy, 1000);
        world.release("two", WELL);
        world.run_s(60);
        assert!(world.promoted() && asked(&world) == 0, "{:?}", world.events);
    }
}

#[test]
fn what_fails_on_both_versions_is_held_against_neither() {
    // Users have it all on the old version, nearly: added up, the new one would seem to be much worse.
    let mut world = world(canary(), 20);
    world.synthetic_errors = Some(100);
    world.release("two", WELL);
    world.run_s(120);
    assert_eq!(world.rolled_back(), None);
    assert!(world.last.reason.contains("both versions fail more often than they may"), "{}", world.last.reason);
}

#[test]
fn requests_that_are_not_made_hold_no_release_for_ever() {
    let mut world = world(canary(), 0);
    world.synthetic_errors = None;
    world.release("two", WELL);
    world.run_s(90);
    assert!(world.last.reason.contains("paused by the analysis"), "{}", world.last.reason);
    assert!(!world.promoted() && world.last.synthetic.is_empty());
}

#[test]
fn nothing_is_asked_while_a_person_holds_it() {
    let mut world = world(canary(), 0);
    world.release("two", Nature { errors: 0, ..WELL });
    world.run_s(5);
    assert_eq!(world.last.synthetic.len(), 2, "{:?}", world.last);
    world.wish("two", Wish::Pause);
    world.run_s(60);
    assert!(world.last.synthetic.is_empty() && !world.promoted());
}

#[test]
fn late_answers_to_synthetic_requests_do_not_hide_a_slow_version_from_its_users() {
    for stage in ["canary", "bake"] {
        let mut world = world(canary(), 1000);
        world.policy.rollout.bake = Millis::from_secs(60);
        // In the bake there is no old version to compare with, so that only a limit speaks.
        world.policy.rollout.analysis.as_mut().unwrap().latency_p95_max = Some(Millis(30));
        world.release("two", WELL);
        if stage == "bake" {
            run_until(&mut world, "it is promoted", World::promoted);
        } else {
            run_until(&mut world, "it answers users", |world| !world.last.shares.is_empty());
        }
        world.stray = 5;
        world.natures.insert(revision("two"), Nature { takes_us: 2 * WELL.takes_us, ..WELL });
        world.run_s(30);
        let why = world.rolled_back().unwrap_or_else(|| panic!("{stage}: {:?}", world.last));
        assert!(why.contains("slower") || why.contains("take longer"), "{stage}: {why}");
    }
}

#[test]
fn while_a_person_holds_it_what_users_wait_for_is_judged_again() {
    let mut world = world(canary(), 0);
    world.release("two", WELL);
    run_until(&mut world, "both are asked", |world| !world.last.synthetic.is_empty());
    world.run_s(1);
    world.wish("two", Wish::Pause);
    world.traffic = 1000;
    world.natures.insert(revision("two"), Nature { takes_us: 2 * WELL.takes_us, ..WELL });
    world.run_s(60);
    assert!(world.rolled_back().unwrap().contains("slower"), "{:?}", world.events);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(std::env::var("PLIMSOLL_LAWS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)),
        ..ProptestConfig::default()
    })]

    /// Convergence and safety: a good version comes in and a bad one goes, whatever users ask and however often is asked.
    #[test]
    fn a_release_comes_to_its_end_without_a_person(
        traffic in 0..200_u64,
        rate in 10..200_u32,
        errors in prop_oneof![Just(0_u64), 20..=100_u64],
        is_canary in any::<bool>(),
    ) {
        let mut world = aided(if is_canary { canary() } else { blue_green() }, traffic, rate);
        world.release("two", Nature { errors, ..WELL });
        world.run_s(200);
        prop_assert_eq!(world.promoted(), errors == 0, "{:?}", world.events);
        prop_assert!(world.memory.paused.is_none() && world.last.synthetic.is_empty(), "{}", world.last.reason);
    }
}
