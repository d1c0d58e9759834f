//! Releases of services that hardly anybody asks: `control` has the world ask both versions, as it has the gateway.

use crate::{
    canary::{canary, scenario},
    scene,
};
use plimsoll_control::rollout::Event;
use plimsoll_model::{Ratio, Service, synthetic::Synthetic};
use plimsoll_simulate::{Plan, World};

/// A canary whose file allows synthetic requests, or does not.
fn service(synthetic: Option<Synthetic>) -> Service {
    let mut service = canary();
    if let Some(analysis) = &mut service.rollout.analysis {
        analysis.synthetic = synthetic;
    }
    service
}

/// The world after a release of which users see two requests a second.
#[track_caller]
fn released(service: Service, (errors, times_milli): (Ratio, u64), seed: u64) -> World {
    let scenario = scenario(2, 300, (errors, times_milli));
    let mut world = World::new(Plan::of(&scene::system(service), &scenario, &Default::default(), seed).unwrap());
    world.run();
    world.check_end();
    assert!(world.violations().is_empty(), "seed {seed}: {:?}", world.violations());
    world
}

/// Whether something happened in the release; the first version is promoted at the beginning.
fn told(world: &World, is: fn(&Event) -> bool) -> bool {
    world.figures().services[0].releases.iter().any(|(ns, event)| *ns >= 30_000_000_000 && is(event))
}

const ASKING: fn() -> Option<Synthetic> = || Some(Synthetic { requests_per_second: 50, ..Synthetic::default() });

#[test]
fn a_good_version_that_nobody_asks_is_promoted() {
    for seed in 0..5 {
        let world = released(service(ASKING()), (Ratio(1000), 1000), seed);
        assert!(told(&world, |event| matches!(event, Event::Asked { .. })), "seed {seed}");
        assert!(told(&world, |event| matches!(event, Event::Promoted { .. })), "seed {seed}");
        let made = world.figures().services[0].synthetic;
        assert!(made > 600 && made.is_multiple_of(2), "seed {seed}: {made} synthetic requests");
        // Clients, and what they asked, are as they would be without.
        let source = &world.figures().sources[0];
        assert!(source.asked.abs_diff(600) < 150 && source.failed() < 10, "{source:?}");
    }
}

#[test]
fn a_bad_version_that_nobody_asks_is_sent_back() {
    for (errors, times_milli) in [(Ratio::percent(5), 1000), (Ratio(1000), 2000)] {
        for seed in 0..5 {
            let world = released(service(ASKING()), (errors, times_milli), seed);
            assert!(told(&world, |event| matches!(event, Event::RolledBack { .. })), "seed {seed}");
            assert!(!told(&world, |event| matches!(event, Event::Promoted { .. })), "seed {seed}");
        }
    }
}

#[test]
fn without_them_a_person_is_asked() {
    let world = released(service(None), (Ratio(1000), 1000), 1);
    assert!(told(&world, |event| matches!(event, Event::Paused { .. })));
    assert!(!told(&world, |event| matches!(event, Event::Promoted { .. })));
    assert_eq!(world.figures().services[0].synthetic, 0);
}

#[test]
fn where_users_ask_enough_there_are_none() {
    let scenario = scenario(300, 240, (Ratio(1000), 1000));
    let plan = Plan::of(&scene::system(service(ASKING())), &scenario, &Default::default(), 9).unwrap();
    let mut world = World::new(plan);
    world.run();
    assert!(told(&world, |event| matches!(event, Event::Promoted { .. })));
    assert_eq!(world.figures().services[0].synthetic, 0);
}

#[test]
fn they_come_again_with_the_same_seed() {
    let digest = |seed| released(service(ASKING()), (Ratio(1000), 1000), seed).digest();
    assert_eq!(digest(4), digest(4));
    assert_ne!(digest(4), digest(5));
}
