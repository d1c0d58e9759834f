//! Releases and what befalls them: a way back in the middle, migrations, several services at once.

use crate::{
    look::pids,
    releases::{releasing, version},
    sweep,
    world::World,
};
use plimsoll_api::Status;
use rustix::process::Signal;
use std::time::Instant;

const ROLLING: &str = "{ rolling: { maxSurge: 1, maxUnavailable: 0 } }";

/// Fault 64, the memory leak: nobody sees an error, for what was in flight is tried again, and yet it is sent back.
#[test]
fn a_canary_that_leaks() {
    let rollout = "{ canary: { steps: [50%], interval: 10m }, analysis: { errorRate: { max: 5% } } }";
    let limited = |words: &str| {
        version(rollout, words).replace("replicas: 3", "replicas: 3\n    resources: { limits: { memory: 64Mi } }")
    };
    let world = World::up(&limited(""));
    let status = world.settle();
    let good = status.services["web"].revision.0.clone();
    let unenforced = &status.services["web"].replicas[0].unenforced;
    if unenforced.iter().any(|what| what.contains("memory")) {
        eprintln!("skipped: memory limits can't be enforced here: {unenforced:?}");
        return world.down();
    }
    let traffic = world.traffic("/", 60.0);
    traffic.more(&world, 20);
    world.write(&limited(", --leak, \"4\""));
    let ran = world.run(&["release"]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("was sent back: its replicas ended by themselves"), "{}{}", ran.out, ran.err);
    world.until_only(&good);
    traffic.end_without_failure(&world, "a canary of 50 % that leaks until the kernel kills it");
    world.down();
}

/// What a person or an experiment does to its replicas is not held against a version; what they do themselves is.
#[test]
fn a_canary_that_is_killed_from_outside() {
    let rollout = "{ canary: { steps: [50%], interval: 10m }, analysis: { errorRate: { max: 5% } } }";
    let world = World::up(&version(rollout, ""));
    let old = world.settle();
    let good = old.services["web"].revision.0.clone();
    world.release_detached(&version(rollout, ", --slow, \"1\""));
    world.until_status("it has its share", |status| {
        releasing(status).is_some_and(|one| one.under_way)
            && world.ledger().iter().any(|one| one.what == "ReleaseReached")
    });
    let olds = pids(&old, "web");
    let strike = |status: &Status, signal: Signal| {
        let news = pids(status, "web").into_iter().filter(|(name, _)| !olds.contains_key(name));
        news.map(|(_, pid)| sweep::signal(pid, signal)).count()
    };
    let is_back = |status: &Status, restarts: u32| {
        let news = status.services["web"].replicas.iter().filter(|one| one.revision.0 != good);
        let all: Vec<_> = news.map(|one| one.phase == "Ready" && one.restarts == restarts).collect();
        all.len() >= 2 && all.iter().all(|is| *is)
    };
    let there = world.until_status("they are ready", |status| is_back(status, 0));
    assert!(strike(&there, Signal::KILL) >= 2);
    let again = world.until_status("they are there again", |status| is_back(status, 1));
    assert!(!world.ledger().iter().any(|line| line.what == "RolledBack"), "somebody else killed them");
    strike(&again, Signal::ABORT);
    world.until_only(&good);
    let back = world.ledger().into_iter().find(|line| line.what == "RolledBack").unwrap();
    assert!(back.message.contains("its replicas ended by themselves"), "{back:?}");
    world.down();
}

#[test]
fn rollback_while_rolling() {
    let world = World::up(&version(ROLLING, ""));
    let old = world.settle().services["web"].revision.0.clone();
    let traffic = world.traffic("/", 60.0);
    // It will listen tomorrow.
    world.release_detached(&version(ROLLING, ", --late, \"86400000\""));
    let rolling = |status: &Status| {
        releasing(status).is_some_and(|one| one.under_way) && status.services["web"].replicas.len() == 4
    };
    world.until_status("the first new one starts", rolling);
    let asked = Instant::now();
    world.run(&["rollback", "web"]).good();
    world.until_only(&old);
    eprintln!("back in the old set {} ms after it was asked for", asked.elapsed().as_millis());
    assert!(world.ledger().iter().any(|line| line.what == "RolledBack" && !line.by.is_empty()));
    traffic.more(&world, 20);
    traffic.end_without_failure(&world, "a way back in the middle of a rolling release");
    world.down();
}

/// A file whose versions are prepared by a command, and come in as a canary.
fn prepared(words: &str, before: &str, more: &str) -> String {
    prepared_by("canary: { steps: [10%], interval: 10m }", words, before, more)
}

fn prepared_by(strategy: &str, words: &str, before: &str, more: &str) -> String {
    version(&format!("{{ {strategy}, {more} before: {before} }}"), words)
        // A watch after the command of a second and a little.
        .replace("periodSeconds: 1 }", "periodSeconds: 1, failureThreshold: 1 }")
}

#[test]
fn rollback_during_migration() {
    let count = "\"echo run >> migrations\"";
    let world = World::up(&prepared("", count, ""));
    let runs = || std::fs::read_to_string(world.dir.join("migrations")).unwrap_or_default().lines().count();
    assert_eq!(runs(), 1, "once, though three replicas were started");
    let old = world.settle().services["web"].revision.0.clone();
    let traffic = world.traffic("/", 60.0);

    // A command that fails: nothing of the new version runs, and its output is told.
    let failing = "\"echo run >> migrations; echo there is no such table; exit 3\"";
    world.write(&prepared(", --slow, \"1\"", failing, ""));
    let said = world.run(&["release"]).bad();
    assert!(said.contains("there is no such table") && said.contains('3'), "{said}");
    assert_eq!(runs(), 2);
    world.until_only(&old);

    // One that takes long: the engine dies meanwhile, and it goes on, once.
    let long = "\"echo run >> migrations; while [ ! -e go ]; do sleep 0.1; done\"";
    world.release_detached(&prepared(", --slow, \"2\"", long, ""));
    world.until("it runs", || (runs() == 3).then_some(()));
    world.kill_engine();
    world.until_status("it still runs", |status| releasing(status).is_some_and(|one| one.stage.contains("before")));
    // Plimsoll is not replaced meanwhile.
    world.copy_of_plimsoll("plimsoll-next");
    let said = world.run(&["upgrade", "--to", "plimsoll-next"]).bad();
    assert!(said.contains("not now: the `before` command of web runs"), "{said}");
    // Going back in the middle of it leaves the old set as it was.
    world.run(&["rollback", "web", "--why", "it takes too long"]).good();
    world.until_only(&old);
    std::fs::write(world.dir.join("go"), "").unwrap();
    assert_eq!(runs(), 3, "not once more by the next engine");
    traffic.more(&world, 20);
    traffic.end_without_failure(&world, "a migration that failed, and one that was given up");
    world.down();
}

#[test]
fn irreversible_migration() {
    let analysis = "analysis: { errorRate: { max: 5% } },";
    let file = |words: &str, before: &str| prepared_by("rolling: { maxSurge: 1 }", words, before, analysis);
    let world = World::up(&file("", "\"true\""));
    let traffic = world.traffic("/", 60.0);
    let contract = "{ command: \"true\", contract: true }";
    // What keeps the old version to go back to is refused, by `plan` and by `up`; nothing changes.
    world.write(&prepared(", --fail, \"50\"", contract, analysis));
    for command in [&["plan"][..], &["up", "--detach"]] {
        assert!(world.run(command).bad().contains("contract-step"));
    }
    // What does not is told before it runs.
    world.write(&file(", --fail, \"50\"", contract));
    let plan = world.run(&["plan"]).good();
    assert!(plan.contains("service web has no way back by itself"), "{plan}");
    let checked = world.run(&["check"]).good();
    assert!(checked.contains("contract-step"), "{checked}");
    world.run(&["release", "--detach"]).good();
    let bound = |status: &Status| {
        releasing(status).and_then(|one| one.paused.as_ref()).is_some_and(|why| why.contains("contract step"))
    };
    world.until_status("it waits for a person", bound);
    assert!(!world.ledger().iter().any(|line| line.what == "RolledBack"), "not by itself");
    world.run(&["release", "abort", "web", "--why", "the table is back"]).good();
    world.until_status("it is gone", |status| status.settled);
    traffic.end(&world);
    world.down();
}

const TWO: &str = r#"
system: pair
services:
  api:
    command: [./app{api}]
    port: 80
    replicas: 2
    readinessProbe: { httpGet: { path: /ready }, periodSeconds: 1 }
    limits: { hold: 50s }
  web:
    command: [./app{web}]
    port: 80
    replicas: 2
    uses: [api]
    readinessProbe: { httpGet: { path: /ready }, periodSeconds: 1 }
    limits: { hold: 50s }
    rollout: { canary: { steps: [20%], interval: 10m }, analysis: { errorRate: { max: 5% } } }
ingress: { listen: [0], hosts: { "*": { paths: { /: web, /api: api } } } }
"#;

#[test]
fn what_changes_together_goes_back_together() {
    let file = |api: &str, web: &str| TWO.replace("{api}", api).replace("{web}", web);
    let world = World::up(&file("", ""));
    let old = world.settle();
    let traffic = world.traffic("/", 60.0);
    let quiet = world.traffic("/api", 20.0);
    world.write(&file(", --slow, \"1\"", ", --fail, \"50\""));
    world.run(&["release"]).bad();
    let is_old = |status: &Status, name: &str| {
        let wanted = &old.services[name].revision;
        status.settled && status.services[name].replicas.iter().all(|one| one.revision == *wanted)
    };
    world.until_status("both are back", |status| is_old(status, "api") && is_old(status, "web"));
    let happened: Vec<(String, String)> = world
        .ledger()
        .into_iter()
        .map(|line| (line.service, line.what))
        .filter(|(_, what)| what != "ReleaseReached")
        .collect();
    let promoted: Vec<&str> =
        happened.iter().filter(|(_, what)| what == "Promoted").map(|(name, _)| name.as_str()).collect();
    // Both for the first time, then api with the new version, and api again with the old one.
    assert_eq!(promoted[2..], ["api", "api"], "{happened:?}");
    let begun = happened.iter().position(|one| *one == ("web".into(), "ReleaseBegan".into())).unwrap();
    let third = happened.iter().enumerate().filter(|(_, (_, what))| what == "Promoted").nth(2).unwrap().0;
    assert!(third < begun, "web began after api was in: {happened:?}");
    traffic.more(&world, 20);
    traffic.end(&world);
    quiet.end_without_failure(&world, "api went in and came back");
    world.down();
}
