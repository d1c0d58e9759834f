//! Services that end though they should run, and jobs that end as they should: `up` tells which is which.

use crate::{
    look::{WEB, own_pid, replica},
    sweep,
    world::World,
};
use plimsoll_api::Status;
use rustix::process::Signal;

const OTHERS: &str = "ingress:";

fn with(more: &str) -> String {
    WEB.replace(OTHERS, &format!("{more}\n{OTHERS}"))
}

/// A wait for which no test has the time: who returns before has not waited.
const FOR_EVER: [&str; 4] = ["up", "--detach", "--timeout", "1000000"];

#[test]
fn a_crash_loop_is_told_at_once() {
    let world = World::new();
    world.write(&with("  bad: { command: [./app, crash] }"));
    let said = world.run(&FOR_EVER).bad();
    for word in ["bad-1", "exited with code 3", "CrashLoopBackOff", "crashing at once"] {
        assert!(said.contains(word), "`{word}` is not in:\n{said}");
    }
    // The others serve, and it goes on being tried.
    let status = world.status();
    assert_eq!((status.services["web"].ready, status.services["bad"].ready), (3, 0));
    assert_eq!(world.get("/").0, 200);
    assert!(world.run(&["status"]).good().contains("can't get ready: bad-1"));
    // A file without it is all there is to mend.
    world.change(WEB);
    world.down();
}

#[test]
fn a_version_that_crashes_does_not_replace_one_that_works() {
    let worker = |words: &str| with(&format!("  worker: {{ command: [{words}] }}"));
    let world = World::up(&worker("sleep, \"100000\""));
    world.write(&worker("./app, crash"));
    let said = world.run(&FOR_EVER).bad();
    assert!(said.contains("exited with code 3"), "{said}");
    let status = world.status();
    assert_eq!(replica(&status, "worker-1").map(|one| one.phase.as_str()), Some("Ready"), "{status:?}");
    assert_eq!(status.services["worker"].ready, 1);
    world.down();
}

#[test]
fn whoever_waits_for_a_job_begins_when_it_has_ended_well() {
    let jobs = "  job: { command: [./app, once], port: 82, restartPolicy: Never }\n  user: { command: [sleep, \"100000\"], uses: [job] }";
    let world = World::up(&with(jobs));
    let is_done = |status: &Status| replica(status, "job-1").is_some_and(|one| one.phase == "Done");
    world.until_status("the job is done", |status| status.settled && is_done(status));
    // An engine that comes back does not do it again.
    let pid = own_pid(&world.status(), "engine");
    sweep::signal(pid, Signal::KILL);
    world.until_status("another engine", |status| {
        status.settled && is_done(status) && status.processes.get("engine").is_some_and(|own| own.pid != pid)
    });
    assert_eq!(world.run(&["logs", "job"]).good().matches("done").count(), 1);
    world.down();
}

#[test]
fn a_job_that_fails_is_told_at_once_and_its_users_do_not_begin() {
    let jobs = "  job: { command: [./app, crash], port: 82, restartPolicy: Never }\n  user: { command: [./app], port: 81, uses: [job] }";
    let world = World::new();
    world.write(&with(jobs));
    let said = world.run(&FOR_EVER).bad();
    assert!(said.contains("job-1: exited with code 3") && said.contains("crashing at once"), "{said}");
    let status = world.status();
    assert_eq!(replica(&status, "job-1").map(|one| one.phase.as_str()), Some("Failed"));
    world.down();
}
