//! Why something was decided, from a live system and from what it leaves behind; and decisions that are decided again.

use crate::{look::own_pid, releases::version, sweep, world::World};
use plimsoll_api::Event;
use rustix::process::Signal;
use serde_json::Value;

/// A service that is scaled by traffic, and one of which a replica can be made to fail or to die.
const SYSTEM: &str = "\
services:
  web: { command: [./app], port: 80, autoscaling: { minReplicas: 1, maxReplicas: 3, requestsPerSecond: 5/s } }
  api: { command: [./app], port: 81, replicas: 2 }
ingress:
  listen: [0]
  hosts: { \"*\": { paths: { /: web, /ready: api, /get-unready: api, /exit: api } } }
";

/// Makes each decider decide: an autoscaler, an ejection, a restart. The events that told of it.
fn decide(world: &World) -> [Event; 3] {
    let traffic = world.traffic("/", 40.0);
    let scaled = world.event("web is scaled", |event| event.subject == "web" && event.reason == "Scaled");
    world.until_status("web has three replicas", |status| status.services["web"].wanted == 3);
    traffic.more(world, 20);
    traffic.end(world);
    // Both replicas of api answer 503 from now on; half of them is left out.
    for name in ["api-1 ", "api-2 "] {
        world.until("each replica is told", || world.get("/get-unready").1.starts_with(name).then_some(()));
    }
    let ejected = world.until("a failing replica is left out", || {
        world.get("/ready");
        world.events().into_iter().find(|event| event.reason == "Ejected")
    });
    // Whoever gets this dies of it.
    world.get("/exit?code=3");
    let ended = |event: &Event| ["Restarting", "BackOff"].contains(&event.reason.as_str());
    let restarted =
        world.event("a replica is started again", |event| event.subject.starts_with("api-") && ended(event));
    [scaled, ejected, restarted]
}

/// `plimsoll replay --json` and more words; it must succeed.
#[track_caller]
fn replay(world: &World, words: &[&str]) -> Value {
    let all: Vec<&str> = ["replay", "--json"].iter().chain(words).copied().collect();
    serde_json::from_str(&world.run(&all).good()).unwrap()
}

#[track_caller]
fn contains_all(text: &str, wanted: &[&str]) {
    for one in wanted {
        assert!(text.contains(one), "no `{one}` in:\n{text}");
    }
}

/// Fault 77, second half: what was decided live is decided again, all of it.
#[test]
fn decisions_are_explained_and_decided_again_the_same() {
    let world = World::up(SYSTEM);
    let [scaled, ejected, restarted] = decide(&world);
    let explained = |words: &[&str]| {
        let all: Vec<&str> = ["explain"].iter().chain(words).copied().collect();
        world.run(&all).good()
    };
    let number = scaled.number.to_string();
    let why = explained(&["event", &number]);
    contains_all(
        &why,
        &["decided by autoscale: scale from", "bounds in force: 1 to 3", "over the stable window", "otherwise"],
    );
    contains_all(&explained(&["service", "web"]), &["decided by autoscale", "its autoscaler's last look"]);
    contains_all(&explained(&["replica", &ejected.subject]), &["decided by"]);
    let why = explained(&["event", &ejected.number.to_string()]);
    contains_all(&why, &["decided by eject", "is left out for 5s", "would not have been left out"]);
    let why = explained(&["event", &restarted.number.to_string()]);
    contains_all(
        &why,
        &["decided by restart: start it again", "restartPolicy: Always", "with restartPolicy Never: leave it ended"],
    );
    contains_all(&explained(&[]), &["decided by"]);
    assert!(world.run(&["explain", "service", "nobody"]).bad().contains("nothing that is still kept"));

    let again = replay(&world, &[]);
    eprintln!("{} decisions: {}; {} differ", again["decisions"], again["by"], again["differing"]);
    assert_eq!(again["differing"], 0, "{again:#}");
    assert_eq!(again["notAsked"], serde_json::json!({}), "{again:#}");
    for decider in ["autoscale", "eject", "health", "restart"] {
        assert!(again["by"][decider].as_u64().unwrap_or(0) > 0, "{again:#}");
    }
    let looks = again["by"]["autoscale"].as_u64().unwrap();
    assert!(looks > 2, "looks that changed nothing were recorded too: {looks}");

    let other = SYSTEM.replace("5/s", "5000/s").replace("maxReplicas: 3", "maxReplicas: 2");
    std::fs::write(world.dir.join("other.yaml"), other).unwrap();
    let under = replay(&world, &["--with", "other.yaml"]);
    assert_eq!(under["openLoop"], true);
    assert!(under["differing"].as_u64().unwrap() > 0, "{under:#}");
    let said = world.run(&["replay", "--with", "other.yaml"]).good();
    contains_all(&said, &["open loop", "recorded: scale from", "now:      keep"]);
    world.down();
    // The same without an engine.
    let why = world.run(&["explain", &number]).good();
    contains_all(&why, &["decided by autoscale: scale from"]);
    let journal = world.place.journal();
    let after = replay(&world, &[journal.to_str().unwrap()]);
    assert_eq!(after["differing"], 0, "{after:#}");
    assert!(after["decisions"].as_u64() >= again["decisions"].as_u64());
}

/// A release that is sent back: told with its arithmetic, and decided again with every look at it.
#[test]
fn a_release_is_explained_and_decided_again_the_same() {
    let rollout = "{ canary: { steps: [20%], interval: 10m }, analysis: { errorRate: { max: 5% } } }";
    let world = World::up(&version(rollout, ""));
    let traffic = world.traffic("/", 60.0);
    traffic.more(&world, 20);
    world.write(&version(rollout, ", --fail, \"50\""));
    world.run(&["release"]).bad();
    let back = world.event("it is sent back", |event| event.subject == "web" && event.reason == "RolledBack");
    let why = world.run(&["explain", "event", &back.number.to_string()]).good();
    let wanted = [
        "decided by rollout: roll ",
        "canary, steps 20%",
        "canary step 1 → settled",
        "requests failed",
        "otherwise",
        "without analysis",
    ];
    contains_all(&why, &wanted);
    contains_all(&world.run(&["explain", "service", "web"]).good(), &["ReleaseBegan", "ReleaseReached", "RolledBack"]);
    traffic.end(&world);
    let again = replay(&world, &[]);
    let told = world.events().iter().filter(|event| event.reason.starts_with("Release") || *event == &back).count();
    let decided = again["by"]["rollout"].as_u64().unwrap();
    eprintln!("{decided} decisions about releases, {told} of them told; {} differ", again["differing"]);
    assert_eq!((&again["differing"], &again["notAsked"]), (&0.into(), &serde_json::json!({})), "{again:#}");
    assert!(decided > 2 * told as u64, "those without an event are kept, too: {again:#}");
    // Under a file without limits it would have stayed.
    std::fs::write(world.dir.join("other.yaml"), version("{ canary: { steps: [20%], interval: 10m } }", "")).unwrap();
    let under = replay(&world, &["--with", "other.yaml"]);
    assert!(under["differing"].as_u64().unwrap() > 0, "{under:#}");
    world.down();
}

#[test]
fn events_outlive_the_engine_and_the_system() {
    let world = World::up("services:\n  web: { command: [./app], port: 80 }\n");
    let numbers = |events: &[Event]| events.iter().map(|event| event.number).collect::<Vec<u64>>();
    let before = world.events();
    assert_eq!(numbers(&before), (1..=before.len() as u64).collect::<Vec<_>>());
    let engine = own_pid(&world.status(), "engine");
    sweep::signal(engine, Signal::KILL);
    world.until_status("another engine serves", |status| {
        status.settled && status.processes.get("engine").is_some_and(|process| process.pid != engine)
    });
    let after = world.events();
    assert_eq!(after[..before.len()], before[..], "an engine knows what was before it");
    let last: Vec<Event> = world.run(&["events", "--json", "-n", "2"]).good().lines().map(event).collect();
    assert_eq!(last.len(), 2);
    assert!(numbers(&last)[0] + 1 == numbers(&last)[1], "{last:?}");
    assert!(world.run(&["events", "--since", "1h"]).good().lines().count() >= before.len());
    assert!(world.run(&["events", "--since", "tomorrow"]).bad().contains("is no time"));
    world.down();
    let left: Vec<Event> = world.run(&["events", "--json"]).good().lines().map(event).collect();
    assert_eq!(left[..before.len()], before[..], "what happened is told without an engine");
    assert!(left.iter().any(|event| event.reason == "Ended"), "{left:?}");
}

#[track_caller]
fn event(line: &str) -> Event {
    serde_json::from_str(line).unwrap()
}

#[test]
fn a_file_that_was_refused_stands_in_the_events_with_its_findings() {
    let good = "services:\n  web: { command: [./app], port: 80 }\n";
    let world = World::up(good);
    world.write(&good.replace("port: 80", "prot: 80"));
    world.run(&["up", "--detach"]).bad();
    let told = world.event("the refusal is told", |event| event.reason == "Refused");
    contains_all(&told.message, &["plimsoll.yaml was refused", "prot"]);
    assert!(told.warning);
    world.down();
}
