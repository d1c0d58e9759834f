//! A release that nobody would have judged: its users ask nothing, and both versions are asked synthetic requests.

use crate::{
    releases::{releasing, version},
    world::World,
};

/// Judged by errors, and with synthetic requests if `more` says so.
fn judged(more: &str) -> String {
    format!("{{ canary: {{ steps: [10%], interval: 2s }}, bake: 0s, analysis: {{ errorRate: {{ max: 5% }}{more} }} }}")
}

const AIDED: &str = ", synthetic: { requestsPerSecond: 50, paths: [/, /ready] }";

#[test]
fn what_nobody_asks_is_inconclusive_and_synthetic_requests_bring_it_in() {
    let world = World::up(&version(&judged(""), ""));
    let old = world.settle().services["web"].revision.0.clone();
    world.release_detached(&version(&judged(""), ", --slow, \"1\""));
    let paused = |status: &plimsoll_api::Status| releasing(status).is_some_and(|one| one.paused.is_some());
    let status = world.until_status("it waits for a person", paused);
    assert!(releasing(&status).unwrap().missing.as_ref().unwrap().contains("too little traffic"), "{status:?}");
    world.run(&["release", "abort", "web", "--why", "nobody can tell"]).good();
    world.until_only(&old);

    // The same version, judged by what is asked of both.
    world.run(&["release", "forgive", "web", "--why", "it is asked more"]).good();
    world.release_detached(&version(&judged(AIDED), ", --slow, \"1\""));
    let asked = world.event("it is asked more", |event| event.reason == "SyntheticRequests");
    assert!(
        asked.message.contains("50 synthetic requests a second") && asked.message.contains("0 of 100"),
        "{asked:?}"
    );
    world.event("it is in", |event| event.reason == "Promoted" && event.number > asked.number);
    let new = world.until_status("all of it is in", |status| status.settled).services["web"].revision.0.clone();
    assert_ne!(new, old);
    world.until_only(&new);
    world.down();
}

#[test]
fn a_bad_version_that_nobody_asks_is_sent_back_by_synthetic_requests() {
    let world = World::up(&version(&judged(AIDED), ""));
    let old = world.settle().services["web"].revision.0.clone();
    world.write(&version(&judged(AIDED), ", --fail, \"50\""));
    let said = world.run(&["release"]).bad();
    assert!(said.contains("was sent back: it fails more often than") && said.contains("of them synthetic)"), "{said}");
    world.until_only(&old);
    let back = world.event("it is told", |event| event.reason == "RolledBack");
    let why = world.run(&["explain", "event", &back.number.to_string()]).good();
    assert!(why.contains("synthetic: ") && why.contains("requests to the new version"), "{why}");
    let asked = world.event("it began", |event| event.reason == "SyntheticRequests");
    let why = world.run(&["explain", "event", &asked.number.to_string()]).good();
    assert!(why.contains("without `synthetic`"), "{why}");
    world.down();
}
