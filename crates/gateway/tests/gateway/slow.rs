//! Clients that send or read so slowly that they only hold what others need, and floods that cost their sender little.
//!
//! There are 200 at once, and N times as many with `PLIMSOLL_SOAK=N` (`scripts/soak`).

use crate::{
    backend::Backend,
    client::{Client, Load, get},
    edges::{ask, http2},
    world::{PATIENCE, Start, World, serving_with, times, until},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

const CLIENTS: usize = 200;

fn after(name: &'static str, ms: u64) -> Start {
    Start { environment: vec![(name, ms.to_string())], ..Start::default() }
}

/// Sends `begin`, then `drip` again and again; what it is told when the gateway has had enough.
async fn drip(address: SocketAddr, begin: String, drip: &str) -> String {
    let mut client = Client::connect(address).await;
    let mut told = Vec::new();
    client.stream.write_all(begin.as_bytes()).await.unwrap();
    let (mut read, mut write) = client.stream.split();
    let reading = read.read_to_end(&mut told);
    let dripping = async {
        while write.write_all(drip.as_bytes()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        // Closed or reset.
        _ = reading => {}
        () = dripping => {}
        () = tokio::time::sleep(PATIENCE) => panic!("it may go on for ever"),
    }
    String::from_utf8_lossy(&told).into_owned()
}

#[tokio::test]
async fn heads_that_come_byte_by_byte_are_cut_and_hold_little() {
    let backend = Backend::echo("web").await;
    let (world, address) = serving_with(after("PLIMSOLL_HEAD_TIMEOUT_MS", 1000), &backend).await;
    let load = Load::start(address, 2, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut slow = JoinSet::new();
    for _ in 0..times(CLIENTS) {
        slow.spawn(drip(address, "GET / HTTP/1.1\r\nHost: a\r\nX: ".into(), "x"));
    }
    world.told("they are there", |figures| figures.connections > 2).await;
    assert!(world.memory_kib() < 100 * 1024, "{} KiB", world.memory_kib());
    let mut told = 0;
    while let Some(text) = slow.join_next().await {
        let text = text.unwrap();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
        told += usize::from(!text.is_empty());
    }
    assert!(told > 0, "some are told why");
    load.more(10).await;
    assert_eq!(load.stop().await.1, Vec::<String>::new(), "others are served all the while");
    world.told("all are gone", |figures| figures.connections == 0).await;
}

#[tokio::test]
async fn slow_heads_make_room_for_whoever_comes_when_all_places_are_taken() {
    let backend = Backend::echo("web").await;
    // They would hold their places for ten minutes.
    let mut start = after("PLIMSOLL_HEAD_TIMEOUT_MS", 600_000);
    start.environment.push(("PLIMSOLL_CONNECTIONS_MAX", "40".into()));
    let (world, address) = serving_with(start, &backend).await;
    let mut slow = JoinSet::new();
    for _ in 0..40 {
        slow.spawn(drip(address, "GET / HTTP/1.1\r\nHost: a\r\nX: ".into(), "x"));
    }
    world.told("all places are taken", |figures| figures.connections >= 40).await;
    // Whoever came a moment ago may stay; so the first may be refused, and not for long.
    let end = Instant::now() + PATIENCE;
    while !Client::connect(address).await.get("/").await.is_ok_and(|answer| answer.status() == 200) {
        assert!(Instant::now() < end, "nobody else is served");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    slow.join_next().await.expect("one of them had to leave").unwrap();
    slow.abort_all();
}

#[tokio::test]
async fn bodies_that_come_byte_by_byte_are_cut_and_no_replica_is_blamed() {
    let backend = Backend::echo("web").await;
    let (world, address) = serving_with(after("PLIMSOLL_BODY_GRACE_MS", 500), &backend).await;
    let mut slow = JoinSet::new();
    for (method, framing, drop) in [
        ("POST", "Content-Length: 1000000\r\n\r\n", "x"),
        ("PUT", "Content-Length: 1000\r\n\r\n", "x"),
        ("POST", "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
    ] {
        slow.spawn(drip(address, format!("{method} / HTTP/1.1\r\nHost: a\r\n{framing}"), drop));
    }
    while let Some(text) = slow.join_next().await {
        let text = text.unwrap();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    }
    world
        .told("they were refused", |figures| {
            let (route, replica) = (&figures.routes["*/"], &figures.replicas["web-1"]);
            figures.connections == 0
                && route.statuses.get("4xx") == Some(&3)
                && replica.errors == 0
                && replica.in_flight == 0
        })
        .await;
    assert_eq!(get(address, "/").await.status(), 200);
}

#[tokio::test]
async fn bodies_of_http2_that_come_byte_by_byte_are_cut_too() {
    let backend = Backend::echo("web").await;
    let (world, address) = serving_with(after("PLIMSOLL_BODY_GRACE_MS", 500), &backend).await;
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(TcpStream::connect(address).await.unwrap()))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut asked = JoinSet::new();
    // The last one is read whole before it is sent on.
    for (method, length) in [("POST", 1_000_000), ("PUT", 1_000_000), ("PUT", 1000)] {
        let mut sender = sender.clone();
        let request = Request::builder().method(method).uri("http://a/").header("content-length", length);
        asked.spawn(async move { sender.send_request(request.body(Drip::default()).unwrap()).await.unwrap().status() });
    }
    while let Some(status) = asked.join_next().await {
        assert_eq!(status.unwrap(), 408);
    }
    world
        .told("they were refused", |figures| {
            let (route, replica) = (&figures.routes["*/"], &figures.replicas["web-1"]);
            route.statuses.get("4xx") == Some(&3) && replica.errors == 0 && replica.in_flight == 0
        })
        .await;
    assert_eq!(get(address, "/").await.status(), 200);
    connection.abort();
}

/// A byte now and then, for ever.
#[derive(Default)]
struct Drip(Option<Pin<Box<tokio::time::Sleep>>>);

impl Body for Drip {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::from_millis(50))));
        ready!(sleep.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

#[tokio::test]
async fn clients_that_do_not_read_hold_one_buffer_and_stop_nobody() {
    let large = Bytes::from(vec![b'x'; 8 << 20]);
    let backend = Backend::http(move |request| {
        let body = if request.uri().path() == "/large" { large.clone() } else { Bytes::from_static(b"ok") };
        async move { Response::new(Full::new(body)) }
    })
    .await;
    let (world, address) = World::serving(&[&backend]).await;
    assert_eq!(get(address, "/").await.status(), 200);
    // One replica may have 1,024 requests in flight.
    let (before, count) = (world.memory_kib(), times(CLIENTS).min(900));
    let mut slow = Vec::new();
    for _ in 0..count {
        let mut client = Client::connect(address).await;
        client.write("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        // The answer has begun.
        client.stream.readable().await.unwrap();
        slow.push(client);
    }
    world.told("all are in flight", |figures| figures.replicas["web-1"].in_flight == count as u64).await;
    let grown = world.memory_kib().saturating_sub(before);
    assert!(grown < count as u64 * 64 + 8 * 1024, "{grown} KiB for {count} clients");
    for _ in 0..20 {
        assert_eq!(get(address, "/").await.status(), 200);
    }
    drop(slow);
    world.told("all are gone", |figures| figures.connections == 0 && figures.replicas["web-1"].in_flight == 0).await;
}

#[tokio::test]
async fn without_descriptors_load_is_shed_and_served_again_when_it_stops() {
    let backend = Backend::echo("web").await;
    let start = Start { files: Some(256), ..Start::default() };
    let (world, address) = serving_with(start, &backend).await;
    let load = Load::start(address, 300, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    load.more(3000).await;
    assert!(world.figures().is_some(), "figures are told all the while");
    // Editions are followed all the while.
    world.change(|_| {});
    world.applied().await;
    let (_, failures) = load.stop().await;
    let odd = failures.iter().find(|failure| failure.contains("HTTP/1.1 5") && !failure.contains("HTTP/1.1 503"));
    assert_eq!(odd, None, "who is not served is told 503, or hung up on");
    world.told("all are gone", |figures| figures.connections == 0).await;
    for _ in 0..50 {
        assert_eq!(get(address, "/").await.status(), 200);
    }
    assert!(!world.figures().unwrap().replicas["web-1"].ejected);
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET http://a/`, as a block of headers.
const FIELDS: &[u8] = &[0x82, 0x84, 0x86, 0x41, 1, b'a'];

/// Sends what `next` makes until the gateway hangs up.
async fn flood(address: SocketAddr, mut next: impl FnMut(u32) -> Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    let (mut read, mut write) = stream.split();
    let mut told = Vec::new();
    let reading = read.read_to_end(&mut told);
    let flooding = async {
        for round in 0.. {
            if write.write_all(&next(round)).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = reading => {}
        () = flooding => {}
        () = tokio::time::sleep(PATIENCE) => panic!("it may go on for ever"),
    }
}

#[tokio::test]
async fn floods_of_http2_frames_end_their_connection() {
    let backend = Backend::echo("web").await;
    let (world, address) = World::serving(&[&backend]).await;
    // Requests that are taken back at once.
    flood(address, |round| {
        let pair = |n: u32| {
            let stream = (round * 100 + n) * 2 + 1;
            [frame(1, 5, stream, FIELDS), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
        };
        (0..100).flat_map(pair).collect()
    })
    .await;
    // A head without an end.
    flood(address, |round| if round == 0 { frame(1, 1, 1, FIELDS) } else { frame(9, 0, 1, &[0, 1, b'x', 1, b'y']) })
        .await;
    // What asks for nothing, for its own sake: SETTINGS, PING, DATA without any, and what nobody knows.
    flood(address, |_| frame(4, 0, 0, &[]).repeat(100)).await;
    flood(address, |_| frame(6, 0, 0, &[0; 8]).repeat(100)).await;
    flood(address, |_| frame(200, 0, 0, &[]).repeat(100)).await;
    flood(address, |round| {
        if round == 0 { frame(1, 4, 1, &[0x83, 0x84, 0x86, 0x41, 1, b'a']) } else { frame(0, 0, 1, &[]).repeat(100) }
    })
    .await;
    world
        .told("nothing is left of them", |figures| figures.connections == 0 && figures.replicas["web-1"].in_flight == 0)
        .await;
    let mut sender = http2(TcpStream::connect(address).await.unwrap()).await;
    assert_eq!(ask(&mut sender, "http://a/", "").await.0.status(), 200);
    until("replicas got only what was wanted", || backend.count() > 0).await;
}
