//! After a promotion: a version that goes bad is sent back while on probation, and a person goes back with everything.

use crate::{
    releases::{releasing, version},
    world::World,
};
use plimsoll_api::Status;

/// Asks one replica itself, past the gateway.
#[track_caller]
fn tell_each(world: &World, status: &Status, service: &str, path: &str) {
    for replica in &status.services[service].replicas {
        let address = replica.address.as_ref().unwrap();
        assert_eq!(world.get_at(&format!("http://{address}"), path).0, 200);
    }
}

#[test]
fn a_version_that_goes_bad_after_its_promotion_is_sent_back() {
    let rollout = "{ rolling: { maxSurge: 1 }, analysis: { errorRate: { max: 5% } }, bake: 10m }";
    let world = World::up(&version(rollout, ""));
    let old = world.settle().services["web"].revision.0.clone();
    let traffic = world.traffic("/work", 60.0);
    world.change(&version(rollout, ", --slow, \"1\""));
    let status = world.settle();
    let new = status.services["web"].revision.0.clone();
    assert_ne!(new, old);
    world.until_only(&new);
    assert!(releasing(&world.status()).is_some_and(|release| !release.under_way), "it is on probation");
    traffic.more(&world, 20);
    // Promoted and in use: now it begins to fail.
    tell_each(&world, &world.status(), "web", "/work-fails?percent=50");
    world.until_only(&old);
    let ledger = world.ledger();
    let back = ledger.iter().rfind(|line| line.what == "RolledBack").unwrap();
    assert_eq!(back.revision.0, new, "{ledger:?}");
    assert!(back.by.is_empty() && back.message.contains("requests failed"), "not by a person: {back:?}");
    let promoted = ledger.iter().position(|line| line.what == "Promoted" && line.revision.0 == new).unwrap();
    assert!(promoted < ledger.iter().position(|line| line.what == "RolledBack").unwrap());
    assert!(world.run(&["up", "--detach"]).bad().contains("is not tried again"));
    let report = traffic.end(&world);
    eprintln!("bad on probation: {} of {} requests failed", report.failed, report.asked);
    assert!(report.failed > 0);
    world.down();
}

const THREE: &str = r#"
system: three
services:
  base: { command: [./app{words}], port: 80, limits: { hold: 50s } }
  api: { command: [./app{words}], port: 81, uses: [base], limits: { hold: 50s } }
  web: { command: [./app{words}], port: 82, uses: [api], limits: { hold: 50s } }
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
"#;

#[test]
fn rollback_without_a_name_goes_back_with_everything_users_first() {
    let file = |words: &str| THREE.replace("{words}", words);
    let world = World::up(&file(""));
    let revisions = |status: &Status| {
        status.services.iter().map(|(name, one)| (name.clone(), one.replicas[0].revision.clone())).collect::<Vec<_>>()
    };
    let old = revisions(&world.settle());
    let traffic = world.traffic("/", 40.0);
    world.change(&file(", --slow, \"1\""));
    assert_ne!(revisions(&world.settle()), old);
    let before = world.ledger().len();
    world.run(&["rollback", "--why", "it was better"]).good();
    world.until_status("all run what they ran", |status| {
        status.settled && status.services.values().all(|one| one.replicas.len() == 1) && revisions(status) == old
    });
    let ledger = world.ledger();
    let promoted = ledger[before..].iter().filter(|line| line.what == "Promoted").map(|line| line.service.as_str());
    assert_eq!(promoted.collect::<Vec<_>>(), ["web", "api", "base"], "{ledger:?}");
    // A version that was sent back keeps nobody from going further back: to the first line that names all three.
    world.write(&file(", --slow, \"2\""));
    world.run(&["release"]).good();
    let forth = world.ledger().last().unwrap().number;
    world.run(&["rollback", "--to", &before.to_string()]).good();
    world.until_status("all run what they ran then", |status| status.settled && revisions(status) != old);
    assert!(forth > before as u64);
    traffic.more(&world, 20);
    traffic.end_without_failure(&world, "three services forth and back");
    world.down();
}
