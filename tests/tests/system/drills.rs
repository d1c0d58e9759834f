//! What `plimsoll prove` finds out about releases: by releasing, and by going back.

use crate::{
    look::pids,
    releases::version,
    sweep,
    world::{World, ended},
};
use rustix::process::Signal;
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

/// Half of the traffic, for as long as a test may take: `prove` is in the midst of it.
const LONG: &str = "{ canary: { steps: [50%], interval: 10m } }";
const BACK: &str = "promises:\n  back: { rollback: { service: web, max: 5m }, load: { rate: 50/s } }\n";

/// A `prove` that has brought its version in; the version that ran before.
fn in_the_midst(world: &World) -> (std::process::Child, std::path::PathBuf, String) {
    let before = world.settle().services["web"].revision.0.clone();
    let (mut command, _, err) = world.command(&["prove", "back"]);
    let child = command.spawn().unwrap();
    world.until_status("its version comes in", |status| {
        status.warnings.iter().any(|warning| warning.contains("`plimsoll prove` made to test with"))
            && status.services["web"].replicas.iter().any(|replica| replica.revision.0 != before)
    });
    (child, err, before)
}

#[test]
fn an_interrupted_prove_puts_back_what_it_changed() {
    let world = World::up(&format!("{}{BACK}", version(LONG, "")));
    let (child, err, before) = in_the_midst(&world);
    sweep::signal(child.id().cast_signed(), Signal::INT);
    assert_eq!(ended(child, "an interrupted prove", &err), Some(130));
    let status = world.until_only(&before);
    assert_eq!(status.warnings, Vec::<String>::new());
    assert_eq!(status.services["web"].revision.0, before, "nothing else is accepted");
    world.down();
}

#[test]
fn what_a_killed_prove_left_behind_is_told() {
    let world = World::up(&format!("{}{BACK}", version(LONG, "")));
    let (child, err, before) = in_the_midst(&world);
    sweep::signal(child.id().cast_signed(), Signal::KILL);
    assert_eq!(ended(child, "a killed prove", &err), None);
    let told = world.run(&["status"]);
    assert!((told.out + &told.err).contains("`plimsoll up` brings in what the file says"));
    let again = world.run(&["prove"]).bad();
    assert!(again.contains("web has a version that a former `plimsoll prove` made"), "{again}");
    world.bring_up();
    assert_eq!(world.until_only(&before).warnings, Vec::<String>::new());
    world.down();
}
