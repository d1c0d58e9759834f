//! Laws of a release: bounds, safety, idempotence, convergence, in a small world of our own.

#![expect(clippy::unwrap_used, reason = "a value that cannot be written or read back must fail the test")]

#[path = "laws_rollout/world.rs"]
mod world;

use plimsoll_control::reconcile::Phase;
use plimsoll_control::rollout::{Event, Prepared, Stage, Wish};
use plimsoll_model::rollout::{Inconclusive, Strategy as How};
use plimsoll_model::{
    Amount, Instant, Millis, Ratio,
    audience::{Audience, Match},
};
use proptest::{prelude::*, test_runner::RngSeed};
use world::{Nature, WELL, World, revision};

fn rolling() -> How {
    How::default()
}

fn canary() -> How {
    seen_by(Audience::default())
}

fn seen_by(audience: Audience) -> How {
    How::Canary { steps: [5, 25, 50].map(Ratio::percent).to_vec(), interval: Millis::from_secs(10), audience }
}

fn blue_green() -> How {
    How::BlueGreen { keep: Millis::from_secs(10) }
}

#[test]
fn every_strategy_brings_a_good_version_in() {
    for strategy in [rolling(), How::Recreate, canary(), blue_green()] {
        let mut world = World::new(strategy.clone(), 4);
        world.release("two", WELL);
        world.run_s(60);
        world.runs_only("two");
        assert!(world.last.complete && world.promoted(), "{strategy:?}: {:?}", world.last);
        let told = world.events.len();
        world.run_s(10);
        assert_eq!(world.events.len(), told, "at rest nothing is told");
    }
}

#[test]
fn a_canary_soaks_at_each_step_and_grows_only() {
    let mut world = World::new(canary(), 4).analysed(Inconclusive::Pause);
    world.release("two", WELL);
    let mut last = 0;
    for _ in 0..600 {
        world.tick();
        let now = world.share("two");
        assert!(now >= last || world.memory.target.is_none(), "{now} after {last}");
        last = now;
    }
    let reached: Vec<_> = world.events.iter().filter(|(_, event)| matches!(event, Event::Reached { .. })).collect();
    assert_eq!(reached.len(), 3);
    for pair in reached.windows(2) {
        assert!(pair[1].0.since(pair[0].0) >= Millis::from_secs(10));
    }
    assert!(world.promoted());
    world.runs_only("two");
}

#[test]
fn a_canary_that_requests_have_to_match_has_nothing_by_chance_until_it_is_promoted() {
    let matches = Some(Match { header: [("x-beta".to_owned(), "true".to_owned())].into() });
    let mut world = World::new(seen_by(Audience { matches, ..Audience::default() }), 4);
    world.release("two", WELL);
    let mut shown = false;
    for _ in 0..600 {
        world.tick();
        if world.memory.target.is_some() {
            assert_eq!(world.share("two"), 0);
        }
        // From the first step on, and only while it comes in.
        let is_at_step = world.last.events.iter().any(|event| matches!(event, Event::Reached { whom: Some(_), .. }));
        shown |= is_at_step;
        assert_eq!(world.last.canary.is_some(), shown && world.memory.target.is_some(), "{:?}", world.last);
    }
    assert!(shown && world.promoted());
    world.runs_only("two");
}

#[test]
fn a_bad_version_is_sent_back_and_quarantined() {
    for strategy in [rolling(), canary(), blue_green()] {
        let mut world = World::new(strategy.clone(), 4).analysed(Inconclusive::Pause);
        // A service with much traffic: 5 % of it is enough to tell.
        world.traffic = 1000;
        world.policy.rollout.bake = Millis::from_secs(60);
        world.release("bad", Nature { errors: 50, ..WELL });
        world.run_s(60);
        world.runs_only("one");
        assert!(world.rolled_back().is_some(), "{strategy:?}: {:?}", world.last);
        assert!(world.memory.is_quarantined(&revision("bad")));
        assert!(!world.last.complete && world.last.reason.contains("not tried again"), "{}", world.last.reason);

        world.release("three", WELL);
        world.run_s(150);
        world.runs_only("three");
    }
}

#[test]
fn a_forgiven_version_is_tried_again() {
    let mut world = World::new(canary(), 2);
    world.release("two", WELL);
    world.run_s(3);
    world.wish("two", Wish::Abort);
    world.run_s(3);
    world.runs_only("one");
    world.wish("two", Wish::Forgive);
    world.run_s(60);
    world.runs_only("two");
}

#[test]
fn without_traffic_nothing_is_promoted() {
    for strategy in [canary(), blue_green()] {
        let mut world = World::new(strategy.clone(), 3).analysed(Inconclusive::Pause);
        world.traffic = 0;
        world.release("two", WELL);
        world.run_s(300);
        assert!(!world.promoted(), "{strategy:?}");
        assert!(world.last.reason.contains("too little traffic"), "{}", world.last.reason);
        world.wish("two", Wish::Promote);
        world.run_s(30);
        world.runs_only("two");

        let mut world = World::new(strategy.clone(), 3).analysed(Inconclusive::Rollback);
        world.traffic = 0;
        world.release("two", WELL);
        world.run_s(60);
        assert!(world.rolled_back().unwrap().contains("too little traffic"), "{strategy:?}");
        world.runs_only("one");

        let mut world = World::new(strategy, 3).analysed(Inconclusive::Promote);
        world.traffic = 0;
        world.release("two", WELL);
        world.run_s(60);
        world.runs_only("two");
    }
}

#[test]
fn blue_green_moves_and_returns_all_traffic_at_once() {
    let mut world = World::new(blue_green(), 4);
    world.release("two", WELL);
    while world.share("two") == 0 {
        world.tick();
        assert!(world.at.since(Instant(1_800_000_000_000_000)) < Millis::from_secs(60));
    }
    assert_eq!(world.share("two"), 1_000_000);
    world.run_s(2);
    world.wish("two", Wish::Abort);
    world.tick();
    assert_eq!(world.share("one"), 1_000_000, "the next decision routes everything back");
    world.run_s(3);
    world.runs_only("one");
}

#[test]
fn a_version_that_turns_bad_after_promotion_is_sent_back() {
    let mut world = World::new(rolling(), 4).analysed(Inconclusive::Pause);
    world.policy.rollout.bake = Millis::from_secs(120);
    world.release("two", WELL);
    world.run_s(20);
    assert!(world.promoted());
    assert!(matches!(world.memory.stage, Stage::Baking { .. }));
    world.natures.insert(revision("two"), Nature { errors: 20, ..WELL });
    world.run_s(20);
    world.runs_only("one");
    assert!(world.rolled_back().is_some());
}

#[test]
fn what_the_old_version_had_in_flight_hides_no_failure_of_the_new_one() {
    // Promoted at once, and bad at once, while the last of the old ones still answer.
    let mut world = World::new(rolling(), 4).analysed(Inconclusive::Pause);
    world.policy.rollout.bake = Millis::from_secs(120);
    world.release("two", WELL);
    while !world.promoted() {
        world.tick();
    }
    world.natures.insert(revision("two"), Nature { errors: 50, ..WELL });
    world.run_s(30);
    assert!(world.rolled_back().is_some(), "{:?}", world.last);

    // The same after all traffic was moved.
    let mut world = World::new(How::BlueGreen { keep: Millis::from_secs(60) }, 4).analysed(Inconclusive::Pause);
    world.release("two", WELL);
    while world.share("two") == 0 {
        world.tick();
    }
    world.leftover.insert(revision("one"), 3);
    world.natures.insert(revision("two"), Nature { errors: 50, ..WELL });
    world.run_s(30);
    assert!(world.rolled_back().is_some(), "{:?}", world.last);
    world.runs_only("one");
}

#[test]
fn a_missed_deadline_is_told_and_only_undone_beside_the_old_version() {
    let never = Nature { start_ms: None, ..WELL };
    for (strategy, undone) in [(rolling(), false), (canary(), true), (blue_green(), true)] {
        let mut world = World::new(strategy.clone(), 4);
        world.policy.rollout.progress_deadline = Some(Millis::from_secs(20));
        world.release("stuck", never);
        world.run_s(60);
        assert!(world.events.iter().any(|(_, event)| *event == Event::DeadlineExceeded), "{strategy:?}");
        assert_eq!(world.rolled_back().is_some(), undone, "{strategy:?}");
        // Kubernetes keeps 3 of 4 serving (25 % of 4 may be missing).
        assert!(world.count(|one| one.revision == revision("one") && one.phase == Phase::Ready) >= 3);
        world.natures.insert(revision("stuck"), WELL);
        if !undone {
            for one in &mut world.replicas {
                one.started_at = world.at;
            }
            world.run_s(30);
            world.runs_only("stuck");
            assert!(world.events.iter().any(|(_, event)| *event == Event::Progressing));
        }
    }
}

#[test]
fn a_pause_holds_and_a_resume_goes_on() {
    for strategy in [rolling(), canary(), blue_green()] {
        let mut world = World::new(strategy.clone(), 10);
        world.release("two", WELL);
        world.tick();
        world.wish("two", Wish::Pause);
        world.run_s(120);
        assert!(!world.promoted(), "{strategy:?}");
        assert!(world.last.reason.starts_with("paused by ann"), "{}", world.last.reason);
        world.wish("two", Wish::Resume);
        world.run_s(120);
        world.runs_only("two");
    }
}

#[test]
fn what_the_file_no_longer_asks_for_is_withdrawn() {
    for strategy in [rolling(), canary(), blue_green()] {
        let mut world = World::new(strategy.clone(), 4);
        world.release("two", WELL);
        world.run_s(1);
        world.wanted = revision("one");
        world.run_s(20);
        world.runs_only("one");
        assert!(world.memory.quarantine.is_empty(), "{strategy:?}");
    }
}

#[test]
fn commands_for_another_revision_do_nothing() {
    let mut world = World::new(canary(), 4);
    world.release("two", WELL);
    world.run_s(2);
    world.wish("one", Wish::Abort);
    world.wish("zero", Wish::Promote);
    world.run_s(1);
    assert!(matches!(world.memory.stage, Stage::Canary { step: 0, .. }), "{:?}", world.memory.stage);
}

#[test]
fn nothing_of_a_version_runs_before_its_command_has_ended_well() {
    for strategy in [rolling(), How::Recreate, canary(), blue_green()] {
        let mut world = World::new(strategy.clone(), 4);
        world.policy.rollout.before = Some("migrate".into());
        world.release("two", WELL);
        world.run_s(30);
        world.runs_only("one");
        world.prepare(None);
        world.run_s(60);
        world.runs_only("two");
        assert!(world.last.prepare.is_none() && world.last.complete, "{strategy:?}: {:?}", world.last);

        world.release("three", WELL);
        world.run_s(1);
        world.prepare(Some("no such table"));
        world.run_s(30);
        world.runs_only("two");
        assert!(world.rolled_back().unwrap().contains("no such table"), "{strategy:?}");
    }
}

#[test]
fn a_command_that_ends_while_it_is_held_is_not_run_again() {
    for failed in [None, Some("no such table")] {
        let mut world = World::new(canary(), 4);
        world.policy.rollout.before = Some("migrate".into());
        world.release("two", WELL);
        world.run_s(1);
        assert_eq!(world.last.prepare, Some(revision("two")));
        world.wish("two", Wish::Pause);
        world.run_s(1);
        assert_eq!(world.last.prepare, None, "one that is held is not begun");
        world.prepared = Some(Prepared { revision: revision("two"), failed: failed.map(str::to_owned) });
        world.run_s(5);
        world.runs_only("one");
        world.wish("two", Wish::Resume);
        for _ in 0..600 {
            world.tick();
            assert_eq!(world.last.prepare, None, "it has ended already");
        }
        world.runs_only(if failed.is_some() { "one" } else { "two" });
    }
}

#[test]
fn a_first_version_whose_command_fails_does_not_run() {
    let mut world = World::new(rolling(), 2);
    world.memory = Default::default();
    world.policy.rollout.before = Some("migrate".into());
    world.release("two", WELL);
    world.run_s(2);
    assert_eq!(world.count(|_| true), 0);
    world.prepare(Some("no such table"));
    world.run_s(10);
    assert_eq!(world.count(|_| true), 0);
    world.wish("two", Wish::Forgive);
    world.run_s(1);
    world.prepare(None);
    world.run_s(10);
    world.runs_only("two");
}

#[test]
fn an_old_version_that_fails_after_the_command_keeps_the_new_one_out() {
    let mut world = World::new(canary(), 4);
    world.policy.rollout.before = Some("migrate".into());
    world.release("two", WELL);
    world.run_s(1);
    world.prepare(None);
    world.tick();
    for one in &mut world.replicas {
        (one.phase, one.ready_since) = (Phase::Unready, None);
    }
    world.run_s(10);
    assert!(world.rolled_back().unwrap().contains("0 of 4"), "{:?}", world.events);
}

#[test]
fn nothing_goes_back_by_itself_across_a_contract_step() {
    for (wish, ends_with) in [(Wish::Promote, "bad"), (Wish::Abort, "one")] {
        let mut world = World::new(canary(), 4).analysed(Inconclusive::Pause);
        world.policy.rollout.before = Some("migrate".into());
        world.policy.rollout.contract = true;
        world.traffic = 1000;
        world.release("bad", Nature { errors: 50, ..WELL });
        world.run_s(1);
        world.prepare(None);
        world.run_s(60);
        assert!(world.rolled_back().is_none());
        assert!(world.last.reason.contains("contract step"), "{}", world.last.reason);
        world.wish("bad", wish);
        world.run_s(60);
        world.runs_only(ends_with);
    }
}

/// The same cases in every run. Other cases: `PLIMSOLL_LAWS_SEED`.
fn laws(cases: u32) -> ProptestConfig {
    let seed = std::env::var("PLIMSOLL_LAWS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..ProptestConfig::default() }
}

fn any_strategy() -> impl Strategy<Value = How> {
    prop_oneof![
        (0..100_u64, 0..=100_u64).prop_map(|(surge, missing)| How::Rolling {
            max_surge: Amount::Share(Ratio::percent(surge)),
            max_unavailable: Amount::Share(Ratio::percent(missing)),
        }),
        Just(How::Recreate),
        (0..8_u64).prop_map(|keep| How::BlueGreen { keep: Millis::from_secs(keep) }),
        (prop::collection::btree_set(1..100_u64, 0..4), 0..6_u64).prop_map(|(steps, interval)| How::Canary {
            steps: steps.into_iter().map(Ratio::percent).collect(),
            interval: Millis::from_secs(interval),
            audience: Audience::default(),
        }),
    ]
}

proptest! {
    #![proptest_config(laws(30))]

    /// Whatever happens on the way, the last good version that is asked for runs alone in the end.
    #[test]
    fn it_comes_to_rest_with_what_is_wanted(
        strategy in any_strategy(),
        replicas in 1..8_u32,
        turns in prop::collection::vec((0..5_u8, 1..40_u64, 100..2000_u64), 0..8),
        analysed in any::<bool>(),
    ) {
        let mut world = World::new(strategy, replicas);
        world.policy.rollout.min_ready = Millis(200);
        if analysed {
            world = world.analysed(Inconclusive::Promote);
        }
        let mut count = 0;
        for (what, ticks, start) in turns {
            count += 1;
            let nature = Nature { start_ms: Some(start), ..WELL };
            let target = world.wanted.0.clone();
            match what {
                0 => world.release(&format!("good-{count}"), nature),
                1 => world.release(&format!("bad-{count}"), Nature { errors: 40, ..nature }),
                2 => world.wish(&target, Wish::Pause),
                3 => world.wish(&target, Wish::Abort),
                _ => world.policy.replicas = 1 + (world.policy.replicas + 2) % 8,
            }
            for _ in 0..ticks {
                world.tick();
            }
        }
        world.release("last", WELL);
        world.run_s(60);
        world.runs_only("last");
        prop_assert!(world.last.complete, "{:?}", world.last);
        prop_assert_eq!(&world.memory.stage, &Stage::Settled);
    }
}
