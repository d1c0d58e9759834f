//! Logs: complete, timed, rotated, capped, and never a reason for a process to wait.

use crate::world::{World, eventually, is_alive, program, shell};
use plimsoll_wire::keeper::{Event, Spawn};
use std::fs;

#[test]
fn both_streams_come_with_the_time_before_each_line() {
    let mut world = World::new();
    world.spawn(shell("a", "echo out; echo err >&2; printf 'no end'"));
    world.exit("a");
    assert_eq!(world.log("a"), "out\nerr\nno end\n");
    let text = fs::read_to_string(world.place.log("a")).unwrap();
    let time = text.split(' ').next().unwrap();
    assert_eq!((time.len(), time.chars().last()), (27, Some('Z')), "{time}");
}

#[test]
fn processes_of_one_log_share_it() {
    let mut world = World::new();
    for id in ["a", "b"] {
        let script = format!("echo from {id}");
        world.spawn(Spawn { log: Some("shared".into()), ..shell(id, &script) });
    }
    world.exit("b");
    world.spawn(Spawn { log: Some("shared".into()), ..shell("c", "echo from c") });
    world.exit("c");
    let log = world.log("shared");
    for id in ["a", "b", "c"] {
        assert!(log.contains(&format!("from {id}\n")), "{log}");
    }
}

#[test]
fn a_flood_is_dropped_counted_and_blocks_nobody() {
    let mut world = World::with(&["small-logs"]);
    let before = world.memory_kib();
    world.spawn(program("flood", &["flood", "256"]));
    world.spawn(shell("quiet", "echo still heard"));
    let dropped = world.event("dropping", |event| match event {
        Event::LogDropped { log, bytes, .. } if log == "flood" => Some(*bytes),
        _ => None,
    });
    assert!(dropped > 0);
    eventually("the flood is over", || world.process("flood").is_some_and(|process| process.exit.is_some()));
    let exit = world.process("flood").and_then(|process| process.exit).unwrap();
    assert_eq!(exit.code, Some(0), "it could write to the end");
    let grown = world.memory_kib().saturating_sub(before);
    println!("the keeper grew by {grown} KiB under a flood of 256 MiB");
    assert!(grown < 20 << 10, "{grown} KiB");
    let names = fs::read_dir(world.place.state.join("logs")).unwrap();
    let sizes: Vec<(String, u64)> = names
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len()))
        .filter(|(name, _)| name.starts_with("flood."))
        .collect();
    // 64 KiB a file, and one write of a chunk with its times beyond it.
    assert!(sizes.len() <= 4 && sizes.iter().all(|(_, size)| *size < 256 << 10), "{sizes:?}");
    assert_eq!(world.log("quiet"), "still heard\n");
}

#[test]
fn a_log_outlives_its_keeper() {
    let mut world = World::new();
    let (go, wrote) = (world.file("go"), world.file("wrote"));
    let script = format!(
        "echo before; while [ ! -e {} ]; do sleep 0.01; done; echo between; : > {}; while :; do sleep 0.05; echo after; done",
        go.display(),
        wrote.display()
    );
    let process = world.spawn(shell("a", &script));
    eventually("the first line", || world.log("a").contains("before"));
    world.kill_keeper();
    fs::write(&go, "").unwrap();
    // With no keeper at all it goes on writing, and does not break.
    eventually("it wrote between keepers", || wrote.exists());
    assert!(is_alive(process.pid));
    world.replace_keeper_after_death();
    eventually("what was written between keepers", || world.log("a").contains("between\n"));
    eventually("what was written after", || world.log("a").contains("after\nafter\nafter\n"));
}

#[test]
fn what_nobody_wants_is_discarded() {
    let mut world = World::new();
    world.spawn(Spawn {
        log: None,
        ..shell("a", "echo x; readlink /proc/self/fd/1 > out; readlink /proc/self/fd/0 >> out")
    });
    world.exit("a");
    assert_eq!(
        fs::read_to_string(world.file("out")).unwrap(),
        "out\n/dev/null\n".replacen("out", world.file("out").canonicalize().unwrap().to_str().unwrap(), 1)
    );
    assert!(!world.place.log("a").exists());
}
