//! Fault 77, `sim=real`: the same seed gives the same trace, byte by byte.

use crate::scene;
use plimsoll_model::{
    Millis,
    simulation::{Fault, FaultKind},
};
use plimsoll_simulate::{Plan, World};

fn traced(seed: u64) -> (String, u64) {
    let mut scenario = scene::scenario(120, 400);
    scene::three_zones(&mut scenario, 3);
    let crash = Fault {
        at: Millis::from_secs(30),
        lasts: Millis(0),
        kind: FaultKind::Crash,
        of: "web".into(),
        count: 2,
        times_milli: 1000,
    };
    scenario.faults.push(crash);
    let plan = Plan::of(&scene::system(scene::scaled(3, 10)), &scenario, &Default::default(), seed).unwrap();
    let mut world = World::new(plan).traced();
    world.run();
    (world.take_trace(), world.digest())
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let (first, second) = (traced(77), traced(77));
    assert!(first.0.lines().count() > 100_000, "{} lines", first.0.lines().count());
    assert!(first == second, "seed 77: two runs differ");
    assert_ne!(first.1, traced(78).1);
}

/// The same number on every machine: a change of it is a change of what is simulated, and is told in the changelog.
#[test]
fn the_trace_is_the_same_on_every_machine() {
    let digest = traced(77).1;
    assert_eq!(digest, 0xcf5f_2bc0_9c9f_4dbf, "digest {digest:#x}");
}
