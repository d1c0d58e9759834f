//! Requests survive replicas that die, hang up, refuse and lie, as far as that is safe.

use crate::{
    backend::{Backend, Replica, write_ok},
    client::{Client, Load, get, send},
    world::{PATIENCE, World, endpoint, host, service},
};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use plimsoll_model::{
    Millis,
    route::{Entry, Resilience},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Semaphore,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";

async fn unwell() -> Backend {
    Backend::http(|_| async {
        let mut response = Response::new(Full::new(Bytes::from_static(b"unwell")));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    })
    .await
}

/// Reads a request and hangs up.
async fn hangs_up() -> Backend {
    Backend::raw(|_, _| async { None }).await
}

#[tokio::test]
async fn a_retry_never_goes_to_a_replica_that_was_tried() {
    let all = [hangs_up().await, hangs_up().await, hangs_up().await];
    let (world, address) = World::serving(&[&all[0], &all[1], &all[2]]).await;
    // Ejecting would hide whom a request tries.
    world.change_web(|web| {
        web.resilience = Resilience { tries_max: 3, eject_after: 60_000, retry_floor: 10_000, ..Resilience::default() };
        web.limits.hold = Millis(1);
    });
    world.applied().await;
    for n in 1..=20 {
        assert_eq!(send(address, GET).await.status(), 502);
        assert_eq!(all.each_ref().map(Backend::count), [n, n, n], "each got each request once");
    }
    world.told("retries are counted", |figures| figures.routes["*/"].retries == 40).await;
}

#[tokio::test]
async fn a_request_that_is_not_idempotent_is_sent_once() {
    let all = [hangs_up().await, hangs_up().await];
    let (_world, address) = World::serving(&[&all[0], &all[1]]).await;
    for n in 1..=10 {
        assert_eq!(send(address, POST).await.status(), 502);
        assert_eq!(all.iter().map(Backend::count).sum::<u64>(), n);
    }
}

#[tokio::test]
async fn an_answer_503_is_tried_elsewhere_and_told_when_there_is_nobody_else() {
    let (bad, good) = (unwell().await, Backend::echo("good").await);
    let (world, address) = World::serving(&[&bad, &good]).await;
    for _ in 0..20 {
        assert_eq!(send(address, GET).await.json()["name"], "good");
    }
    world.change_web(|web| web.replicas.truncate(1));
    world.applied().await;
    let told = send(address, GET).await;
    assert_eq!((told.status(), told.body.as_slice()), (503, &b"unwell"[..]));
}

/// Sends 500 requests to replicas that answer none; how many more they got, and how long that took, in milliseconds.
async fn retries_of_500(retry_floor: u16) -> (u64, u128) {
    let all = [hangs_up().await, hangs_up().await];
    let world = World::start();
    let address = world.listen("ingress", Entry::Ingress { tls: None });
    let mut web = service("web", &[&all[0], &all[1]]);
    // Two tries for two replicas, so that each retry that is allowed finds somebody.
    web.resilience = Resilience { retry_floor, tries_max: 2, eject_after: 60_000, ..Resilience::default() };
    web.limits.hold = Millis(1);
    // From the first edition on, so that nothing is left of another budget.
    world.change(|routes| {
        routes.hosts.push(host("*", &[("/", "web")]));
        routes.services.insert("web".into(), web);
    });
    world.applied().await;
    let began = std::time::Instant::now();
    for _ in 0..500 {
        assert_eq!(send(address, GET).await.status(), 502);
    }
    let took = began.elapsed().as_millis();
    let retries = all.iter().map(Backend::count).sum::<u64>() - 500;
    world.told("they are counted", |figures| figures.routes["*/"].requests == 500).await;
    assert_eq!(world.figures().unwrap().routes["*/"].retries, retries);
    (retries, took)
}

#[tokio::test]
async fn retries_are_a_fifth_of_the_requests_and_ten_a_second_and_no_more() {
    // Ten are there at the start, whatever the floor: those of the first second.
    let (retries, _) = retries_of_500(0).await;
    assert!((20..=110).contains(&retries), "{retries} instead of a fifth of 500 and ten");
    let (retries, took) = retries_of_500(10).await;
    let most = 110 + took / 100 + 1;
    assert!(retries >= 20 && u128::from(retries) <= most, "{retries} in {took} ms, where {most} are allowed");
    eprintln!("{retries} retries of 500 requests in {took} ms: at most {most}");
}

/// A PUT with a body of so many bytes.
fn put(length: usize) -> String {
    format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length))
}

#[tokio::test]
async fn a_body_of_64_kib_is_sent_again_and_a_longer_one_is_not() {
    const MOST: usize = 64 * 1024;
    let (bad, good) = (hangs_up().await, Backend::echo("good").await);
    let (world, address) = World::serving(&[&bad, &good]).await;
    world.change_web(|web| web.resilience.eject_after = 60_000);
    world.applied().await;
    until("the one that hangs up was asked three times", async || {
        let told = send(address, put(MOST)).await;
        assert_eq!((told.status(), told.json()["length"].as_u64()), (200, Some(MOST as u64)));
        bad.count() >= 3
    })
    .await;
    for over_http2 in [false, true] {
        let before = bad.count();
        until("it was asked three times more", async || {
            let asked = bad.count();
            let status = if over_http2 {
                put_over_http2(address, MOST + 1).await.0
            } else {
                send(address, put(MOST + 1)).await.status()
            };
            assert_eq!(status, if bad.count() > asked { 502 } else { 200 }, "{over_http2}");
            bad.count() >= before + 3
        })
        .await;
    }
    let before = bad.count();
    until("it was asked three times more over HTTP/2", async || {
        assert_eq!(put_over_http2(address, MOST).await, (200, Some(MOST as u64)));
        bad.count() >= before + 3
    })
    .await;
}

/// The status, and how long the replica says the body was.
async fn put_over_http2(address: std::net::SocketAddr, length: usize) -> (u16, Option<u64>) {
    let mut sender = crate::edges::http2(tokio::net::TcpStream::connect(address).await.unwrap()).await;
    let request = http::Request::put("http://a/").body(Full::new(Bytes::from("x".repeat(length)))).unwrap();
    let answer = tokio::time::timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    (status, serde_json::from_slice::<serde_json::Value>(&body).ok().and_then(|said| said["length"].as_u64()))
}

/// Does something again and again until it says that it is enough.
async fn until(what: &str, mut step: impl AsyncFnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !step().await {
        assert!(std::time::Instant::now() < end, "not within {PATIENCE:?}: {what}");
    }
}

/// Begins an answer, and resets the connection when there is a permit.
async fn resets(head: &'static str, gate: &Arc<Semaphore>) -> Backend {
    let gate = Arc::clone(gate);
    Backend::raw(move |mut stream, _| {
        let gate = Arc::clone(&gate);
        async move {
            stream.write_all(head.as_bytes()).await.ok()?;
            gate.acquire().await.ok()?.forget();
            rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO)).ok()?;
            None
        }
    })
    .await
}

#[tokio::test]
async fn an_answer_whose_connection_is_reset_is_truncated_for_the_client_too() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegin",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbegin",
    ] {
        let gate = Arc::new(Semaphore::new(0));
        let backend = resets(head, &gate).await;
        let (world, address) = World::serving(&[&backend]).await;
        for version in ["1.1", "1.0"] {
            let mut client = Client::connect(address).await;
            client.write(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n")).await.unwrap();
            let mut came = Vec::new();
            while !came.windows(5).any(|five| five == b"begin") {
                let read = tokio::time::timeout(PATIENCE, client.stream.read_buf(&mut came)).await.unwrap();
                assert!(read.unwrap() > 0, "{head}: it ended before it was reset");
            }
            gate.add_permits(1);
            let rest = client.rest().await;
            let text = String::from_utf8_lossy(&came).to_ascii_lowercase();
            match rest {
                Err(_) => {}
                Ok(rest) if text.contains("content-length") => assert!(rest.len() < 995, "{head}: it looks whole"),
                Ok(rest) if text.contains("chunked") => {
                    assert!(!rest.ends_with(b"0\r\n\r\n"), "{head}: it looks whole")
                }
                Ok(_) => panic!("{head}: a body that ends with its connection ended as if it were whole"),
            }
        }
        let mut sender = crate::edges::http2(tokio::net::TcpStream::connect(address).await.unwrap()).await;
        let request = http::Request::get("http://a/").body(Full::<Bytes>::default()).unwrap();
        let mut body = sender.send_request(request).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "begin");
        gate.add_permits(1);
        let rest = tokio::time::timeout(PATIENCE, body.collect()).await.unwrap();
        assert!(rest.is_err(), "{head}: it looks whole over HTTP/2");
        world.told("errors are counted", |figures| figures.replicas["web-1"].errors == 3).await;
        assert_eq!(backend.count(), 3, "an answer that has begun is not asked for again");
    }
}

#[tokio::test]
async fn killing_replicas_under_load_fails_no_idempotent_request() {
    let mut replicas = [Replica::start(), Replica::start(), Replica::start()];
    let world = World::start();
    let address = world.listen("ingress", Entry::Ingress { tls: None });
    let mut table = service("web", &[]);
    for (replica, serial) in replicas.iter().zip(1..) {
        world.keeper.keep(&format!("pidfd/web-{serial}.1"), replica.pidfd());
        let mut endpoint = endpoint("web", serial, replica.address);
        endpoint.process = format!("web-{serial}.1");
        table.replicas.push(endpoint);
    }
    world.change(|routes| {
        routes.hosts.push(host("*", &[("/", "web")]));
        routes.services.insert("web".into(), table);
    });
    world.applied().await;
    let load = Load::start(address, 16, GET);
    for (serial, replica) in (1..=2).zip(&mut replicas) {
        load.more(300).await;
        replica.kill();
        world.told("its death is known", |figures| figures.replicas[&format!("web-{serial}")].gone).await;
    }
    load.more(300).await;
    let (answers, failures) = load.stop().await;
    assert!(answers >= 900);
    assert_eq!(failures, Vec::<String>::new());
}

#[tokio::test]
async fn all_replicas_killed_and_one_started_fails_no_idempotent_request() {
    let mut first = Replica::start();
    let world = World::start();
    let address = world.listen("ingress", Entry::Ingress { tls: None });
    world.keeper.keep("pidfd/web-1.1", first.pidfd());
    let mut web = service("web", &[]);
    web.limits.hold = Millis::from_secs(60);
    web.replicas.push(endpoint("web", 1, first.address));
    web.replicas[0].process = "web-1.1".into();
    world.change(|routes| {
        routes.hosts.push(host("*", &[("/", "web")]));
        routes.services.insert("web".into(), web);
    });
    world.applied().await;
    let load = Load::start(address, 8, GET);
    load.more(100).await;
    first.kill();
    world.told("all requests wait", |figures| figures.held["web"] == 8).await;
    // The same replica, started again.
    let second = Replica::start();
    world.keeper.keep("pidfd/web-1.2", second.pidfd());
    world.change_web(|web| {
        web.replicas[0].process = "web-1.2".into();
        web.replicas[0].address = second.address;
    });
    load.more(100).await;
    let (_, failures) = load.stop().await;
    assert_eq!(failures, Vec::<String>::new());
}

#[tokio::test]
async fn replicas_that_close_kept_connections_lose_no_request() {
    // At once after each answer, sometimes, and as they say: `Connection: close`.
    let count = Arc::new(AtomicU64::new(0));
    let at_once = Backend::raw(|mut stream, _| async move {
        write_ok(&mut stream, "", "ok").await.ok()?;
        None
    })
    .await;
    let sometimes = Backend::raw(move |mut stream, _| {
        let count = Arc::clone(&count);
        async move {
            write_ok(&mut stream, "", "ok").await.ok()?;
            (!count.fetch_add(1, SeqCst).is_multiple_of(3)).then_some(stream)
        }
    })
    .await;
    let said = Backend::raw(|mut stream, _| async move {
        write_ok(&mut stream, "Connection: close\r\n", "ok").await.ok()?;
        None
    })
    .await;
    let (_world, address) = World::serving(&[&at_once, &sometimes, &said]).await;
    let load = Load::start(address, 8, GET);
    load.more(2000).await;
    let (_, failures) = load.stop().await;
    assert_eq!(failures, Vec::<String>::new());
}

#[tokio::test]
async fn a_truncated_answer_is_truncated_for_the_client_too() {
    let by_length = Backend::raw(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegin").await.ok()?;
        None
    })
    .await;
    let by_chunks = Backend::raw(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n").await.ok()?;
        None
    })
    .await;
    for backend in [by_length, by_chunks] {
        let (world, address) = World::serving(&[&backend]).await;
        let mut client = Client::connect(address).await;
        assert!(client.get("/").await.is_err(), "an answer that looks whole");
        assert_eq!(backend.count(), 1, "an answer that has begun is not asked for again");
        // A client of HTTP/1.0 knows the end of a body without a length by the connection's end only.
        let mut old = Client::connect(address).await;
        old.write("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await.unwrap();
        assert!(old.read().await.is_err(), "an answer that looks whole");
        world.told("errors are counted", |figures| figures.replicas["web-1"].errors == 2).await;
    }
}

#[tokio::test]
async fn a_replica_that_fails_is_ejected_and_the_last_one_never() {
    let (bad, good) = (hangs_up().await, Backend::echo("good").await);
    let (world, address) = World::serving(&[&bad, &good]).await;
    let load = Load::start(address, 4, GET);
    world.told("one is left out", |figures| figures.replicas["web-1"].ejected).await;
    let (_, failures) = load.stop().await;
    assert_eq!(failures, Vec::<String>::new());
    world.change_web(|web| web.limits.hold = Millis(1));
    world.applied().await;
    good.die();
    for _ in 0..20 {
        assert!(matches!(send(address, POST).await.status(), 502 | 503));
    }
    let figures = world.figures().unwrap();
    assert!(!figures.replicas["web-1"].ejected || !figures.replicas["web-2"].ejected);
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_504() {
    let silent = Backend::raw(|stream, _| async move {
        let _kept = stream;
        std::future::pending().await
    })
    .await;
    let (world, address) = World::serving(&[&silent]).await;
    world.change_web(|web| web.limits.response = Millis(100));
    world.applied().await;
    let told = get(address, "/").await;
    assert_eq!((told.status(), told.json()["type"].as_str()), (504, Some("urn:plimsoll:problem:timeout")));
    assert_eq!(silent.count(), 1, "time that is over is not spent again");
}

#[tokio::test]
async fn what_is_not_http_is_502() {
    let odd = Backend::raw(|mut stream, _| async move {
        stream.write_all(b"SSH-2.0-x\r\n\r\n").await.ok()?;
        None
    })
    .await;
    let (_world, address) = World::serving(&[&odd]).await;
    assert_eq!(send(address, POST).await.status(), 502);
}
