//! Requests survive replicas that die, hang up, refuse and lie, as far as that is safe.

use crate::{
    backend::{Backend, Replica, write_ok},
    client::{Client, Load, get, send},
    world::{World, endpoint, host, service},
};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use plimsoll_model::{
    Millis,
    route::{Entry, Resilience},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};
use tokio::io::AsyncWriteExt;

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

#[tokio::test]
async fn retries_end_when_their_budget_is_used_up() {
    let all = [hangs_up().await, hangs_up().await];
    let (world, address) = World::serving(&[&all[0], &all[1]]).await;
    world.change_web(|web| {
        web.resilience = Resilience { retry_percent: 20, retry_floor: 0, eject_after: 60_000, ..Resilience::default() };
        web.limits.hold = Millis(1);
    });
    world.applied().await;
    for _ in 0..500 {
        assert_eq!(send(address, GET).await.status(), 502);
    }
    let sent = all.iter().map(Backend::count).sum::<u64>();
    // What was there before the change (10,000 of the floor) is cut at the first filling.
    assert!(world.figures().unwrap().routes["*/"].requests == 500);
    assert!(sent < 1000, "{sent} instead of 1000 without a budget");
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
