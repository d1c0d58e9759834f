//! Clients that are slow, greedy, or lie about where a request ends.

use crate::{
    backend::Backend,
    client::{Client, get, send},
    world::{PATIENCE, Start, World, host, service},
};
use plimsoll_model::route::Entry;
use std::{net::SocketAddr, sync::Arc, time::Instant};
use tokio::task::JoinSet;

#[tokio::test]
async fn heads_that_are_too_long_are_refused() {
    let backend = Backend::echo("web").await;
    let (world, address) = World::serving(&[&backend]).await;
    let long = "x".repeat(70 * 1024);
    let many: String = (0..10_000).map(|n| format!("X-{n}: 1\r\n")).collect();
    let megabyte = "x".repeat(1_000_000);
    let [uri, longer, longest] = [9, 64, 900].map(|kib| "u".repeat(kib * 1024));
    for (text, want) in [
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {megabyte}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
        (format!("GET /{uri} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET /{longer} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET /{longest} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
    ] {
        assert_eq!(refusal(address, &text).await, want);
    }
    assert_eq!(backend.count(), 0);
    let fits = "x".repeat(50 * 1024);
    assert_eq!(send(address, format!("GET / HTTP/1.1\r\nHost: a\r\nX: {fits}\r\n\r\n")).await.status(), 200);
    world.told("all are gone", |figures| figures.connections == 0).await;
}

/// The status that a head is refused with. What is not wanted any more is read, so that its sender can read why; but only for
/// two seconds, and then it is tried again.
async fn refusal(address: SocketAddr, head: &str) -> u16 {
    let end = Instant::now() + PATIENCE;
    loop {
        let mut client = Client::connect(address).await;
        if client.write(head).await.is_ok()
            && let Ok(answer) = client.read().await
        {
            return answer.status();
        }
        assert!(Instant::now() < end, "it is never told");
    }
}

#[tokio::test]
async fn many_heads_of_a_megabyte_are_not_kept() {
    let backend = Backend::echo("web").await;
    let (world, address) = World::serving(&[&backend]).await;
    assert_eq!(get(address, "/").await.status(), 200);
    let before = world.memory_kib();
    let megabyte: Arc<str> = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1_000_000)).into();
    let mut all = JoinSet::new();
    for _ in 0..100 {
        let text = Arc::clone(&megabyte);
        all.spawn(async move {
            assert_eq!(refusal(address, &text).await, 431);
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    let most = world.memory_most_kib();
    // A hundred megabytes came; 64 KiB of each are held at once, at most.
    eprintln!("{before} KiB before, {most} KiB at most");
    assert!(most < before + 32 * 1024, "{before} KiB before, {most} KiB at most");
}

#[tokio::test]
async fn a_head_that_does_not_come_to_its_end_is_cut() {
    let backend = Backend::echo("web").await;
    let head_timeout = ("PLIMSOLL_HEAD_TIMEOUT_MS", "500".to_owned());
    let world = World::start_with(Start { environment: vec![head_timeout], ..Start::default() });
    let address = world.listen("ingress", Entry::Ingress { tls: None });
    world.change(|table| {
        table.hosts.push(host("*", &[("/", "web")]));
        table.services.insert("web".into(), service("web", &[&backend]));
    });
    world.applied().await;
    for begun in ["", "P", "PRI * HT", "GET / HTTP/1.1\r\nHost: a\r\nX: "] {
        let mut client = Client::connect(address).await;
        client.write(begun).await.unwrap();
        // Closed or reset; what counts is that it does not stay open.
        let _ = client.rest().await;
    }
    // The second head of a connection too.
    let mut client = Client::connect(address).await;
    assert_eq!(client.get("/").await.unwrap().status(), 200);
    client.write("GET / HT").await.unwrap();
    let _ = client.rest().await;
    world.told("all are gone", |figures| figures.connections == 0).await;
    assert_eq!(backend.count(), 1);
}

/// Each is refused with 400, or closed, or is exactly one request: never two, and never one that the gateway does not see.
const SMUGGLING: &[&str] = &[
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nX",
    "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "Content-Length: 5, 6\r\n\r\nabcdef",
    "Content-Length: 5, 5\r\n\r\nabcde",
    "Content-Length: +5\r\n\r\nabcde",
    "Content-Length: -5\r\n\r\nabcde",
    "Content-Length: 0x5\r\n\r\nabcde",
    "Content-Length: 5 5\r\n\r\nabcde",
    "Content-Length: 1_0\r\n\r\nabcdeabcde",
    "Content-Length:\r\n\r\n",
    "Content-Length: 99999999999999999999999\r\n\r\nabc",
    "Content-Length : 5\r\n\r\nabcde",
    " Content-Length: 5\r\n\r\nabcde",
    "Content-Length: 5\r\n X: folded\r\n\r\nabcde",
    "Content\0-Length: 5\r\n\r\nabcde",
    "Content-Length: 5\0\r\n\r\nabcde",
    "Content-Length: 5\rX: 1\r\n\r\nabcde",
    "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1_0\r\nx\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1;a=\rb\r\nx\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1;a=\nb\r\nx\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n",
    "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nx\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n\r\nx\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
    "Host: b\r\n\r\n",
    "X: 1\nContent-Length: 5\r\n\r\nabcde",
    "X\r\n\r\n",
    ": x\r\n\r\n",
    "X: a\x01b\r\n\r\n",
    "X(: 1\r\n\r\n",
    "Connection: content-length\r\nContent-Length: 5\r\n\r\nabcde",
    "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Connection: host\r\n\r\n",
];

#[tokio::test]
async fn nobody_smuggles_a_request_past_the_gateway() {
    let backend = Backend::echo("web").await;
    let (world, address) = World::serving(&[&backend]).await;
    for payload in SMUGGLING {
        for method in ["GET", "POST"] {
            let before = world.figures().unwrap().routes["*/"].requests;
            let mut client = Client::connect(address).await;
            let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n{payload}");
            // Whatever is left over must be read as the next request, by gateway and replica alike, or not at all.
            let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            let _ = client.write(format!("{request}{smuggled}")).await;
            let _ = rustix::net::shutdown(&client.stream, rustix::net::Shutdown::Write);
            let text = String::from_utf8_lossy(&client.rest().await.unwrap_or_default()).into_owned();
            world.told("it is over", |figures| figures.connections == 0).await;
            let requests = world.figures().unwrap().routes["*/"].requests - before;
            assert!(requests <= 2, "{payload:?}: {requests}");
            assert!(text.matches("HTTP/1.1 ").count() <= 2, "{payload:?}: {text}");
            if requests == 0 {
                assert!(text.is_empty() || text.starts_with("HTTP/1.1 400"), "{payload:?}: {text}");
            }
        }
    }
    // Nobody behind the gateway sees a request that the gateway does not.
    let seen = world.figures().unwrap().routes["*/"].requests;
    assert!(backend.count() <= seen && seen > 0, "{} of {seen}", backend.count());
    assert_eq!(get(address, "/").await.status(), 200);
}

#[tokio::test]
async fn what_a_replica_gets_is_framed_anew() {
    let (frames, mut framed) = tokio::sync::mpsc::unbounded_channel();
    let backend = Backend::raw(move |mut stream, head| {
        let frames = frames.clone();
        async move {
            frames.send(head.text).ok()?;
            crate::backend::write_ok(&mut stream, "Connection: close\r\n", "ok").await.ok()?;
            None
        }
    })
    .await;
    let (_world, address) = World::serving(&[&backend]).await;
    for framing in [
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut client = Client::connect(address).await;
        client.write(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}")).await.unwrap();
        let answer = client.read().await.unwrap();
        if answer.status() == 400 {
            continue;
        }
        let text = framed.recv().await.unwrap().to_ascii_lowercase();
        assert!(text.contains("transfer-encoding: chunked") && !text.contains("content-length"), "{text}");
        assert_eq!(client.rest().await.unwrap(), b"", "such a connection is closed");
    }
}

#[tokio::test]
async fn requests_without_a_right_host_are_refused() {
    let backend = Backend::echo("web").await;
    let (_world, address) = World::serving(&[&backend]).await;
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n",
    ] {
        assert_eq!(send(address, format!("{head}\r\n")).await.status(), 400, "{head:?}");
    }
    assert_eq!(send(address, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n").await.status(), 405);
    assert_eq!(send(address, "GET / HTTP/1.0\r\n\r\n").await.status(), 200);
    assert_eq!(send(address, "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n").await.echoed("host").as_deref(), Some("b"));
}
