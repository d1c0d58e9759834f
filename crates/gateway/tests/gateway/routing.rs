//! Requests go where the table says, and replicas see of them what they should.

use crate::{
    backend::Backend,
    client::{Client, get, send},
    world::{World, host, service},
};
use plimsoll_model::EdgeId;
use plimsoll_model::route::{Entry, Sticky};

#[tokio::test]
async fn requests_go_by_host_and_longest_path_and_by_edge() {
    let (web, api, any) = (Backend::echo("web").await, Backend::echo("api").await, Backend::echo("any").await);
    let world = World::start();
    let ingress = world.listen("ingress", Entry::Ingress { tls: None });
    let edge = world.listen("edge", Entry::Edge(EdgeId { from: "web".into(), to: "api".into() }));
    world.change(|table| {
        table.hosts.push(host("shop.localhost", &[("/", "web"), ("/api", "api"), ("/gone", "nowhere")]));
        table.hosts.push(host("*", &[("/any", "any")]));
        for (name, backend) in [("web", &web), ("api", &api), ("any", &any)] {
            table.services.insert(name.into(), service(name, &[backend]));
        }
    });
    world.applied().await;
    let ask =
        async |host: &str, path: &str| send(ingress, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    assert_eq!(ask("shop.localhost:8080", "/apis").await.json()["name"], "web");
    assert_eq!(ask("SHOP.localhost", "/api/x?y=1").await.json()["uri"], "/api/x?y=1");
    assert_eq!(ask("shop.localhost", "/api").await.json()["name"], "api");
    assert_eq!(ask("else", "/any").await.json()["name"], "any");
    assert_eq!(get(edge, "/x").await.json()["name"], "api");
    let missing = ask("else", "/").await;
    assert_eq!((missing.status(), missing.head.header("content-type")), (404, Some("application/problem+json")));
    assert_eq!(missing.json()["type"], "urn:plimsoll:problem:no-route");
    assert_eq!(ask("shop.localhost", "/gone").await.status(), 503);
    world
        .told("routes are counted", |figures| {
            let route = |name: &str| figures.routes.get(name).cloned().unwrap_or_default();
            route("shop.localhost/api").statuses.get("2xx") == Some(&2) && route("web->api").requests == 1
        })
        .await;
}

#[tokio::test]
async fn a_replica_sees_who_asks_and_nothing_that_a_client_made_up() {
    let backend = Backend::echo("web").await;
    let (_world, address) = World::serving(&[&backend]).await;
    let answer = send(
        address,
        "GET /x HTTP/1.1\r\nHost: shop.localhost:1\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n\
         Forwarded: for=9.9.9.9\r\nX-Real-IP: 9.9.9.9\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\
         TE: trailers, gzip\r\nProxy-Connection: x\r\nX-Kept: yes\r\n\r\n",
    )
    .await;
    assert_eq!(answer.echoed("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(answer.echoed("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(answer.echoed("x-forwarded-host").as_deref(), Some("shop.localhost:1"));
    assert_eq!(answer.echoed("host").as_deref(), Some("shop.localhost:1"));
    assert_eq!(answer.echoed("te").as_deref(), Some("trailers"));
    assert_eq!(answer.echoed("x-kept").as_deref(), Some("yes"));
    for gone in ["forwarded", "x-real-ip", "connection", "x-hop", "keep-alive", "proxy-connection"] {
        assert_eq!(answer.echoed(gone), None, "{gone}");
    }
    let trace = answer.echoed("traceparent").unwrap();
    assert_eq!((trace.len(), answer.echoed("x-request-id")), (55, Some(trace[3..35].to_owned())));
    assert_eq!(answer.head.header("x-request-id"), Some(&trace[3..35]));
}

#[tokio::test]
async fn bodies_pass_whole_in_both_directions() {
    let backend = Backend::echo("web").await;
    let (_world, address) = World::serving(&[&backend]).await;
    let mut client = Client::connect(address).await;
    let body = "x".repeat(300_000);
    for method in ["POST", "PUT"] {
        client
            .write(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
            .await
            .unwrap();
        let answer = client.read().await.unwrap();
        assert_eq!((answer.status(), answer.json()["length"].as_u64()), (200, Some(300_000)));
        client
            .write(format!(
                "{method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n3;x=y\r\nefg\r\n0\r\n\r\n"
            ))
            .await
            .unwrap();
        assert_eq!(client.read().await.unwrap().json()["body"], "abcdefg");
    }
    client.write("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await.unwrap();
    assert_eq!(client.read_bodiless().await.unwrap().status(), 100);
    client.write("abc").await.unwrap();
    assert_eq!(client.read().await.unwrap().json()["body"], "abc");
    client.write("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(client.read_bodiless().await.unwrap().status(), 200);
    assert_eq!(client.get("/after").await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_client_sticks_to_its_replica_by_cookie() {
    let (one, two) = (Backend::echo("one").await, Backend::echo("two").await);
    let (world, address) = World::serving(&[&one, &two]).await;
    world.change_web(|web| web.sticky = Some(Sticky { cookie: "own".into() }));
    world.applied().await;
    let first = get(address, "/").await;
    let name = first.json()["name"].clone();
    let cookie = first.head.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    for _ in 0..30 {
        let next = send(address, format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b; {cookie}\r\n\r\n")).await;
        assert_eq!((&next.json()["name"], next.head.header("set-cookie")), (&name, None));
    }
    if name == "one" {
        one.die()
    } else {
        two.die()
    }
    let moved = send(address, format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n")).await;
    assert_ne!(moved.json()["name"], name);
    assert!(moved.head.header("set-cookie").is_some());
}

#[tokio::test]
async fn every_request_is_logged_as_one_json_line() {
    let backend = Backend::echo("web").await;
    let (world, address) = World::serving(&[&backend]).await;
    for n in 0..5 {
        get(address, &format!("/{n}")).await;
    }
    crate::world::until("five lines", || world.log().len() >= 5).await;
    let log = world.log();
    let line = log.iter().find(|line| line["path"] == "/2").unwrap();
    assert_eq!((line["status"].as_u64(), line["replica"].as_str()), (Some(200), Some("web-1")));
    assert_eq!((line["route"].as_str(), line["client"].as_str()), (Some("*/"), Some("127.0.0.1")));
}
