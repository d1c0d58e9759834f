//! What clients and replicas send that they should not, through a whole system. (The gateway's own tests have more.)

use crate::{
    look::WEB,
    times,
    world::{LONG, World},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// Sends these bytes, and reads the status of the first answer.
fn status_of(world: &World, request: &[u8]) -> String {
    let url = world.url();
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    // It may be refused before all of it is read.
    stream.write_all(request).ok();
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while !answer.contains(&b'\n') {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
        }
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split(' ').nth(1).unwrap_or(&answer).to_owned()
}

#[test]
fn header_limits() {
    let world = World::up(WEB);
    let get = |path: &str, rest: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n{rest}\r\n");
    assert_eq!(status_of(&world, get("/", "").as_bytes()), "200");
    let large = get("/", &format!("X-Large: {}\r\n", "x".repeat(1_000_000)));
    assert_eq!(status_of(&world, large.as_bytes()), "431");
    let many: String = (0..10_000).map(|number| format!("X-{number}: y\r\n")).collect();
    assert_eq!(status_of(&world, get("/", &many).as_bytes()), "431");
    let long = get(&format!("/{}", "x".repeat(64 << 10)), "");
    assert_eq!(status_of(&world, long.as_bytes()), "414");
    assert_eq!(world.get("/").0, 200);
    world.down();
}

#[test]
fn slowloris() {
    let world = World::up(WEB);
    let address = world.url().strip_prefix("http://").unwrap().to_owned();
    // Heads that never end, held open while others are served.
    let begun: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Never-Ends: ").unwrap();
            stream
        })
        .collect();
    let traffic = world.traffic("/", 50.0);
    traffic.more(&world, 50);
    traffic.end_without_failure(&world, "200 heads that never end, beside");
    drop(begun);
    world.down();
}

#[test]
fn upstream_truncate() {
    let world = World::up(WEB);
    for _ in 0..10 {
        // Without an answer: tried elsewhere, and in the end told; never as a success.
        let (status, body) = world.get("/drop");
        assert!([502, 503, 504].contains(&status), "{status}: {body}");
    }
    let (status, body) = world.get("/truncate");
    assert_eq!(status, 0, "an answer cut short came as a whole one: {body:?}");
    world.until("others are served", || (world.get("/").0 == 200).then_some(()));
    world.down();
}

#[test]
fn upstream_keepalive_race() {
    // Replicas close connections that are idle for 15 ms; requests come about as seldom.
    let world = World::up(&WEB.replace("[./app]", "[./app, --idle, \"15\"]"));
    let traffic = world.traffic("/", 40.0);
    // `PLIMSOLL_SOAK=40` makes it five minutes.
    for _ in 0..times(1) {
        traffic.more(&world, 300);
    }
    traffic.end_without_failure(&world, "replicas that close idle connections");
    world.down();
}

#[test]
fn an_unready_replica_is_not_asked() {
    let world = World::up(WEB);
    let status = world.status();
    let one = &status.services["web"].replicas[0];
    let address = format!("http://{}", one.address.clone().unwrap());
    world.get_at(&address, "/get-unready");
    world.until_status("it is unready", |status| status.services["web"].ready == 2);
    for _ in 0..20 {
        let (status, body) = world.get("/");
        assert_eq!(status, 200);
        assert!(!body.starts_with(&format!("{} ", one.id)), "asked though unready: {body}");
    }
    world.get_at(&address, "/get-ready");
    let after = world.settle();
    assert_eq!(after.services["web"].replicas[0].pid, one.pid);
    world.down();
}
