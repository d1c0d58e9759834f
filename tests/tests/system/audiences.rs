//! Who sees a canary: people by a cookie, people by a header, and copies of requests that nobody sees.

use crate::{
    releases::{releasing, version},
    world::{LONG, World},
};
use plimsoll_api::Status;
use plimsoll_load::{Answer, RequestTemplate, Target, once};
use std::collections::BTreeMap;

/// Asks for the version that answers, with one more header.
fn asked(world: &World, header: (&str, &str)) -> Answer {
    let mut request = RequestTemplate::get("/env?name=PLIMSOLL_REVISION");
    request.headers.push((header.0.into(), header.1.into()));
    let target = Target::parse(&world.url()).unwrap();
    let answer = world.runtime.block_on(once(&target, &request, (0, 0), LONG)).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

fn revision(world: &World, header: (&str, &str)) -> String {
    String::from_utf8(asked(world, header).body.to_vec()).unwrap()
}

/// The cookie that a client is given, as it says it from then on.
fn cookie(answer: &Answer) -> Option<String> {
    let told = answer.headers.get("set-cookie")?.to_str().ok()?;
    told.split(';').next().map(str::to_owned)
}

fn share(status: &Status) -> Option<u64> {
    releasing(status).and_then(|release| release.share).map(|share| share.0)
}

#[test]
fn clients_keep_their_version_through_all_steps_of_a_canary() {
    let rollout = "{ canary: { steps: [30%, 60%], interval: 10m, stickiness: { cookie: trial } } }";
    let world = World::up(&version(rollout, ""));
    let old = world.settle().services["web"].revision.0.clone();
    let traffic = world.traffic("/", 30.0);
    world.release_detached(&version(rollout, ", --slow, \"1\""));
    let mut clients: BTreeMap<String, String> = BTreeMap::new();
    let mut steps = Vec::new();
    for (number, step) in [300_000, 600_000].into_iter().enumerate() {
        world.until_status("the step is reached", |status| share(status) == Some(step));
        // The gateway has the new table a moment later.
        let fresh = world.until("clients are given a cookie", || cookie(&asked(&world, ("X-Nothing", ""))));
        clients.entry(fresh).or_default();
        while clients.len() < 40 {
            clients.insert(cookie(&asked(&world, ("X-Nothing", ""))).unwrap(), String::new());
        }
        if number > 0 {
            // Its table is there when somebody who was on the old version is on the new one.
            world.until("the step is in force", || {
                let moved =
                    |(cookie, known): (&String, &String)| *known == old && revision(&world, ("Cookie", cookie)) != old;
                clients.iter().any(moved).then_some(())
            });
        }
        for (cookie, known) in &mut clients {
            let now = revision(&world, ("Cookie", cookie));
            assert!(known.is_empty() || *known == old || *known == now, "{cookie} went back from {known} to {now}");
            assert_eq!(now, revision(&world, ("Cookie", cookie)), "asked again at {step}");
            *known = now;
        }
        steps.push(clients.values().filter(|known| **known != old).count());
        world.run(&["release", "pause", "web"]).good();
        world.run(&["release", "resume", "web"]).good();
    }
    eprintln!("of 40 clients saw the new version, at 30 % and at 60 %: {steps:?}");
    assert!(steps[0] > 0 && steps[0] < 40 && steps[1] >= steps[0], "{steps:?}");
    let new = world.until_status("all of it is in", |status| status.settled).services["web"].revision.0.clone();
    world.until_only(&new);
    traffic.more(&world, 20);
    traffic.end_without_failure(&world, "a canary with people who keep their version");
    world.down();
}

#[test]
fn those_who_ask_for_it_see_the_canary_alone() {
    let rollout = "{ canary: { steps: [0%], interval: 10m, match: { header: { X-Beta: \"true\" } } } }";
    let world = World::up(&version(rollout, ""));
    let old = world.settle().services["web"].revision.0.clone();
    let traffic = world.traffic("/", 30.0);
    world.release_detached(&version(rollout, ", --slow, \"1\""));
    let beta = ("X-Beta", "true");
    let new = world.until("it is shown", || Some(revision(&world, beta)).filter(|seen| *seen != old));
    for _ in 0..30 {
        assert_eq!(revision(&world, beta), new);
        assert_eq!(revision(&world, ("X-Beta", "false")), old);
        assert_eq!(revision(&world, ("X-Other", "true")), old);
    }
    let reached = world.event("the step is told", |event| event.reason == "ReleaseReached");
    assert_eq!(reached.message, "the new version has the requests with `x-beta: true`, and no others");
    let why = world.run(&["explain", "event", &reached.number.to_string()]).good();
    assert!(why.contains("seen by requests with `x-beta: true` alone"), "{why}");
    let plan = world.run(&["plan"]).good();
    assert!(plan.contains("a canary of `web` is seen by requests with `x-beta: true` alone"), "{plan}");
    // An engine that dies changes nothing of it.
    world.kill_engine();
    assert_eq!((revision(&world, beta), revision(&world, ("X-Beta", "no"))), (new.clone(), old.clone()));
    world.until("it is taken back", || {
        (world.run(&["release", "abort", "web", "--why", "not liked"]).code == Some(0)).then_some(())
    });
    world.until_only(&old);
    assert_eq!(revision(&world, beta), old);
    traffic.more(&world, 20);
    traffic.end_without_failure(&world, "a canary for those who ask for it");
    world.down();
}

#[test]
fn a_canary_that_fails_under_copies_alone_is_sent_back_and_no_client_sees_it() {
    let rollout = "{ canary: { steps: [0%, 50%], interval: 10m, mirror: 50% }, analysis: { errorRate: { max: 5% } } }";
    let world = World::up(&version(rollout, ""));
    let old = world.settle().services["web"].revision.0.clone();
    let traffic = world.traffic("/", 60.0);
    traffic.more(&world, 20);
    world.write(&version(rollout, ", --fail, \"50\""));
    let said = world.run(&["release"]).bad();
    assert!(said.contains("was sent back: it fails more often than"), "{said}");
    world.until_only(&old);
    traffic.more(&world, 20);
    traffic.end_without_failure(&world, "a canary that fails half of the copies that it gets");
    world.down();
}
