//! Releases through the whole world, judged by `control::rollout`: good ones pass, bad ones are sent back.

use crate::{
    canary::{busy, canary, careful, of_kind, scenario},
    scene,
};
use plimsoll_control::rollout::Event;
use plimsoll_model::{Ratio, simulation::Simulation};
use plimsoll_simulate::{Plan, World};

/// The events of a release in one world, with their seconds.
fn released(scenario: &Simulation, seed: u64) -> Vec<(u64, Event)> {
    let plan = Plan::of(&scene::system(canary()), scenario, &Default::default(), seed).unwrap();
    let mut world = World::new(plan);
    world.run();
    world.check_end();
    assert!(world.violations().is_empty(), "seed {seed}: {:?}", world.violations());
    let events = world.figures().services[0].releases.iter();
    events.map(|(ns, event)| (ns / 1_000_000, event.clone())).filter(|(ms, _)| *ms >= 30_000).collect()
}

fn is_back(event: &Event) -> bool {
    matches!(event, Event::RolledBack { .. })
}

/// Worlds of an A/A release; a longer run by `PLIMSOLL_SOAK=N` plays N times as many.
fn worlds(usual: u64) -> u64 {
    let times = std::env::var("PLIMSOLL_SOAK").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    usual * times
}

/// Where traffic is enough to decide: with less, nothing is ever sent back, nor promoted.
#[test]
fn a_good_version_is_sent_back_in_at_most_one_of_a_hundred_releases() {
    seldom_back(&scenario(200, 150, (Ratio(1000), 1000)));
}

/// Replicas that do one request at a time and are busy for nearly half of the time: who waits there is no independent
/// sample, and a replica with twice the traffic is slower for that alone.
#[test]
fn a_good_version_that_queues_is_sent_back_no_more_often() {
    seldom_back(&of_kind(scenario(300, 150, (Ratio(1000), 1000)), 1));
}

#[track_caller]
fn seldom_back(scenario: &Simulation) {
    let count = worlds(50);
    let all: Vec<(u64, Vec<(u64, Event)>)> = (0..count).map(|seed| (seed, released(scenario, seed))).collect();
    let told = |is: fn(&Event) -> bool| all.iter().filter(move |(_, told)| told.iter().any(|(_, one)| is(one)));
    let back: Vec<u64> = told(is_back).map(|(seed, _)| *seed).collect();
    assert!(back.len() as u64 * 100 <= count, "{} of {count} good versions were sent back: seeds {back:?}", back.len());
    let promoted = told(|one| matches!(one, Event::Promoted { .. })).count() as u64;
    assert!(promoted * 100 >= count * 95, "only {promoted} of {count} good versions were promoted");
}

/// A version that is bad in this way is sent back, in every one of some worlds, and not promoted before.
#[track_caller]
fn finds(what: &str, errors: Ratio, times_milli: u64) {
    let scenario = scenario(300, 240, (errors, times_milli));
    for seed in 0..5 {
        let events = released(&scenario, seed);
        let found = events.iter().find(|(_, event)| is_back(event) || matches!(event, Event::Promoted { .. }));
        let (_, first) = found.unwrap_or_else(|| panic!("{what}, seed {seed}: {events:?}"));
        assert!(is_back(first), "{what}, seed {seed}: {events:?}");
    }
}

#[test]
fn one_percent_of_errors_is_found() {
    finds("1 % of errors", Ratio(11_000), 1000);
}

#[test]
fn five_percent_of_errors_are_found() {
    finds("5 % of errors", Ratio::percent(5), 1000);
}

#[test]
fn half_of_all_failing_is_found() {
    finds("50 % of errors", Ratio::percent(50), 1000);
}

#[test]
fn twice_the_latency_is_found() {
    finds("+100 % latency", Ratio(1000), 2000);
}

/// Fault 64: at most one in a thousand of those who ask meets a bad version before it is sent back, where its first step is
/// as small. Versions with 1 % of errors take longer than a test may: `scripts/soak simulate`.
#[test]
fn hardly_anybody_meets_a_bad_version() {
    for (what, errors, times_milli) in [("5 % of errors", Ratio::percent(5), 1000), ("50 %", Ratio::percent(50), 1000)]
    {
        let plan =
            Plan::of(&scene::system(careful()), &busy(230, (errors, times_milli)), &Default::default(), 3).unwrap();
        let mut world = World::new(plan);
        let is_over = |world: &World| world.figures().services[0].releases.iter().any(|(_, event)| is_back(event));
        for second in 30..230 {
            world.run_until(second * 1_000_000_000);
            if is_over(&world) {
                break;
            }
        }
        assert!(is_over(&world), "{what}: {:?}", world.figures().services[0].releases);
        let (met, asked) = (world.answers(0)[1], world.figures().sources[0].asked - 60_000);
        eprintln!("{what}: {met} of {asked} requests since its release met the bad version");
        assert!(met > 0 && met * 1000 <= asked + asked / 2, "{what}: {met} of {asked}");
    }
}

#[test]
fn a_good_version_is_promoted() {
    let events = released(&scenario(300, 240, (Ratio(1000), 1000)), 9);
    assert!(events.iter().any(|(_, event)| matches!(event, Event::Promoted { .. })), "{events:?}");
}
