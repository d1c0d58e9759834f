//! `plimsoll prove` of invariants: a system's own audit runs beside a service after kills, and its word counts.

use crate::{look::WEB, world::World};

const PROMISES: &str = r#"
promises:
  sound:
    invariants: { service: web, command: 'echo "$PLIMSOLL_SERVICE looks"; test ! -e amiss' }
    load: { rate: 20/s, duration: 2s, kills: 1 }
  late:
    invariants: { service: web, command: 'sleep 3600', max: 1s }
    load: { rate: 20/s, duration: 2s, kills: 1 }
"#;

/// The verdict of one promise and why, and what its audit wrote.
fn proved(world: &World, promise: &str) -> (String, String, String) {
    let ran = world.run(&["prove", promise, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err));
    let proof = &report["proofs"][0];
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let figures = proof["figures"].as_array().unwrap();
    let wrote = figures.iter().find(|figure| figure["name"] == "it wrote").map(|figure| text(&figure["value"]));
    (text(&proof["verdict"]), text(&proof["why"]), wrote.unwrap_or_default())
}

#[test]
fn an_audit_after_kills_says_whether_all_is_as_it_must_be() {
    let world = World::up(&format!("{WEB}{PROMISES}"));
    let (verdict, why, wrote) = proved(&world, "sound");
    assert_eq!((verdict.as_str(), wrote.as_str()), ("held", "web looks"), "{why}");
    std::fs::write(world.dir.join("amiss"), "").unwrap();
    let (verdict, why, wrote) = proved(&world, "sound");
    assert_eq!((verdict.as_str(), wrote.as_str()), ("broken", "web looks"), "{why}");
    let (verdict, why, _) = proved(&world, "late");
    assert_eq!(verdict, "broken", "{why}");
    assert!(why.contains("took too long"), "{why}");
    world.settle();
    world.down();
}
