//! What can't start says why, and hurts nobody else.

use crate::{
    look::{WEB, pids},
    world::World,
};
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt};

const OTHERS: &str = "ingress:";

/// Brings a system up in which `bad` can't start; its event must say why, and `web` must serve.
#[track_caller]
fn check_cannot_start(prepare: impl Fn(&World), command: &str, why: &str) {
    let world = World::new();
    prepare(&world);
    world.write(&WEB.replace(OTHERS, &format!("  bad: {{ command: [{command}] }}\n{OTHERS}")));
    world.run(&["up", "--detach", "--timeout", "3"]).bad();
    let told = world.event("why it can't start is told", |event| event.reason == "FailedStart");
    assert!(told.subject.starts_with("bad-") && told.message.contains(why), "{told:?}");
    let status = world.status();
    let bad = &status.services["bad"].replicas[0];
    assert!(bad.last_exit.as_ref().is_some_and(|exit| exit.contains(why)), "{bad:?}");
    assert_eq!(status.services["web"].ready, 3);
    assert_eq!(world.get("/").0, 200);
    world.down();
}

#[test]
fn exec_missing() {
    check_cannot_start(|_| {}, "./nothing-there", "nothing-there");
}

#[test]
fn exec_noexec() {
    let prepare = |world: &World| fs::write(world.dir.join("data"), "no program").unwrap();
    check_cannot_start(prepare, "./data", "ermission denied");
}

#[test]
fn exec_bad_arch() {
    let prepare = |world: &World| {
        let path = world.dir.join("alien");
        // A program for a machine of a kind that this one is not.
        let mut bytes = fs::read(world.dir.join("app")).unwrap();
        bytes[18..20].copy_from_slice(&[0xf7, 0x00]);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    check_cannot_start(prepare, "./alien", "xec format");
}

#[test]
fn port_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let world = World::new();
    world.write(&WEB.replace("listen: [0]", &format!("listen: [0, {port}]")));
    // It comes up without that port, says who has it, and ends with 1.
    let said = world.run(&["up", "--detach"]).bad();
    let me = format!("pid {}", std::process::id());
    assert!(said.contains(&format!("port {port} is in use by {me}")), "{said}");
    assert_eq!(world.get("/").0, 200, "the other port serves");
    let before = pids(&world.status(), "web");
    assert_eq!(before.len(), 3);
    drop(taken);
    let served = world.until_status("it is served when it is freed", |status| {
        status.ingress.iter().all(|ingress| ingress.problem.is_none())
    });
    assert_eq!(pids(&served, "web"), before);
    world.until("it answers", || (world.get_at(&format!("http://127.0.0.1:{port}"), "/").0 == 200).then_some(()));
    world.down();
}

#[test]
fn users_wait_for_what_they_use() {
    let yaml = r#"
services:
  front: { command: [./app], port: 80, uses: [back], calls: [side] }
  back: { command: [./app, --late, "700"], port: 80, readinessProbe: /ready }
  side: { command: [./app], port: 80, calls: [front] }
ingress: { listen: [0], hosts: { "*": { paths: { /: front } } } }
"#;
    let world = World::up(yaml);
    let events = world.events();
    let number = |subject: &str, reason: &str| {
        events.iter().find(|event| event.subject == subject && event.reason == reason).map(|event| event.number)
    };
    assert!(number("back-1", "Ready") < number("front-1", "Started"), "{events:#?}");
    assert!(number("front", "Waiting").is_some(), "{events:#?}");
    // Each is told addresses of its own for those it reaches, and they work.
    for variable in ["BACK_URL", "SIDE_URL"] {
        let (_, url) = world.get(&format!("/env?name={variable}"));
        let (status, body) = world.get_at(&url, "/");
        assert_eq!(status, 200, "{variable} is {url}: {body}");
        assert!(body.starts_with(&variable[..4].to_lowercase()), "{variable} leads to {body}");
    }
    world.down();
    world.until_gone();
}

#[test]
fn a_job_ends_and_stays_ended() {
    let yaml = WEB.replace(OTHERS, &format!("  job: {{ command: [./app, once], restartPolicy: OnFailure }}\n{OTHERS}"));
    let world = World::up(&yaml);
    let status = world
        .until_status("it is done", |status| status.services["job"].replicas.iter().all(|one| one.phase == "Done"));
    assert_eq!(status.services["job"].replicas.len(), 1);
    assert!(world.bring_up().contains("nothing to change"));
    assert_eq!(world.status().services["job"].replicas[0].restarts, 0);
    world.down();
}
