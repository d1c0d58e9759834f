//! A gateway whose place another one has taken: everything that is open is served to its end, and nobody is cut off.

use crate::{
    backend::Backend,
    client::{Answer, Client},
    edges::{ask, http2, switching},
    world::{World, endpoint, until},
};
use plimsoll_wire::gateway::Ask;
use rustix::process::Signal;
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};

/// Nothing in these tests takes so long.
const LONGEST: Ask = Ask::Retire { grace_ms: 600_000 };

async fn websocket(address: SocketAddr) -> Client {
    let mut client = Client::connect(address).await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await.unwrap();
    assert_eq!(client.read().await.unwrap().status(), 101);
    client
}

async fn echo(client: &mut Client) {
    client.stream.write_all(b"frame").await.unwrap();
    let mut back = [0; 5];
    client.stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"frame");
}

#[track_caller]
fn assert_last(answer: &Answer) {
    assert_eq!((answer.status(), answer.head.header("connection")), (200, Some("close")), "{answer:?}");
}

#[tokio::test]
async fn kept_connections_end_with_an_answer_that_says_so() {
    let (one, two) = (Backend::echo("one").await, Backend::echo("two").await);
    let (world, address) = World::serving(&[&one]).await;
    let mut used = Client::connect(address).await;
    let first = used.get("/").await.unwrap();
    assert_eq!((first.status(), first.head.header("connection")), (200, None));
    let mut fresh = Client::connect(address).await;
    world.told("both are served by it", |figures| figures.connections == 2 && !figures.draining).await;
    assert!(world.ask(&LONGEST).is_some());
    world.told("it drains", |figures| figures.draining && figures.listening == Some(false)).await;
    // Routes are followed as before.
    world.change_web(|web| web.replicas = vec![endpoint("web", 2, two.address)]);
    world.applied().await;
    for client in [&mut used, &mut fresh] {
        let answer = client.get("/").await.unwrap();
        assert_last(&answer);
        assert_eq!(answer.json()["name"], "two");
        assert_eq!(client.rest().await.unwrap(), b"");
    }
    until("it has ended", || world.ended().is_some()).await;
    assert_eq!(world.ended(), Some(true));
    assert!(!world.place.gateway_socket("gateway").exists());
    // The keeper's listener is open still: a connection waits there for the other gateway.
    let _queued = Client::connect(address).await;
}

#[tokio::test]
async fn long_requests_and_websockets_go_on_until_they_end() {
    let gate = Arc::new(Semaphore::new(0));
    let (backend, switching) = (Backend::gated(&gate).await, switching().await);
    let (world, address) = World::serving(&[&backend]).await;
    let mut busy = Client::connect(address).await;
    busy.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until("it is in flight", || backend.count() == 1).await;
    world.change_web(|web| web.replicas = vec![endpoint("web", 2, switching.address)]);
    world.applied().await;
    let mut socket = websocket(address).await;
    assert!(world.ask(&LONGEST).is_some());
    world.told("it drains", |figures| figures.draining).await;
    echo(&mut socket).await;
    gate.add_permits(1);
    assert_last(&busy.read().await.unwrap());
    assert_eq!(busy.rest().await.unwrap(), b"");
    world.told("one is left", |figures| figures.connections == 1).await;
    echo(&mut socket).await;
    assert_eq!(world.ended(), None);
    drop(socket);
    until("it has ended", || world.ended().is_some()).await;
    assert_eq!(world.ended(), Some(true));
}

#[tokio::test]
async fn http2_is_told_to_go_away() {
    let backend = Backend::echo("web").await;
    let (world, address) = World::serving(&[&backend]).await;
    let mut sender = http2(TcpStream::connect(address).await.unwrap()).await;
    assert_eq!(ask(&mut sender, "http://a/", "").await.0.status(), 200);
    assert!(world.ask(&LONGEST).is_some());
    until("the client was told", || sender.is_closed()).await;
    until("it has ended", || world.ended().is_some()).await;
    assert_eq!(world.ended(), Some(true));
}

#[tokio::test]
async fn what_is_open_for_too_long_is_closed_and_sigterm_ends_a_drain() {
    for by_signal in [false, true] {
        let backend = switching().await;
        let (world, address) = World::serving(&[&backend]).await;
        let mut socket = websocket(address).await;
        let grace_ms = if by_signal { 600_000 } else { 1 };
        assert!(world.ask(&Ask::Retire { grace_ms }).is_some());
        if by_signal {
            world.told("it drains", |figures| figures.draining).await;
            world.signal(Signal::TERM);
        }
        until("it has ended", || world.ended().is_some()).await;
        assert_eq!(world.ended(), Some(true));
        // A socket that is cut off may be told so by a reset.
        assert_eq!(socket.rest().await.unwrap_or_default(), b"");
    }
}
