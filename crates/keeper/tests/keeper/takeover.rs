//! A keeper that dies is replaced, and what it looked after goes on.

use crate::world::{Stranger, World, eventually, is_alive, pids, shell, start};
use plimsoll_wire::{
    keeper::{Answer, Ask, Spawn},
    sum,
};
use std::{fs, io::Read, process::Command};

fn greeting(world: &mut World) -> bool {
    match world.ask(Ask::Hello { version: plimsoll_wire::VERSION, role: "engine".into() }) {
        Answer::Hello { took_over, .. } => took_over,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_processes_run_on_and_their_ends_are_told_as_unknown() {
    let mut world = World::new();
    assert!(!greeting(&mut world));
    let before = world.spawn(shell("a", "exec sleep 10000"));
    world.spawn(shell("b", "exit 9"));
    world.exit("b");
    world.replace_keeper(&[]);
    assert!(greeting(&mut world));
    let after = world.process("a").unwrap();
    assert_eq!((after.pid, after.start, after.exit), (before.pid, before.start, None));
    let exit = world.process("b").and_then(|process| process.exit).unwrap();
    assert_eq!((exit.code, exit.unknown), (Some(9), false), "a status that was known stays known");
    world.signal("a", 15);
    let exit = world.exit("a");
    assert_eq!((exit.unknown, exit.code, exit.signal), (true, None, None));
    assert!(!is_alive(before.pid));
}

#[test]
fn an_adopted_process_is_started_no_second_time() {
    let mut world = World::new();
    let wish = shell("a", "exec sleep 10000");
    let before = world.spawn(wish.clone());
    world.replace_keeper(&[]);
    assert_eq!(world.spawn(wish).pid, before.pid);
}

#[test]
fn one_that_died_meanwhile_is_told_with_its_descendants_ended() {
    let mut world = World::new();
    let file = world.file("pids");
    let script = format!("setsid -f sh -c 'echo $$ > {}; exec sleep 10000'; exec sleep 10000", file.display());
    let process = world.spawn(shell("a", &script));
    let daemon = pids(&file, 1)[0];
    world.kill_keeper();
    kill(process.pid);
    eventually("it is dead", || !is_alive(process.pid));
    world.replace_keeper_after_death();
    eventually("its end is known", || world.process("a").is_some_and(|process| process.exit.is_some()));
    assert!(world.process("a").unwrap().exit.unwrap().unknown);
    assert!(!is_alive(daemon));
}

#[test]
fn descendants_of_an_adopted_process_end_with_it() {
    let mut world = World::new();
    let file = world.file("pids");
    let script = format!("setsid -f sh -c 'echo $$ > {}; exec sleep 10000'; exec sleep 10000", file.display());
    world.spawn(shell("a", &script));
    let daemon = pids(&file, 1)[0];
    world.replace_keeper(&[]);
    world.signal("a", 9);
    let exit = world.exit("a");
    assert!(exit.stragglers >= 1, "{exit:?}");
    assert!(!is_alive(daemon));
}

#[test]
fn a_damaged_or_missing_inventory_loses_no_process() {
    for damage in ["", "0000000000000000\n{}", "missing"] {
        let mut world = World::new();
        let before = world.spawn(shell("a", "while :; do echo x; sleep 0.05; done"));
        world.kill_keeper();
        if damage == "missing" {
            fs::remove_file(world.place.inventory()).unwrap();
        } else {
            fs::write(world.place.inventory(), damage).unwrap();
        }
        world.keeper = start(&world.place, &["take-over"]);
        world.client = crate::world::connect(&world.place);
        assert!(greeting(&mut world));
        assert_eq!(world.process("a").map(|process| process.pid), Some(before.pid), "{damage:?}");
        world.signal("a", 9);
        world.exit("a");
    }
}

#[test]
fn a_stranger_with_the_pid_of_a_dead_process_is_never_signalled() {
    let mut world = World::new();
    let mut stranger = Stranger::marked("none");
    // Clock ticks tell them apart, so at least one must pass. The kernel tells the time since the boot in as many digits.
    let ticks = || fs::read_to_string("/proc/uptime").unwrap().split(' ').next().map(str::to_owned);
    let then = ticks();
    eventually("a clock tick has passed", || ticks() != then);
    let process = world.spawn(shell("a", "exec sleep 10000"));
    world.kill_keeper();
    kill(process.pid);
    // The inventory now names the stranger's pid, with another start time: as after a reuse.
    rewrite(&world, &format!("\"pid\":{}", process.pid), &format!("\"pid\":{}", stranger.0.id()));
    world.replace_keeper_after_death();
    eventually("its end is known", || world.process("a").is_some_and(|process| process.exit.is_some()));
    world.signal("a", 9);
    assert_eq!(world.ask(Ask::Signal { id: "a".into(), signal: 9, whole: true }), Answer::Done);
    stranger.assert_untouched();
}

#[test]
fn an_inventory_of_another_boot_is_no_take_over() {
    let mut world = World::new();
    world.spawn(shell("a", "exit 0"));
    world.exit("a");
    world.kill_keeper();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    rewrite(&world, boot.trim(), "00000000-0000-0000-0000-000000000000");
    world.replace_keeper_after_death();
    assert!(!greeting(&mut world));
    assert_eq!(world.process("a"), None);
}

#[test]
fn the_engine_is_started_anew_only_if_it_is_dead() {
    let mut world = World::with(&["engine"]);
    let engines = world.file("engines");
    let first = pids(&engines, 1)[0];
    world.replace_keeper(&["engine"]);
    assert_eq!(world.process("engine").map(|process| process.pid), Some(first));
    world.kill_keeper();
    kill(first);
    eventually("the engine is dead", || !is_alive(first));
    world.keeper = start(&world.place, &["engine"]);
    world.client = crate::world::connect(&world.place);
    let both = pids(&engines, 2);
    assert_eq!(world.process("engine").map(|process| process.pid), Some(both[1]));
}

#[test]
fn an_engine_that_lost_its_keeper_can_start_another_that_outlives_it() {
    let mut world = World::with(&["engine"]);
    fs::write(world.file("revive"), "").unwrap();
    let engines = world.file("engines");
    let first = pids(&engines, 1)[0];
    let service = world.spawn(shell("a", "exec sleep 10000"));
    world.kill_keeper();
    world.client = crate::world::connect(&world.place);
    assert!(greeting(&mut world));
    assert_eq!(world.process("engine").map(|process| process.pid), Some(first));
    assert_eq!(world.process("a").map(|process| process.pid), Some(service.pid));
    // The new keeper is the engine's child, in its group and with its mark, and must not end with it.
    world.signal("engine", 9);
    let both = pids(&engines, 2);
    eventually("the new engine is known", || world.process("engine").is_some_and(|process| process.pid == both[1]));
    assert!(is_alive(service.pid));
    fs::remove_file(world.file("revive")).unwrap();
    assert_eq!(world.ask(Ask::Stop { grace_ms: 0 }), Answer::Done);
    eventually("the system is stopped", || !world.place.inventory().exists());
    assert!(!is_alive(service.pid) && !is_alive(both[1]));
}

#[test]
fn a_second_keeper_is_refused_at_once_and_names_the_first() {
    let mut world = World::new();
    let mut second = Command::new(crate::world::PROGRAM)
        .args(["keeper".as_ref(), world.place.state.as_os_str()])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(second.wait().unwrap().code(), Some(1));
    let mut said = String::new();
    second.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains(&format!("another keeper (pid {})", world.keeper.id())), "{said}");
    world.spawn(Spawn { log: None, ..shell("a", "exit 0") });
    world.exit("a");
}

/// As a stranger would.
fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// Changes the inventory, and its check sums with it.
fn rewrite(world: &World, from: &str, to: &str) {
    let text = fs::read_to_string(world.place.inventory()).unwrap();
    let (mut sum, mut changed) = (sum::START, String::new());
    for line in text.lines() {
        let body = line.split_once(' ').unwrap().1.replace(from, to);
        sum = sum::fnv(sum, body.as_bytes());
        changed.push_str(&format!("{sum:016x} {body}\n"));
    }
    fs::write(world.place.inventory(), changed).unwrap();
}
