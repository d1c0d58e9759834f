//! What a gateway can't serve it refuses soon and says when to come again; what may come soon it waits for.

use crate::{
    backend::Backend,
    client::{Client, get, send},
    world::{Start, World, endpoint, host, service, until},
};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use plimsoll_model::{
    Millis,
    route::{Entry, LimitBy, RateLimit},
};
use std::sync::Arc;
use tokio::{sync::Semaphore, task::JoinSet};

/// A replica whose answers wait for a permit each.
async fn gated() -> (Backend, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let inner = Arc::clone(&gate);
    let backend = Backend::http(move |_| {
        let gate = Arc::clone(&inner);
        async move {
            gate.acquire().await.unwrap().forget();
            Response::new(Full::new(Bytes::from_static(b"ok")))
        }
    })
    .await;
    (backend, gate)
}

#[tokio::test]
async fn more_than_replicas_may_have_is_shed() {
    let (backend, gate) = gated().await;
    let (world, address) = World::serving(&[&backend]).await;
    world.change_web(|web| web.limits.in_flight_max = 5);
    world.applied().await;
    let mut asked = JoinSet::new();
    for _ in 0..5 {
        asked.spawn(async move { get(address, "/").await.status() });
    }
    until("five are in flight", || backend.count() == 5).await;
    let shed = get(address, "/").await;
    assert_eq!((shed.status(), shed.head.header("retry-after")), (503, Some("1")));
    assert_eq!(shed.json()["type"], "urn:plimsoll:problem:overload");
    gate.add_permits(100);
    while let Some(status) = asked.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(get(address, "/").await.status(), 200);
    world.told("one was shed", |figures| figures.routes["*/"].shed == 1).await;
}

#[tokio::test]
async fn requests_wait_for_a_replica_bounded_in_number_and_are_woken_when_it_is_ready() {
    let world = World::start();
    let address = world.listen("ingress", Entry::Ingress { tls: None });
    let mut web = service("web", &[]);
    web.limits.held_max = 3;
    web.limits.hold = Millis::from_secs(600);
    world.change(|table| {
        table.hosts.push(host("*", &[("/", "web")]));
        table.services.insert("web".into(), web);
    });
    world.applied().await;
    let mut asked = JoinSet::new();
    for _ in 0..3 {
        asked.spawn(async move { get(address, "/").await.status() });
    }
    world.told("three wait", |figures| figures.held["web"] == 3).await;
    let refused = get(address, "/").await;
    assert_eq!((refused.status(), refused.head.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.json()["type"], "urn:plimsoll:problem:hold-full");
    let backend = Backend::echo("web").await;
    world.change_web(|web| web.replicas.push(endpoint("web", 1, backend.address)));
    while let Some(status) = asked.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    world.told("none waits", |figures| figures.held["web"] == 0).await;
}

#[tokio::test]
async fn nobody_waits_longer_than_the_hold() {
    let (world, address) = World::serving(&[]).await;
    world.change_web(|web| web.limits.hold = Millis(50));
    world.applied().await;
    let refused = get(address, "/").await;
    assert_eq!((refused.status(), refused.json()["type"].as_str()), (503, Some("urn:plimsoll:problem:no-replica")));
}

#[tokio::test]
async fn a_client_that_goes_away_gives_its_place_in_the_queue_up() {
    let (world, address) = World::serving(&[]).await;
    let mut client = Client::connect(address).await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    world.told("it waits", |figures| figures.held["web"] == 1).await;
    drop(client);
    world.told("it does not wait", |figures| figures.held["web"] == 0 && figures.connections == 0).await;
}

#[tokio::test]
async fn a_client_over_its_limit_is_told_when_to_come_again() {
    let backend = Backend::echo("web").await;
    let (world, address) = World::serving(&[&backend]).await;
    let limit = RateLimit { requests: 5, per: Millis::from_secs(100_000), by: LimitBy::Header("x-key".into()) };
    world.change(|table| table.hosts[0].rate_limit = Some(limit));
    world.applied().await;
    let ask = async |key: &str| send(address, format!("GET / HTTP/1.1\r\nHost: a\r\nX-Key: {key}\r\n\r\n")).await;
    for left in (0..5).rev() {
        let answer = ask("one").await;
        assert_eq!((answer.status(), answer.head.header("ratelimit-remaining")), (200, Some(&*left.to_string())));
    }
    let refused = ask("one").await;
    assert_eq!((refused.status(), refused.head.header("ratelimit-limit")), (429, Some("5")));
    assert!(refused.head.header("retry-after").unwrap().parse::<u64>().unwrap() > 1000);
    assert_eq!(ask("two").await.status(), 200, "others are not concerned");
    // An edition that does not change the limit forgets nothing.
    world.change(|_| {});
    world.applied().await;
    assert_eq!(ask("one").await.status(), 429);
}

#[tokio::test]
async fn bodies_longer_than_allowed_are_refused() {
    let backend = Backend::echo("web").await;
    let (world, address) = World::serving(&[&backend]).await;
    world.change_web(|web| web.limits.body_bytes_max = 1000);
    world.applied().await;
    let told = send(address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n").await;
    assert_eq!(told.status(), 413);
    let chunk = "x".repeat(600);
    let long = format!("258\r\n{chunk}\r\n258\r\n{chunk}\r\n0\r\n\r\n");
    let told = send(address, format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{long}")).await;
    assert_eq!(told.status(), 413);
    world.told("no replica is blamed", |figures| !figures.replicas["web-1"].ejected).await;
}

#[tokio::test]
async fn without_descriptors_clients_are_told_and_served_again_later() {
    let backend = Backend::echo("web").await;
    let world = World::start_with(Start { files: Some(96), ..Start::default() });
    let address = world.listen("ingress", Entry::Ingress { tls: None });
    world.change(|table| {
        table.hosts.push(host("*", &[("/", "web")]));
        table.services.insert("web".into(), service("web", &[&backend]));
    });
    world.applied().await;
    let mut open = Vec::new();
    let refused = loop {
        assert!(open.len() < 96, "nobody is refused");
        let mut client = Client::connect(address).await;
        match client.get("/").await {
            Ok(answer) if answer.status() == 200 => open.push(client),
            other => break other,
        }
    };
    assert_eq!(refused.unwrap().status(), 503);
    assert!(world.figures().is_some(), "figures are told all the same");
    drop(open);
    world.told("all are gone", |figures| figures.connections == 0).await;
    assert_eq!(get(address, "/").await.status(), 200);
}
