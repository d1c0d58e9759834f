//! How long anything may take: to connect, to begin an answer, to be quiet, to come to its end.
//!
//! What has to be later than a time-out waits for that of another request to ring, never for a time to pass.

use crate::{
    backend::{Backend, write_ok},
    client::{Client, get, send},
    edges::http2,
    world::{PATIENCE, Start, World, host, service, until},
};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use plimsoll_model::{
    Millis,
    route::{Entry, Limits, Protocol},
};
use rustix::net::{AddressFamily, SocketType};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Semaphore,
};

const UPGRADE: &str = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

/// What it does is asked for by path: `/silent` never answers, `/gated` when there is a permit, `/stalled` begins an answer
/// and says no more, `/drip` never ends one, `/flood` neither, `/upgrade` says everything back, others are answered.
async fn gated(gate: &Arc<Semaphore>) -> Backend {
    let gate = Arc::clone(gate);
    Backend::raw(move |mut stream, head| {
        let gate = Arc::clone(&gate);
        async move {
            let begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n";
            match head.text.split(' ').nth(1)? {
                "/silent" => std::future::pending().await,
                "/gated" => {
                    gate.acquire().await.ok()?.forget();
                    write_ok(&mut stream, "", "late").await.ok()?;
                }
                "/stalled" => {
                    stream.write_all(begun).await.ok()?;
                    std::future::pending().await
                }
                "/drip" => {
                    stream.write_all(begun).await.ok()?;
                    loop {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        stream.write_all(b"1\r\nx\r\n").await.ok()?;
                    }
                }
                "/flood" => {
                    stream.write_all(begun).await.ok()?;
                    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
                    loop {
                        stream.write_all(chunk.as_bytes()).await.ok()?;
                    }
                }
                "/upgrade" => {
                    let agreed = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
                    stream.write_all(agreed).await.ok()?;
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await.ok()?;
                    return None;
                }
                _ => write_ok(&mut stream, "", "ok").await.ok()?,
            }
            Some(stream)
        }
    })
    .await
}

/// The same, whose gate stays closed.
async fn moody() -> Backend {
    gated(&Arc::new(Semaphore::new(0))).await
}

async fn serving(backend: &Backend, change: impl FnOnce(&mut Limits)) -> (World, SocketAddr) {
    let (world, address) = World::serving(&[backend]).await;
    world.change_web(|web| change(&mut web.limits));
    world.applied().await;
    (world, address)
}

/// Reads what comes, however long that is, until the connection ends. Whether it looks whole.
async fn ends_whole(client: &mut Client) -> bool {
    let mut tail = Vec::new();
    let mut bytes = [0; 64 * 1024];
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match tokio::time::timeout(PATIENCE, client.stream.read(&mut bytes)).await.expect("it comes to an end") {
            Ok(count @ 1..) => {
                tail.extend_from_slice(&bytes[..count]);
                tail.drain(..tail.len().saturating_sub(5));
            }
            Ok(0) | Err(_) => return tail == b"0\r\n\r\n",
        }
    }
    panic!("it comes to no end");
}

#[tokio::test]
async fn a_quiet_connection_is_closed_while_an_answer_is_sent_and_not_while_it_is_awaited() {
    let gate = Arc::new(Semaphore::new(0));
    let backend = gated(&gate).await;
    let (world, address) = serving(&backend, |limits| limits.idle = Millis(250)).await;
    let mut awaiting = Client::connect(address).await;
    awaiting.write("GET /gated HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    world.told("the first is asked", |figures| figures.replicas["web-1"].in_flight == 1).await;
    // It becomes quiet later, and is closed: by then the first was quiet for longer.
    for _ in 0..2 {
        let mut stalled = Client::connect(address).await;
        stalled.write("GET /stalled HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert!(!ends_whole(&mut stalled).await);
    }
    gate.add_permits(1);
    let told = awaiting.read().await.unwrap();
    assert_eq!((told.status(), told.body.as_slice()), (200, &b"late"[..]));
}

#[tokio::test]
async fn an_answer_that_is_awaited_longer_than_the_connection_may_be_idle_is_504() {
    let backend = moody().await;
    let (_world, address) = serving(&backend, |limits| {
        (limits.idle, limits.response) = (Millis(250), Millis(1500));
    })
    .await;
    let told = get(address, "/silent").await;
    assert_eq!((told.status(), told.json()["type"].as_str()), (504, Some("urn:plimsoll:problem:timeout")));
}

/// A port that takes no connection and refuses none: the queue of its listener is full. With what fills it.
fn full() -> (SocketAddr, (std::os::fd::OwnedFd, Vec<TcpStream>)) {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "its queue has no end");
    }
    (address, (listener.into(), waiting))
}

#[tokio::test]
async fn a_replica_that_takes_no_connection_is_given_up_for_another_one() {
    let (nobody, _kept) = full();
    let good = Backend::echo("good").await;
    let (world, address) = World::serving(&[&good]).await;
    world.change_web(|web| {
        web.limits.connect = Millis(100);
        web.limits.hold = Millis(1);
        web.resilience.eject_after = 60_000;
        web.replicas.push(crate::world::endpoint("web", 2, nobody));
    });
    world.applied().await;
    let end = Instant::now() + PATIENCE;
    while world.figures().unwrap().replicas["web-2"].errors < 3 {
        assert_eq!(get(address, "/").await.status(), 200);
        assert!(Instant::now() < end, "it is never asked");
    }
    world.change_web(|web| {
        web.replicas.remove(0);
    });
    world.applied().await;
    let told = get(address, "/").await;
    assert_eq!(told.status(), 503, "nobody was asked, so it may be tried again: {told:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_end_in_time_is_broken_off() {
    let backend = moody().await;
    let (world, address) = serving(&backend, |limits| limits.total = Some(Millis(1500))).await;
    let mut tunnel = Client::connect(address).await;
    tunnel.write(UPGRADE).await.unwrap();
    assert_eq!(tunnel.read().await.unwrap().status(), 101);
    for (path, version) in [("/drip", "1.1"), ("/flood", "1.1"), ("/drip", "1.0"), ("/stalled", "1.1")] {
        let mut client = Client::connect(address).await;
        client.write(format!("GET {path} HTTP/{version}\r\nHost: a\r\n\r\n")).await.unwrap();
        if version == "1.0" {
            // Its end of the connection is the end of such a body: only a reset tells that it is none.
            let mut bytes = Vec::new();
            tokio::time::timeout(PATIENCE, client.stream.read_to_end(&mut bytes)).await.unwrap().unwrap_err();
        } else {
            assert!(!ends_whole(&mut client).await, "{path}");
        }
    }
    let cut = |line: &serde_json::Value| line["reason"] == "total-timeout" && line["status"] == 200;
    until("that is in the log", || world.log().iter().filter(|line| cut(line)).count() == 4).await;
    assert_eq!(world.figures().unwrap().replicas["web-1"].errors, 0, "who was slow is not known");
    // A protocol that was agreed upon is no answer that has to end.
    tunnel.write("still here").await.unwrap();
    let mut back = [0; 10];
    tokio::time::timeout(PATIENCE, tunnel.stream.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(&back, b"still here");
    assert_eq!(get(address, "/").await.status(), 200);
}

#[tokio::test]
async fn a_request_that_is_not_answered_in_time_in_all_is_504() {
    let backend = moody().await;
    let (world, address) = serving(&backend, |limits| limits.total = Some(Millis(500))).await;
    // The replica has it, and does not answer.
    let told = get(address, "/silent").await;
    assert_eq!((told.status(), told.json()["type"].as_str()), (504, Some("urn:plimsoll:problem:timeout")));
    assert!(told.json()["detail"].as_str().unwrap().contains("500ms"), "{told:?}");
    assert_eq!(world.figures().unwrap().replicas["web-1"].errors, 1);
    // Its body does not come to an end.
    let told = send(address, "POST /silent HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc").await;
    assert_eq!((told.status(), told.json()["type"].as_str()), (504, Some("urn:plimsoll:problem:total-timeout")));
    assert_eq!(world.figures().unwrap().replicas["web-1"].errors, 1, "no replica is blamed");
    // No replica is there.
    world.change_web(|web| web.replicas.clear());
    world.applied().await;
    let told = get(address, "/").await;
    assert_eq!((told.status(), told.json()["type"].as_str()), (504, Some("urn:plimsoll:problem:total-timeout")));
}

#[tokio::test]
async fn over_http2_only_the_request_that_takes_too_long_is_broken_off() {
    let backend = moody().await;
    let (world, address) = serving(&backend, |limits| limits.total = Some(Millis(1000))).await;
    let mut sender = http2(tokio::net::TcpStream::connect(address).await.unwrap()).await;
    let mut ask = async |path: &str| {
        let request = Request::get(format!("http://a{path}")).body(Full::<Bytes>::default()).unwrap();
        tokio::time::timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap()
    };
    for path in ["/drip", "/flood", "/stalled"] {
        let answer = ask(path).await;
        assert_eq!(answer.status(), 200);
        let body = tokio::time::timeout(PATIENCE, answer.into_body().collect()).await.expect("it comes to an end");
        assert!(body.is_err(), "{path} looks whole");
    }
    assert_eq!(ask("/silent").await.status(), 504);
    assert_eq!(ask("/").await.status(), 200, "others go on");
    assert_eq!(world.figures().unwrap().replicas["web-1"].errors, 1, "of the silent one alone");
}

#[tokio::test]
async fn before_a_service_that_speaks_http2_it_is_the_same() {
    let slow = Backend::http(|request: Request<hyper::body::Incoming>| async move {
        if request.uri().path() == "/silent" {
            std::future::pending::<()>().await;
        }
        http::Response::new(Full::new(Bytes::from_static(b"ok")))
    })
    .await;
    let (world, address) = serving(&slow, |limits| limits.total = Some(Millis(500))).await;
    world.change_web(|web| web.protocol = Protocol::H2c);
    world.applied().await;
    assert_eq!(get(address, "/silent").await.status(), 504);
    assert_eq!(get(address, "/").await.status(), 200);
}

#[tokio::test]
async fn how_long_a_head_may_take_comes_with_the_routes() {
    let backend = Backend::echo("web").await;
    let environment = vec![("PLIMSOLL_HEAD_TIMEOUT_MS", "600000".to_owned())];
    let world = World::start_with(Start { environment, ..Start::default() });
    let address = world.listen("ingress", Entry::Ingress { tls: None });
    world.change(|table| {
        table.header = Some(Millis(500));
        table.hosts.push(host("*", &[("/", "web")]));
        table.services.insert("web".into(), service("web", &[&backend]));
    });
    world.applied().await;
    let mut client = Client::connect(address).await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\nX: ").await.unwrap();
    let told = client.read().await.unwrap();
    assert_eq!((told.status(), told.json()["type"].as_str()), (408, Some("urn:plimsoll:problem:slow-head")));
    assert_eq!(backend.count(), 0);
}
