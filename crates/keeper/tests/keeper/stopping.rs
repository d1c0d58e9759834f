//! Stopping all of it, and starting again what must always run.

use crate::world::{LONG, World, connect, ends_within, eventually, is_alive, pids, program, shell};
use plimsoll_wire::keeper::{Answer, Ask, Event, Spawn};

#[track_caller]
fn wait_for_keeper(world: &mut World) -> Option<i32> {
    ends_within(&mut world.keeper, LONG).expect("the keeper did not stop").code()
}

#[test]
fn everything_stops_even_what_ignores_sigterm() {
    let mut world = World::new();
    let file = world.file("pids");
    let gentle = world.spawn(shell("gentle", "exec sleep 10000"));
    let script = format!("trap '' TERM; echo $$ > {}; while :; do sleep 1; done", file.display());
    let stubborn = world.spawn(shell("stubborn", &script));
    pids(&file, 1);
    assert_eq!(world.ask(Ask::Stop { grace_ms: 100 }), Answer::Done);
    assert_eq!(world.exit("gentle").signal, Some(15));
    assert_eq!(world.exit("stubborn").signal, Some(9));
    assert_eq!(wait_for_keeper(&mut world), Some(0));
    assert!(!is_alive(gentle.pid) && !is_alive(stubborn.pid));
    let place = world.place.clone();
    for path in [place.keeper_socket(), place.api_socket(), place.inventory(), place.lock(), place.run.join("fifo")] {
        assert!(!path.exists(), "{}", path.display());
    }
}

#[test]
fn sigterm_stops_all_too() {
    let mut world = World::new();
    let process = world.spawn(shell("a", "exec sleep 10000"));
    let keeper = rustix::process::Pid::from_child(&world.keeper);
    rustix::process::kill_process(keeper, rustix::process::Signal::HUP).unwrap();
    world.ask(Ask::List);
    rustix::process::kill_process(keeper, rustix::process::Signal::TERM).unwrap();
    assert_eq!(wait_for_keeper(&mut world), Some(0));
    assert!(!is_alive(process.pid));
}

#[test]
fn nothing_is_started_while_stopping() {
    let mut world = World::new();
    let file = world.file("pids");
    let script = format!("trap '' TERM; echo $$ > {}; while :; do sleep 1; done", file.display());
    world.spawn(shell("stubborn", &script));
    pids(&file, 1);
    assert_eq!(world.ask(Ask::Stop { grace_ms: 60_000 }), Answer::Done);
    assert_eq!(world.refusal(shell("late", "exit 0")).stage, "stopping");
    assert_eq!(world.ask(Ask::Stop { grace_ms: 0 }), Answer::Done);
    assert_eq!(wait_for_keeper(&mut world), Some(0));
}

#[test]
fn services_end_before_gateways_and_gateways_before_the_engine() {
    let mut world = World::with(&["engine"]);
    pids(&world.file("engines"), 1);
    let until_told = "trap 'exit 0' TERM; while :; do sleep 0.01; done";
    world.spawn(Spawn { respawn: true, ..shell("gateway", until_told) });
    world.spawn(shell("web-1.1", until_told));
    assert_eq!(world.ask(Ask::Stop { grace_ms: 30_000 }), Answer::Done);
    let mut order = Vec::new();
    while order.len() < 3 {
        order.push(world.event("an end", |event| match event {
            Event::Exited { id, .. } => Some(id.clone()),
            _ => None,
        }));
    }
    assert_eq!(order, ["web-1.1", "gateway", "engine"]);
    assert_eq!(wait_for_keeper(&mut world), Some(0));
}

#[test]
fn a_process_that_must_run_is_started_again_and_again() {
    let mut world = World::new();
    let file = world.file("pids");
    let script = format!("echo $$ >> {}; exec sleep 10000", file.display());
    let first = world.spawn(Spawn { respawn: true, ..shell("gateway", &script) });
    pids(&file, 1);
    for round in 1..=3 {
        world.signal("gateway", 9);
        assert_eq!(world.exit("gateway").signal, Some(9));
        let process = world.event("the new start", |event| match event {
            Event::Respawned(process) => Some(process.clone()),
            _ => None,
        });
        assert_eq!(process.respawns, round);
        assert_ne!(process.pid, first.pid);
        assert_ne!((process.cgroup.is_some(), &process.cgroup), (true, &first.cgroup), "each start has its own group");
        assert_eq!(process.exit, None);
        let length = usize::try_from(round).unwrap() + 1;
        assert_eq!(pids(&file, length).last(), Some(&process.pid));
    }
    assert!(matches!(world.ask(Ask::Forget { id: "gateway".into() }), Answer::Failed { .. }));
    assert_eq!(world.ask(Ask::Retire { id: "gateway".into() }), Answer::Done);
    world.signal("gateway", 9);
    world.exit("gateway");
    assert_eq!(world.ask(Ask::Forget { id: "gateway".into() }), Answer::Done);
    assert_eq!(world.process("gateway"), None);
}

#[test]
fn an_engine_that_dies_is_started_again_and_touches_nothing() {
    let mut world = World::with(&["engine"]);
    let engines = world.file("engines");
    let first = pids(&engines, 1)[0];
    let service = world.spawn(shell("web-1.1", "exec sleep 10000"));
    world.signal("engine", 9);
    let both = pids(&engines, 2);
    assert_ne!(both[1], first);
    eventually("the new engine is known", || world.process("engine").is_some_and(|process| process.pid == both[1]));
    let after = world.process("web-1.1").unwrap();
    assert_eq!((after.pid, after.exit), (service.pid, None));
    assert!(is_alive(service.pid));
}

#[test]
fn a_process_with_a_channel_talks_with_the_keeper_over_its_standard_input() {
    let mut world = World::new();
    let state = world.place.state.to_str().unwrap().to_owned();
    let process = world.spawn(Spawn { channel: true, ..program("talker", &["engine", "--state", &state]) });
    assert_eq!(pids(&world.file("engines"), 1), [process.pid]);
}

#[test]
fn a_system_starts_again_after_its_stop() {
    let mut world = World::new();
    world.spawn(shell("a", "exec sleep 10000"));
    world.ask(Ask::Stop { grace_ms: 1000 });
    wait_for_keeper(&mut world);
    world.keeper = crate::world::start(&world.place, &[]);
    world.client = connect(&world.place);
    assert_eq!(world.process("a"), None);
    world.spawn(shell("a", "exec sleep 10000"));
}
