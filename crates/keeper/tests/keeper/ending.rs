//! What a process leaves behind is ended, orphans are reaped, and nobody else is ever signalled.

use crate::world::{Stranger, World, eventually, is_alive, pids, shell};
use plimsoll_wire::keeper::{Answer, Ask, Limits, Spawn};
use std::fs;

#[test]
fn thirty_double_forked_daemons_end_with_their_ancestor() {
    let mut world = World::new();
    let file = world.file("daemons");
    let script = format!(
        "for i in $(seq 30); do setsid -f sh -c 'echo $$ >> {0}; exec sleep 10000'; done; \
         while [ $(wc -l < {0}) -lt 30 ]; do sleep 0.01; done; exit 4",
        file.display()
    );
    world.spawn(shell("a", &script));
    let exit = world.exit("a");
    let daemons = pids(&file, 30);
    assert_eq!(exit.code, Some(4));
    assert!(exit.stragglers >= 30, "{exit:?}");
    assert_eq!(daemons.iter().filter(|pid| is_alive(**pid)).count(), 0);
}

#[test]
fn without_privileges_daemons_end_too_and_limits_are_told_not_to_hold() {
    let mut world = World::unprivileged();
    let file = world.file("daemons");
    let script = format!(
        "for i in 1 2 3; do setsid -f sh -c 'echo $$ >> {0}; exec sleep 10000'; done; sleep 10000 & echo $! >> {0}; \
         while [ $(wc -l < {0}) -lt 4 ]; do sleep 0.01; done; exit 4",
        file.display()
    );
    let limits = Limits { pids: Some(100), ..Limits::default() };
    let process = world.spawn(Spawn { limits, ..shell("a", &script) });
    assert!(process.cgroup.is_some() || process.unenforced == ["pids"], "{process:?}");
    let exit = world.exit("a");
    assert_eq!(exit.code, Some(4));
    assert!(exit.stragglers >= 4, "{exit:?}");
    assert_eq!(pids(&file, 4).into_iter().filter(|pid| is_alive(*pid)).count(), 0);
}

#[test]
fn a_child_in_the_same_group_ends_too() {
    let mut world = World::new();
    let file = world.file("pids");
    world.spawn(shell("a", &format!("sleep 10000 & echo $! > {}; exit 0", file.display())));
    world.exit("a");
    assert!(!is_alive(pids(&file, 1)[0]));
}

#[test]
fn ten_thousand_orphans_leave_no_zombie() {
    let mut world = World::new();
    let keeper = i32::try_from(world.keeper.id()).unwrap();
    let before = world.memory_kib();
    // Each inner shell ends at once, which makes its child an orphan, adopted by the keeper.
    world.spawn(shell("a", "i=0; while [ $i -lt 10000 ]; do (: &); i=$((i+1)); done; echo made; exec sleep 10000"));
    eventually("ten thousand orphans were made", || world.log("a").contains("made"));
    let zombies = || -> usize {
        let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).unwrap();
        children.split_whitespace().filter(|pid| crate::world::state(pid.parse().unwrap()) == Some('Z')).count()
    };
    eventually("no zombie is left", || zombies() == 0);
    let grown = world.memory_kib().saturating_sub(before);
    println!("the keeper grew by {grown} KiB over 10,000 orphans");
    assert!(grown < 1 << 10, "{grown} KiB");
    world.signal("a", 9);
    world.exit("a");
}

#[test]
fn a_signal_for_all_reaches_descendants() {
    let mut world = World::new();
    let file = world.file("pids");
    let script = format!("setsid -f sh -c 'echo $$ > {}; exec sleep 10000'; exec sleep 10000", file.display());
    world.spawn(shell("a", &script));
    let daemon = pids(&file, 1)[0];
    assert_eq!(world.ask(Ask::Signal { id: "a".into(), signal: 15, whole: true }), Answer::Done);
    world.exit("a");
    assert!(!is_alive(daemon));
}

#[test]
fn signalling_the_dead_or_unknown_is_answered() {
    let mut world = World::new();
    world.spawn(shell("a", "exit 0"));
    world.exit("a");
    world.signal("a", 15);
    assert!(matches!(world.ask(Ask::Signal { id: "b".into(), signal: 15, whole: true }), Answer::Failed { .. }));
    assert!(matches!(world.ask(Ask::Signal { id: "a".into(), signal: 999, whole: true }), Answer::Failed { .. }));
}

#[test]
fn a_process_that_only_looks_similar_is_left_alone() {
    let mut world = World::new();
    let mut stranger = Stranger::marked("0000000000000000/a");
    world.spawn(shell("a", "exit 0"));
    world.exit("a");
    stranger.assert_untouched();
}
