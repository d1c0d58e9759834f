//! Editions, drains, the end of a gateway, and the death of its keeper.

use crate::{
    backend::Backend,
    client::{Client, Load, get},
    keeper::Keeper,
    world::{Start, World, endpoint, until},
};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use plimsoll_wire::channel::Channel;
use rustix::process::Signal;
use std::sync::Arc;
use tokio::sync::Semaphore;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_thousand_editions_under_load_fail_no_request_and_the_last_one_holds() {
    let all = [Backend::echo("a").await, Backend::echo("b").await, Backend::echo("c").await];
    let (world, address) = World::serving(&[&all[0]]).await;
    let load = Load::start(address, 8, GET);
    for n in 0..1000 {
        world.change_web(|web| {
            web.replicas.clear();
            for place in [n % 3, (n + 1) % 3] {
                let mut one = endpoint("web", 1 + place as u64, all[place].address);
                one.weight = if n % 5 == 0 { 100 } else { 1000 };
                web.replicas.push(one);
            }
        });
        if n % 20 == 0 {
            load.more(1).await;
        }
    }
    world.applied().await;
    load.more(100).await;
    let (_, failures) = load.stop().await;
    assert_eq!(failures, Vec::<String>::new());
    let figures = world.figures().unwrap();
    assert_eq!(figures.edition, 1001);
    let last: Vec<&str> = figures.replicas.keys().map(String::as_str).collect();
    assert!(last.contains(&"web-1") && last.contains(&"web-2"), "{last:?}");
}

#[tokio::test]
async fn a_lower_edition_is_not_taken() {
    let (one, two) = (Backend::echo("one").await, Backend::echo("two").await);
    let (world, address) = World::serving(&[&one]).await;
    let mut old = world.table.lock().unwrap().clone();
    old.edition = 0;
    old.services.get_mut("web").unwrap().replicas[0].address = two.address;
    world.keeper.publish(&old);
    world.change(|_| {});
    world.applied().await;
    assert_eq!(get(address, "/").await.json()["name"], "one");
}

#[tokio::test]
async fn a_replica_that_is_drained_finishes_and_gets_nothing_new() {
    let gate = Arc::new(Semaphore::new(0));
    let inner = Arc::clone(&gate);
    let leaving = Backend::http(move |_| {
        let gate = Arc::clone(&inner);
        async move {
            gate.acquire().await.unwrap().forget();
            Response::new(Full::new(Bytes::from_static(b"{\"name\":\"leaving\"}")))
        }
    })
    .await;
    let staying = Backend::echo("staying").await;
    let (world, address) = World::serving(&[&leaving]).await;
    let mut client = Client::connect(address).await;
    client.write(GET).await.unwrap();
    world.told("it is in flight", |figures| figures.replicas["web-1"].in_flight == 1).await;
    world.change_web(|web| {
        web.replicas[0].serving = false;
        web.replicas.push(endpoint("web", 2, staying.address));
    });
    world.applied().await;
    for _ in 0..20 {
        assert_eq!(get(address, "/").await.json()["name"], "staying");
    }
    assert_eq!(world.figures().unwrap().replicas["web-1"].in_flight, 1);
    // Even after it has left the table its figures stay until it is done.
    world.change_web(|web| drop(web.replicas.remove(0)));
    world.applied().await;
    assert_eq!(world.figures().unwrap().replicas["web-1"].in_flight, 1);
    gate.add_permits(1);
    assert_eq!(client.read().await.unwrap().json()["name"], "leaving");
    world.change(|_| {});
    world.change(|_| {});
    world.told("it is forgotten", |figures| !figures.replicas.contains_key("web-1")).await;
}

#[tokio::test]
async fn sigterm_lets_what_is_in_flight_finish() {
    let gate = Arc::new(Semaphore::new(0));
    let backend = Backend::gated(&gate).await;
    let (world, address) = World::serving(&[&backend]).await;
    let mut idle = Client::connect(address).await;
    let mut busy = Client::connect(address).await;
    busy.write(GET).await.unwrap();
    until("it is in flight", || backend.count() == 1).await;
    world.signal(Signal::TERM);
    // The one that waits for nothing is closed first.
    assert_eq!(idle.rest().await.unwrap(), b"");
    assert_eq!(world.ended(), None);
    gate.add_permits(1);
    let answer = busy.read().await.unwrap();
    assert_eq!((answer.status(), answer.body.as_slice()), (200, &b"ok"[..]));
    until("it has ended", || world.ended().is_some()).await;
    assert_eq!(world.ended(), Some(true));
    // The keeper's listener is open still: a connection waits there for the next gateway.
    let _queued = Client::connect(address).await;
}

#[tokio::test]
async fn a_gateway_serves_on_without_its_keeper_and_gives_the_next_one_everything_back() {
    let (one, two) = (Backend::echo("one").await, Backend::echo("two").await);
    let (world, address) = World::serving(&[&one]).await;
    let load = Load::start(address, 4, GET);
    load.more(50).await;
    world.keeper.die();
    load.more(50).await;
    let listener = Channel::listen(&world.place.keeper_socket()).unwrap();
    let next = Keeper::new();
    let accepted = tokio::task::spawn_blocking(move || Channel::accept(listener).unwrap());
    next.speak(accepted.await.unwrap());
    until("everything was given back", || next.was_given_back("ingress") && next.edition() == Some(1)).await;
    let mut table = world.table.lock().unwrap().clone();
    table.edition = 2;
    table.services.get_mut("web").unwrap().replicas[0].address = two.address;
    until("the new keeper is listened to", || {
        next.publish(&table);
        world.figures().is_some_and(|figures| figures.edition == 2)
    })
    .await;
    assert_eq!(get(address, "/").await.json()["name"], "two");
    load.more(50).await;
    let (_, failures) = load.stop().await;
    assert_eq!(failures, Vec::<String>::new());
}

#[tokio::test]
async fn a_listener_that_leaves_the_table_is_no_longer_served() {
    let backend = Backend::echo("web").await;
    let (world, address) = World::serving(&[&backend]).await;
    let mut client = Client::connect(address).await;
    assert_eq!(client.get("/").await.unwrap().status(), 200);
    world.change(|table| table.listeners.clear());
    world.applied().await;
    assert_eq!(client.rest().await.unwrap(), b"", "idle connections end");
}

#[tokio::test]
async fn connections_are_shared_among_workers() {
    let backend = Backend::echo("web").await;
    let (world, address) = World::serving(&[&backend]).await;
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut client = Client::connect(address).await;
        assert_eq!(client.get("/").await.unwrap().status(), 200);
        open.push(client);
    }
    let figures = world.figures().unwrap();
    assert_eq!(figures.connections, 64);
    assert_eq!(figures.routes["*/"].requests, 64);
    // Who has a sixteenth more than the other hands the next one over; both may do that at once.
    let workers = figures.connections_by_worker;
    assert!(workers.len() == 2 && workers.iter().all(|open| *open >= 24), "skewed: {workers:?}");
    assert_eq!(workers.iter().sum::<u64>(), 64);
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_and_counted() {
    let backend = Backend::echo("web").await;
    let rate = ("PLIMSOLL_ACCESS_LOG_RATE", "4".to_owned());
    let (world, address) =
        crate::world::serving_with(Start { environment: vec![rate], ..Start::default() }, &backend).await;
    let load = Load::start(address, 2, GET);
    until("lines are skipped, and that is told", || world.log().iter().any(|line| line["skipped"].as_u64() > Some(0)))
        .await;
    assert_eq!(load.stop().await.1, Vec::<String>::new());
}

#[tokio::test]
async fn a_reader_of_the_log_that_stalls_stops_nobody() {
    let backend = Backend::echo("web").await;
    let rate = ("PLIMSOLL_ACCESS_LOG_RATE", "1000000".to_owned());
    let start = Start { environment: vec![rate], log_stalls: true, ..Start::default() };
    let (_world, address) = crate::world::serving_with(start, &backend).await;
    let load = Load::start(address, 8, GET);
    // More lines than pipe and queue hold together.
    load.more(8000).await;
    assert_eq!(load.stop().await.1, Vec::<String>::new());
}
