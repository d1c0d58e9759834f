//! Every kind of probe against a real process: what passes it, what does not, and what follows.

use crate::{look::pids, world::World};
use plimsoll_api::Status;
use std::fs;

/// Every kind, each with a word or a file that has it fail.
const PROBED: &str = r#"
system: voyage
services:
  grpc:
    command: [./app, grpc]
    port: 80
    readinessProbe: { grpc: { service: voyage }, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 30 }
  tcp:
    command: [./app, --late, "1000"]
    port: 80
    readinessProbe: { tcpSocket: { port: 80 }, periodSeconds: 1, timeoutSeconds: 30 }
  tls:
    command: [openssl, s_server, -accept, "127.0.0.1:$(PORT)", -cert, cert.pem, -key, key.pem, -www, -quiet]
    port: 80
    readinessProbe: { httpGet: { path: /, scheme: HTTPS }, periodSeconds: 1, timeoutSeconds: 30 }
  exec:
    command: [./app]
    port: 80
    readinessProbe: { exec: { command: [test, -e, fit] }, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 30 }
  alive:
    command: [./app]
    port: 80
    livenessProbe: { httpGet: { path: /ready }, periodSeconds: 1, failureThreshold: 2, timeoutSeconds: 30 }
"#;

fn world() -> World {
    let world = World::new();
    let own = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    fs::write(world.dir.join("cert.pem"), own.cert.pem()).unwrap();
    fs::write(world.dir.join("key.pem"), own.signing_key.serialize_pem()).unwrap();
    fs::write(world.dir.join("fit"), "").unwrap();
    world
}

fn up() -> World {
    let world = world();
    world.write(PROBED);
    world.bring_up();
    world
}

/// The phase and the reason of the only replica of a service.
fn phase(status: &Status, service: &str) -> (String, String) {
    let replica = &status.services[service].replicas[0];
    (replica.phase.clone(), replica.reason.clone())
}

#[test]
fn each_kind_of_probe_tells_ready_from_unready() {
    let world = up();
    let before = pids(&world.status(), "grpc");
    for (service, file, is_there) in [("grpc", "not-serving", true), ("exec", "fit", false)] {
        let set = |there: bool| match there {
            true => fs::write(world.dir.join(file), "").unwrap(),
            false => fs::remove_file(world.dir.join(file)).unwrap(),
        };
        set(is_there);
        let status = world.until_status("it is unready", |status| phase(status, service).0 == "Unready");
        eprintln!("{service}: {:?}", phase(&status, service));
        set(!is_there);
        world.until_status("it is ready again", |status| phase(status, service).0 == "Ready");
    }
    assert_eq!(pids(&world.status(), "grpc"), before, "readiness restarts nobody");
    world.down();
}

/// What speaks no TLS, no gRPC, or does not listen, does not pass.
#[test]
fn what_answers_otherwise_is_not_ready() {
    let world = world();
    let wrong = PROBED
        .replace("[./app, grpc]", "[./app]")
        .replace(
            "[openssl, s_server, -accept, \"127.0.0.1:$(PORT)\", -cert, cert.pem, -key, key.pem, -www, -quiet]",
            "[./app]",
        )
        .replace("[./app, --late, \"1000\"]", "[./app, linger]");
    world.write(&wrong);
    world.run(&["up", "--detach", "--timeout", "5"]).bad();
    let events = world.events();
    for service in ["grpc", "tls", "tcp"] {
        let ready = events.iter().any(|event| event.subject == format!("{service}-1") && event.reason == "Ready");
        let now = phase(&world.status(), service);
        assert!(now.0 != "Ready" && !now.1.is_empty(), "{service} is {now:?}; {ready}");
        eprintln!("{service}: {now:?}");
    }
    world.down();
}

#[test]
fn a_failing_liveness_probe_restarts_the_replica() {
    let world = up();
    let before = pids(&world.status(), "alive")["alive-1"];
    let address = world.status().services["alive"].replicas[0].address.clone().unwrap();
    // Its own memory says so: another process is well again.
    assert_eq!(world.get_at(&format!("http://{address}"), "/get-unready").0, 200);
    let after = world.until_status("another process is ready", |status| {
        status.settled && pids(status, "alive").get("alive-1").is_some_and(|pid| *pid != before)
    });
    assert!(after.services["alive"].replicas[0].restarts >= 1);
    let told = world.event("why is told", |event| event.subject == "alive-1" && event.message.contains("probe failed"));
    eprintln!("{}: {}", told.reason, told.message);
    world.down();
}
