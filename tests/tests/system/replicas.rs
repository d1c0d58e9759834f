//! Replicas that die, hang, dawdle or never come up.

use crate::{
    look::{WEB, all_pids, pids, replica},
    sweep, times,
    world::World,
};
use plimsoll_api::Status;
use plimsoll_model::Instant;
use rustix::process::Signal;

#[test]
fn replica_sigkill() {
    let world = World::up(&WEB.replace("replicas: 3", "replicas: 5"));
    let traffic = world.traffic("/", 50.0);
    let rounds = times(2);
    for round in 0..rounds {
        // One that was ready for 10 s is replaced at once; a second death before that is a crash loop, and backed off.
        let long_ready = |status: &Status| {
            let replicas = &status.services["web"].replicas;
            let long = |since: Instant| status.at.0.saturating_sub(since.0) > 11_000_000;
            status.settled && (round == 0 || replicas.iter().all(|one| one.started_at.is_some_and(long)))
        };
        for (name, pid) in pids(&world.until_status("all are ready for long", long_ready), "web") {
            traffic.more(&world, 10);
            sweep::signal(pid, Signal::KILL);
            world.until_status("it is replaced", |status| {
                status.settled && pids(status, "web").get(&name).is_some_and(|now| *now != pid)
            });
        }
    }
    traffic.more(&world, 20);
    traffic.end_without_failure(&world, &format!("{} replicas killed", 5 * rounds));
    world.assert_each_runs_once(&world.settle());
    world.down();
}

#[test]
fn replica_sigkill_all() {
    let world = World::up(WEB);
    let url = world.url();
    for _ in 0..times(1) {
        let before = all_pids(&world.settle());
        before.values().for_each(|pid| sweep::signal(*pid, Signal::KILL));
        // One that is being torn down takes a connection still, and resets it: that is a try, of which each request has three.
        world.until("they are gone", || (!before.values().any(|pid| sweep::lives(*pid))).then_some(()));
        // Asked while none is there: held until one is.
        let answers: Vec<u16> = (0..20).map(|_| world.get_at(&url, "/").0).collect();
        assert_eq!(answers, [200; 20]);
        let after = world.until_status("all are replaced", |status| {
            status.settled && pids(status, "web").values().all(|pid| !before.values().any(|former| former == pid))
        });
        world.assert_each_runs_once(&after);
    }
    world.down();
}

#[test]
fn replica_sigstop() {
    let world = World::up(&WEB.replace("limits:", "timeouts: { response: 10s }\n    slowStart: 15s\n    limits:"));
    let (name, pid) = pids(&world.status(), "web").into_iter().next().unwrap();
    let traffic = world.traffic("/", 50.0);
    traffic.more(&world, 50);
    sweep::signal(pid, Signal::STOP);
    let stopped = std::time::Instant::now();
    world.until_status("it is taken out", |status| replica(status, &name).is_some_and(|one| one.phase == "Unready"));
    let out = stopped.elapsed();
    traffic.more(&world, 50);
    let report = traffic.end(&world);
    eprintln!(
        "out after {out:?}; {} of {} requests failed meanwhile: {:?}",
        report.failed, report.asked, report.by_cause
    );
    // What it had got waits for it until the time-out; others take no harm.
    assert!(report.failed * 4 < report.asked, "{:?}", report.failures);
    let traffic = world.traffic("/", 50.0);
    traffic.more(&world, 50);
    traffic.end_without_failure(&world, "one of three stopped");
    sweep::signal(pid, Signal::CONT);
    let url = world.url();
    world.until_status("it is back", |status| replica(status, &name).is_some_and(|one| one.phase == "Ready"));
    let share = || (0..60).filter(|_| world.get_at(&url, "/").1.starts_with(&format!("{name} "))).count();
    let early = share();
    let late = world.until("it has a share as the others", || Some(share()).filter(|share| *share >= 15));
    eprintln!("{early} of 60 requests at first, {late} of 60 in the end");
    assert!(early < late, "{early} of 60 requests at once");
    assert_eq!(pids(&world.settle(), "web").get(&name), Some(&pid), "it was not replaced");
    world.down();
}

#[test]
fn crash_loop() {
    let yaml = WEB.replace("ingress:", "  bad: { command: [./app, crash] }\ningress:");
    let world = World::new();
    world.write(&yaml);
    let said = world.run(&["up", "--detach"]).bad();
    assert!(said.contains("CrashLoopBackOff") && said.contains("crashing at once"), "{said}");
    let restarts = |status: &Status| status.services["bad"].replicas.first().map_or(0, |one| one.restarts);
    let waits =
        |status: &Status| status.services["bad"].replicas.iter().any(|one| one.phase == "BackOff" && one.restarts >= 2);
    let status = world.until_status("it is backed off", waits);
    let bad = &status.services["bad"].replicas[0];
    eprintln!("after {} restarts: {} (last: {:?})", bad.restarts, bad.reason, bad.last_exit);
    assert!(bad.last_exit.as_ref().is_some_and(|exit| exit.contains('3')), "{bad:?}");
    assert!(!bad.reason.is_empty());
    assert!(restarts(&status) < 10, "it was started again without a pause");
    assert_eq!(status.services["web"].ready, 3);
    assert_eq!(world.get("/").0, 200, "others serve");
    assert!(world.run(&["logs", "bad"]).good().contains("crashing at once"));
    let mended = yaml.replace("[./app, crash]", "[./app, linger]");
    let before = pids(&world.status(), "web");
    world.change(&mended);
    assert_eq!(pids(&world.settle(), "web"), before);
    world.down();
}
