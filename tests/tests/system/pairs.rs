//! PostgreSQL with one synchronous standby, and what happens while there is none: fault 45 of the catalogue.

use crate::{
    standbys::{ask, assert_kept, primary, started, until_followed, whole, written},
    sweep::signal,
    times,
};
use rustix::process::Signal;
use std::time::{Duration, Instant};

const PAIR: &str = r#"
services:
  web: { command: [./app], port: 80, uses: [accounts] }
stores:
  accounts: { engine: postgres, instances: 2, synchronous: true }
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
"#;

#[test]
fn pg_primary_kill9_of_a_pair() {
    let Some(world) = started(PAIR) else { return };
    let (url, writer) = written(&world);
    let rounds = times(3);
    let mut took = Vec::new();
    let told = |reason: &str| world.events().iter().filter(|event| event.reason == reason).count();
    for round in 1..=rounds {
        let (name, pid) = primary(&world.until_status("all members are there", whole));
        let killed = Instant::now();
        signal(pid, Signal::KILL);
        let first = world.until("a write to the new primary", || writer.first_after(killed + Duration::from_millis(5)));
        took.push(first.duration_since(killed));
        assert_eq!(told("Asynchronous"), round, "nobody was left that its commits could wait for");
        until_followed(&world, &name);
        world.until("commits wait for a standby again", || (told("Synchronous") == round).then_some(()));
    }
    assert!(!ask(&world, &url, "SHOW synchronous_standby_names")[0].is_empty());
    let acknowledged = writer.end();
    assert_kept(&world, &url, &acknowledged);
    took.sort_unstable();
    eprintln!(
        "pg-primary-kill9 of a pair: 0 of {} acknowledged writes lost in {rounds} kills; first new write after {:?} at the median, {:?} at most",
        acknowledged.len(),
        took[took.len() / 2],
        took[took.len() - 1]
    );
    world.down();
}

#[test]
fn a_pair_takes_writes_without_its_standby_and_status_says_on_how_many_copies() {
    let Some(world) = started(PAIR) else { return };
    let (url, writer) = written(&world);
    let status = world.until_status("all members are there", whole);
    let standby =
        status.stores["accounts"].members.iter().find(|member| member.role == "standby").unwrap().pid.unwrap();
    // It runs and answers nothing, as on a disk that hangs.
    let below = family(standby);
    below.iter().for_each(|pid| signal(*pid, Signal::STOP));
    let alone = world.until_status("that is told", |status| {
        status.stores["accounts"].ready && status.stores["accounts"].reason.contains("on one copy")
    });
    assert_eq!(primary(&alone), primary(&status), "nobody took over");
    let before = writer.count();
    world.until("writes go on", || (writer.count() > before + 20).then_some(()));
    below.iter().for_each(|pid| signal(*pid, Signal::CONT));
    world.event("commits wait again", |event| event.subject == "accounts" && event.reason == "Synchronous");
    world.until_status("that is told, too", |status| !status.stores["accounts"].reason.contains("on one copy"));
    assert_kept(&world, &url, &writer.end());
    world.down();
}

/// A process and those that it has started.
fn family(pid: i32) -> Vec<i32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    std::iter::once(pid).chain(children.split_whitespace().map(|child| child.parse().unwrap())).collect()
}
