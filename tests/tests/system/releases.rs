//! Versions come in and go back: rolling, canary, blue-green; by measurements, and by hand.

use crate::{
    look::{own_pid, pids},
    sweep,
    world::{Ran, World},
};
use plimsoll_api::{
    Status,
    release::{Release, ReleaseStatus},
};
use rustix::process::Signal;

/// A service whose versions come in as `rollout` says; `{words}` are those of its program.
const VOYAGE: &str = r#"
system: voyage
services:
  web:
    command: [./app{words}]
    port: 80
    replicas: 3
    readinessProbe: { httpGet: { path: /ready }, periodSeconds: 1 }
    terminationGracePeriodSeconds: 20
    limits: { hold: 50s }
    rollout: {rollout}
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
"#;

/// A canary that is judged by errors, at 10 % of the traffic for as long as a test may take.
const JUDGED: &str = "{ canary: { steps: [10%], interval: 10m }, analysis: { errorRate: { max: 5% } } }";

/// The file of a version: its words, as YAML goes on with them.
pub(crate) fn version(rollout: &str, words: &str) -> String {
    VOYAGE.replace("{words}", words).replace("{rollout}", rollout)
}

/// A version of which half of the answers are errors.
const BAD: &str = ", --fail, \"50\"";

pub(crate) fn releasing(status: &Status) -> Option<&ReleaseStatus> {
    status.services.get("web")?.releasing.as_ref()
}

impl World {
    pub(crate) fn ledger(&self) -> Vec<Release> {
        self.until("the ledger is told", || self.ask(self.client.releases())?.ok()).releases
    }

    /// Offers a file and does not wait for what becomes of it.
    #[track_caller]
    pub(crate) fn release_detached(&self, yaml: &str) {
        self.write(yaml);
        self.run(&["release", "--detach"]).good();
    }

    /// Kills the engine, and waits until another one answers.
    #[track_caller]
    pub(crate) fn kill_engine(&self) {
        let pid = own_pid(&self.until_status("it runs", |status| status.processes.contains_key("engine")), "engine");
        sweep::signal(pid, Signal::KILL);
        self.until_status("another one is there", |status| {
            status.processes.get("engine").is_some_and(|own| own.pid != pid)
        });
    }

    /// Only this version of the web runs, in all of its replicas.
    #[track_caller]
    pub(crate) fn until_only(&self, revision: &str) -> Status {
        self.until_status(&format!("only {revision} runs"), |status| {
            let replicas = &status.services["web"].replicas;
            status.settled
                && replicas.len() == 3
                && replicas.iter().all(|one| one.revision.0 == revision && one.phase == "Ready")
        })
    }
}

fn said(ran: &Ran) -> String {
    format!("{}{}", ran.out, ran.err)
}

#[test]
fn bad_canary() {
    let world = World::up(&version(JUDGED, ""));
    let good = world.settle().services["web"].revision.0.clone();
    let traffic = world.traffic("/", 60.0);
    traffic.more(&world, 20);
    world.write(&version(JUDGED, BAD));
    let ran = world.run(&["release"]);
    assert_eq!(ran.code, Some(1), "{}", said(&ran));
    assert!(ran.err.contains("was sent back: it fails more often than"), "{}", said(&ran));
    let status = world.until_only(&good);
    let report = traffic.end(&world);
    eprintln!("a canary of 10 % with 50 % errors: {} of {} requests failed", report.failed, report.asked);
    // A tenth of the traffic, half of it errors: with room for chance, a fifth is the most.
    assert!(report.failed > 0 && report.failed * 5 <= report.asked, "{} of {}", report.failed, report.asked);
    assert!(releasing(&status).is_some_and(|release| release.held.is_some()), "{status:?}");

    // The same file again is not tried again, and that is said.
    let again = world.run(&["up", "--detach"]);
    assert_eq!(again.code, Some(1), "{}", said(&again));
    assert!(again.err.contains("is not tried again") && again.err.contains("release forgive web"), "{}", said(&again));
    world.until_only(&good);

    // Forgiven, it comes in again.
    world.run(&["release", "forgive", "web", "--why", "the test says so"]).good();
    world.until_status("it comes in again", |status| releasing(status).is_some_and(|release| release.under_way));
    world.run(&["release", "abort", "web", "--why", "seen enough"]).good();
    world.until_only(&good);
    let ledger = world.ledger();
    let forgiven = ledger.iter().find(|line| line.what == "Forgiven").unwrap();
    assert_eq!(forgiven.why, "the test says so");
    let history = world.run(&["history"]).good();
    assert!(history.contains("RolledBack") && history.contains("seen enough"), "{history}");
    world.down();
}

#[test]
fn canary_no_data() {
    let rollout = "{ canary: { steps: [10%], interval: 1s }, analysis: { errorRate: { max: 5% } } }";
    let world = World::up(&version(rollout, ""));
    world.release_detached(&version(rollout, ", --slow, \"1\""));
    let status = world.until_status("it is paused", |status| releasing(status).is_some_and(|one| one.paused.is_some()));
    let release = releasing(&status).unwrap();
    assert!(release.missing.as_ref().is_some_and(|what| what.contains("too little traffic")), "{release:?}");
    assert!(release.share.is_some_and(|share| share.0 == 100_000), "{release:?}");
    assert!(world.run(&["status"]).good().contains("too little traffic"));
    assert!(!world.ledger().iter().any(|line| line.what == "Promoted" && line.revision == release.revision));
    // A person may.
    world.run(&["release", "promote", "web", "--why", "nobody is awake"]).good();
    world.until_only(&release.revision.0);
    let promoted = world.until("it is in the ledger", || {
        world.ledger().into_iter().find(|line| line.what == "ReleaseResumed" && line.why == "nobody is awake")
    });
    assert!(!promoted.by.is_empty());
    world.down();
}

#[test]
fn canary_goes_on_when_the_engine_is_killed() {
    let world = World::up(&version(JUDGED, ""));
    let old = world.settle().services["web"].revision.clone();
    let traffic = world.traffic("/", 60.0);
    world.release_detached(&version(JUDGED, ", --slow, \"1\""));
    let reached = |status: &Status| releasing(status).is_some_and(|one| one.share.is_some_and(|share| share.0 > 0));
    let before = world.until_status("the first step is reached", reached);
    world.kill_engine();
    let after =
        world.until_status("the canary is where it was", |status| reached(status) && pids(status, "web").len() == 4);
    assert_eq!(pids(&before, "web"), pids(&after, "web"), "nothing was started anew");
    assert!(!world.ledger().iter().any(|line| line.revision == old && line.what == "ReleaseBegan"));
    world.kill_engine();
    let order = ["release", "promote", "web", "--why", "it is good"];
    world.until("the engine takes orders", || (world.run(&order).code == Some(0)).then_some(()));
    let new = releasing(&after).unwrap().revision.0.clone();
    world.until_only(&new);
    let begun = world.ledger().iter().filter(|line| line.what == "ReleaseBegan").count();
    assert_eq!(begun, 1, "{:?}", world.ledger());
    traffic.more(&world, 20);
    traffic.end_without_failure(&world, "a canary through two deaths of the engine");
    world.down();
}

#[test]
fn blue_green_switches_and_goes_back() {
    let rollout = "{ blueGreen: { keep: 10m } }";
    let world = World::up(&version(rollout, ""));
    let old = world.settle().services["web"].revision.0.clone();
    let before = pids(&world.status(), "web");
    let traffic = world.traffic("/", 60.0);
    world.release_detached(&version(rollout, ", --slow, \"1\""));
    let all =
        |status: &Status| releasing(status).is_some_and(|one| one.share.is_some_and(|share| share.0 == 1_000_000));
    let status = world.until_status("traffic has moved", all);
    // The old set is kept warm.
    assert!(before.iter().all(|one| pids(&status, "web").get(one.0) == Some(one.1)), "{before:?}: {status:?}");
    let new = releasing(&status).unwrap().revision.0.clone();
    let answers = |revision: &str| {
        let (status, body) = world.get("/env?name=PLIMSOLL_REVISION");
        (status == 200 && body == revision).then_some(())
    };
    world.until("the new version answers", || answers(&new));
    world.run(&["rollback", "web", "--why", "not pretty"]).good();
    world.until("the old version answers", || answers(&old));
    assert_eq!(pids(&world.until_only(&old), "web"), before, "the same processes as before");
    traffic.more(&world, 20);
    traffic.end_without_failure(&world, "to the new set and back");
    world.down();
}

#[test]
fn rollback_goes_to_a_version_of_the_ledger() {
    let rollout = "{ rolling: { maxSurge: 1 } }";
    let world = World::up(&version(rollout, ""));
    let traffic = world.traffic("/", 60.0);
    let mut versions = vec![world.settle().services["web"].revision.0.clone()];
    for change in 1..=2 {
        world.change(&version(rollout, &format!(", --slow, \"{change}\"")));
        versions.push(world.settle().services["web"].revision.0.clone());
        world.until_only(&versions[change]);
    }
    // To the one before.
    world.run(&["rollback", "web", "--why", "it was better"]).good();
    world.until_only(&versions[1]);
    // The file's version is held back until it is another one, and that is said.
    assert!(world.run(&["up", "--detach"]).bad().contains("went back to"));
    // To the very first one, by its line.
    let first =
        world.ledger().into_iter().find(|line| line.what == "Promoted" && line.revision.0 == versions[0]).unwrap();
    world.run(&["rollback", "web", "--to", &first.number.to_string()]).good();
    world.until_only(&versions[0]);
    // And to what the file says.
    world.run(&["release", "forgive", "web"]).good();
    world.until_only(&versions[2]);
    world.run(&["up", "--detach"]).good();
    traffic.more(&world, 20);
    traffic.end_without_failure(&world, "two versions, three ways back and forth");
    world.down();
}

#[test]
fn a_rollback_runs_the_program_of_then() {
    let yaml = version("{ rolling: { maxSurge: 1 } }", "").replace("./app", "./own");
    let world = World::new();
    let app = std::fs::read(world.dir.join("app")).unwrap();
    let put = |app: &[u8], extra: usize| {
        use std::os::unix::fs::PermissionsExt;
        let own = world.dir.join("own");
        // In place, as a build may do it: whoever runs it is in the way, so it goes first.
        std::fs::remove_file(&own).ok();
        std::fs::write(&own, [app, &vec![0; extra]].concat()).unwrap();
        std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    put(&app, 0);
    world.write(&yaml);
    world.bring_up();
    let old = world.settle().services["web"].revision.0.clone();
    world.until("a copy is kept", || {
        std::fs::read_dir(world.place.state.join("programs")).ok()?.count().eq(&1).then_some(())
    });
    put(&app, 7);
    world.bring_up();
    let new = world.settle().services["web"].revision.0.clone();
    assert_ne!(new, old);
    world.run(&["rollback", "web"]).good();
    let status = world.until_only(&old);
    for pid in pids(&status, "web").values() {
        let length = std::fs::metadata(format!("/proc/{pid}/exe")).unwrap().len();
        assert_eq!(length, app.len() as u64, "the old program");
    }
    world.down();
}
