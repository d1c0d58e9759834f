//! What `plimsoll prove` finds out about releases: by releasing, and by going back.

use crate::{look::pids, releases::version, world::World};
use serde_json::Value;

/// Half of the traffic goes to a new version until there was enough of it to tell.
const ROLLOUT: &str = "{ canary: { steps: [50%], interval: 5s }, analysis: { errorRate: { max: 5% } } }";

const PROMISES: &str = r#"
promises:
  changes: { releases: { service: web, count: 2 }, load: { rate: 100/s } }
  back: { rollback: { service: web, max: 5m }, load: { rate: 100/s } }
  bad-goes: { rollback: { max: 5m, bad: { APP_FAILS: "50" } }, load: { rate: 100/s } }
"#;

fn proof<'a>(report: &'a Value, promise: &str) -> &'a Value {
    report["proofs"].as_array().unwrap().iter().find(|proof| proof["promise"] == promise).unwrap()
}

#[test]
fn prove_releases_and_goes_back() {
    let world = World::up(&format!("{}{PROMISES}", version(ROLLOUT, "")));
    let before = world.settle().services["web"].revision.clone();
    let ran = world.run(&["prove", "--json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    for promise in ["changes", "back", "bad-goes"] {
        let proof = proof(&report, promise);
        eprintln!(
            "{promise}: {} {} ({} requests, {} failed) {}",
            proof["verdict"], proof["measured"], proof["requests"], proof["failed"], proof["why"]
        );
    }
    // A busy machine can delay requests, but fails none: that all came in and no request failed holds on any.
    assert_eq!(proof(&report, "changes")["verdict"], "held", "{}", ran.out);
    assert_eq!(proof(&report, "back")["verdict"], "held", "{}", ran.out);
    assert_eq!(proof(&report, "bad-goes")["verdict"], "held", "{}", ran.out);
    assert!(proof(&report, "bad-goes")["failed"].as_u64() > Some(0), "the bad version was not bad: {}", ran.out);
    assert_eq!(ran.code, Some(0));
    // Afterwards it is as it was.
    let after = world.until_only(&before.0);
    assert_eq!(after.services["web"].revision, before);
    assert_eq!(pids(&after, "web").len(), 3);
    let history = world.run(&["history"]).good();
    assert!(history.contains("plimsoll prove"), "{history}");
    world.down();
}

#[test]
fn prove_tells_when_nothing_finds_a_bad_version_out() {
    // Without an analysis every version whose probes pass comes in.
    let promise =
        "promises:\n  bad-goes: { rollback: { max: 5m, bad: { APP_FAILS: \"50\" } }, load: { rate: 50/s } }\n";
    let world = World::up(&format!("{}{promise}", version("{ rolling: { maxSurge: 1 } }", "")));
    let before = world.settle().services["web"].revision.clone();
    let ran = world.run(&["prove", "--json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let proof = proof(&report, "bad-goes");
    assert_eq!((&proof["verdict"], &proof["measured"]), (&"broken".into(), &"promoted".into()), "{}", ran.out);
    world.until_only(&before.0);
    world.down();
}
