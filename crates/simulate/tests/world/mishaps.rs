//! Faults, and what comes of them, one by one.

use crate::scene;
use plimsoll_model::{
    Bytes, MilliCpu, Millis, Service,
    simulation::{Fault, FaultKind, Nodes, Simulation, Times, Work},
};
use plimsoll_simulate::{Plan, World};

fn fault(kind: FaultKind, of: &str, (at_s, lasts_s): (u64, u64)) -> Fault {
    let (at, lasts) = (Millis::from_secs(at_s), Millis::from_secs(lasts_s));
    Fault { at, lasts, kind, of: of.into(), count: 1, times_milli: 1000 }
}

/// What was told by that word: nanosecond, and two numbers.
fn told(scenario: &Simulation, web: Service, word: &str) -> Vec<(u64, u32, u32)> {
    let plan = Plan::of(&scene::system(web), scenario, &Default::default(), 1).unwrap();
    let mut world = World::new(plan).traced();
    world.run();
    let trace = world.take_trace();
    let read = |line: &str| {
        let mut parts = line.split(' ');
        let at = parts.next()?.parse().ok()?;
        (parts.next()? == word).then_some(())?;
        Some((at, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    trace.lines().filter_map(read).collect()
}

/// A pool of one machine, large enough for anything or for nothing.
fn machine(zone: &str, large: bool) -> Nodes {
    let (cpu, memory) = if large { (MilliCpu(64_000), Bytes(64 << 30)) } else { (MilliCpu(1), Bytes(1)) };
    Nodes { count: 1, cpu, memory, zone: zone.into(), region: "home".into() }
}

#[test]
fn a_kill_takes_the_process_that_has_run_for_longest() {
    let mut scenario = scene::scenario(100, 10);
    scenario.faults = [20, 40, 60].map(|at| fault(FaultKind::Crash, "web", (at, 0))).into();
    let dead: Vec<u32> = told(&scenario, scene::service(3), "Exited").iter().map(|one| one.1).collect();
    assert_eq!(dead, [0, 1, 2]);
}

#[test]
fn a_back_off_that_ends_while_its_zone_is_lost_starts_nothing_there() {
    let mut scenario = scene::scenario(300, 1);
    scenario.nodes.insert("a".into(), machine("a", true));
    // The fifth death in a row is backed off from for more than a minute.
    scenario.faults = [20, 25, 45, 75, 135].map(|at| fault(FaultKind::Crash, "web", (at, 0))).into();
    scenario.faults.push(fault(FaultKind::Zone, "a", (137, 120)));
    let spawned = told(&scenario, scene::service(1), "Spawned");
    assert!(spawned.len() > 2, "{spawned:?}");
    let lost = 137_000_000_000..257_000_000_000_u64;
    assert!(spawned.iter().all(|one| !lost.contains(&one.0)), "{spawned:?}");
    assert!(spawned.iter().any(|one| one.0 >= lost.end), "{spawned:?}");
}

#[test]
fn the_end_of_one_partition_frees_nothing_of_another() {
    let mut scenario = scene::scenario(20, 10);
    scenario.duration = Millis::from_secs(150);
    for (zone, large) in [("a", false), ("b", true), ("c", false)] {
        scenario.nodes.insert(zone.into(), machine(zone, large));
    }
    let work = scenario.work.get_mut("web").unwrap();
    (work.time, work.workers) = (Times::Always { us: 5_000_000 }, Some(1000));
    let mut web = scene::service(1);
    web.probes = Default::default();
    web.limits.response = Millis::from_secs(200);
    scenario.faults = vec![fault(FaultKind::Partition, "b", (10, 60)), fault(FaultKind::Partition, "c", (20, 10))];
    let done = told(&scenario, web, "Done");
    let right = done.iter().filter(|one| one.2 == 0);
    let cut: Vec<u64> = right.map(|one| one.0).filter(|at| (10_000_000_000..70_000_000_000).contains(at)).collect();
    assert!(cut.is_empty() && done.len() > 100, "{cut:?}");
}

#[test]
fn work_that_nobody_waits_for_goes_on_as_it_began() {
    let mut system = scene::system(scene::service(1));
    system.services.insert("db".into(), scene::service(1));
    let web = system.services.get_mut("web").unwrap();
    web.limits.response = Millis::from_secs(1);
    let mut scenario = scene::scenario(30, 1);
    scenario.work.get_mut("web").unwrap().time = Times::Always { us: 3_000_000 };
    scenario.work.insert("db".into(), Work::default());
    // Only such requests call it, and only long after they were given up.
    scenario.traffic.get_mut("people").unwrap().calls = Some([("db".to_owned(), 1)].into());
    let world = scene::run(&system, &scenario, 1);
    let people = &world.figures().sources[0];
    assert!(people.failed() > 10 && people.outcomes[0] == 0, "{people:?}");
    let db = world.uses().into_iter().find(|one| one.0 == "db").unwrap();
    assert!(db.1 > 0.0, "{db:?}");
}

#[test]
fn times_beyond_all_measure_are_only_long() {
    let for_ever = Millis(u64::MAX);
    let mut web = scene::scaled(1, 3);
    (web.limits.response, web.limits.hold, web.limits.connect) = (for_ever, for_ever, for_ever);
    let mut scenario = scene::scenario(10, 10);
    scenario.metrics.window = for_ever;
    scenario.metrics.delay = for_ever;
    scenario.faults.push(fault(FaultKind::Slow, "web", (5, 1)));
    scenario.faults[0].times_milli = u64::MAX;
    scenario.faults[0].lasts = for_ever;
    let world = scene::run(&scene::system(web.clone()), &scenario, 1);
    assert!(world.figures().ended().0 > 0);
    scenario.work.get_mut("web").unwrap().start = for_ever;
    assert_eq!(scene::run(&scene::system(web), &scenario, 1).figures().ended().0, 0);
}
