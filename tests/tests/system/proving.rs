//! `plimsoll prove` and `plimsoll load` on a small system: what is held, what is broken, what nobody knows.

use crate::{look::WEB, world::World};
use std::collections::BTreeMap;

const PROMISES: &str = r#"
promises:
  quick: { latency: { route: /, p95: 20s }, load: { rate: 100/s, duration: 4s } }
  impossible: { latency: { route: /slow, p95: 1ms }, request: { path: "/slow?ms=50" }, load: { rate: 100/s, duration: 4s } }
  bill: { cost: { perMonth: 10 USD, prices: aws-2024 } }
"#;

#[test]
fn prove_tells_held_broken_and_unproven() {
    let world = World::up(&format!("{WEB}{PROMISES}"));
    let wanted = BTreeMap::from([("quick", "held"), ("impossible", "broken"), ("bill", "unproven")]);
    // On a machine that is busy with other things the load generator says that its figures prove nothing; then again.
    for attempt in 1..=5 {
        let ran = world.run(&["prove", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let proofs = report["proofs"].as_array().unwrap();
        let verdict = |proof: &serde_json::Value| proof["verdict"].as_str().unwrap_or_default().to_owned();
        let verdicts: BTreeMap<&str, String> =
            proofs.iter().map(|proof| (proof["promise"].as_str().unwrap_or_default(), verdict(proof))).collect();
        let busy = proofs.iter().any(|proof| proof["why"].as_str().is_some_and(|why| why.contains("too little CPU")));
        if busy && attempt < 5 {
            continue;
        }
        assert_eq!(ran.code, Some(i32::from(verdicts.values().any(|verdict| verdict == "broken"))), "{}", ran.err);
        if busy {
            eprintln!("not all is asserted: this machine was too busy, five times: {verdicts:?}");
            break;
        }
        assert!(
            wanted.iter().all(|(name, verdict)| verdicts.get(name).is_some_and(|got| got == verdict)),
            "{}",
            ran.out
        );
        break;
    }
    // Only what holds, or what can't be tested: 0. And a page of it.
    let said = world.run(&["prove", "quick", "bill", "--html", "report.html"]).good();
    assert!(said.contains("quick") && !said.contains("impossible"), "{said}");
    let page = std::fs::read_to_string(world.dir.join("report.html")).unwrap();
    assert!(page.contains("<html") && page.contains("quick"));
    world.run(&["prove", "no-such-promise"]).bad();
    world.settle();
    world.down();
}

#[test]
fn prove_kills_and_the_system_is_whole_again() {
    let promises = "promises:\n  whole: { availability: { route: /, ratio: 50% }, load: { rate: 50/s, duration: 5s, kills: 1 } }\n";
    let world = World::up(&format!("{WEB}{promises}"));
    let ran = world.run(&["prove", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    eprintln!("{}", report["proofs"][0]["verdict"]);
    assert_ne!(report["proofs"][0]["verdict"], "broken", "{}", ran.out);
    let status = world.settle();
    assert_eq!(status.services["web"].ready, 3);
    world.assert_each_runs_once(&status);
    world.down();
}

#[test]
fn load_tells_what_came_back() {
    let world = World::up(WEB);
    let url = world.url();
    let said = world.run(&["load", &format!("{url}/"), "--rate", "50", "--duration", "2", "--json"]).good();
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((report["asked"].as_u64(), report["failed"].as_u64()), (Some(100), Some(0)), "{said}");
    world.run(&["load", &format!("{url}/drop"), "--rate", "10", "--duration", "1"]).bad();
    assert_eq!(world.run(&["load", "nonsense"]).code, Some(1));
    world.down();
}
