//! Who sees a canary: by a cookie, by a header, by what requests have, and by copies that nobody sees.

use crate::{
    backend::Backend,
    client::{Answer, Client, get, send},
    edges::http2,
    world::{World, until},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use plimsoll_model::{
    Ratio, RevisionId,
    audience::{Audience, Canary, Match, Stickiness},
    route,
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::SeqCst},
};
use tokio::{net::TcpStream, sync::Semaphore};

/// Two of the old version and one canary, with this share and audience.
async fn released(
    old: [&Backend; 2],
    new: &Backend,
    (share, audience): (Ratio, Audience),
) -> (World, std::net::SocketAddr) {
    let (world, address) = World::serving(&[old[0], old[1], new]).await;
    world.change_web(|web| {
        web.replicas[2].revision = RevisionId("new".into());
        step(web, share, audience);
    });
    world.applied().await;
    (world, address)
}

/// Gives the canary its share, as the engine does.
fn step(web: &mut route::Backend, share: Ratio, audience: Audience) {
    // Of the two old ones' thousands each.
    web.replicas[2].weight = u16::try_from(2000 * share.0 / (1_000_000 - share.0)).unwrap();
    web.canary = Some(Canary { revision: RevisionId("new".into()), share, audience });
}

fn name_of(answer: &Answer) -> String {
    answer.json()["name"].as_str().unwrap().to_owned()
}

fn beta() -> Audience {
    let header = [("x-beta".to_owned(), "true".to_owned())].into();
    Audience { matches: Some(Match { header }), ..Audience::default() }
}

fn by_cookie() -> Audience {
    let stickiness = Some(Stickiness::Cookie { name: "trial".into(), max_age: plimsoll_model::Millis::from_secs(60) });
    Audience { stickiness, ..Audience::default() }
}

fn mirrored(mirror: Ratio) -> Audience {
    Audience { mirror, ..Audience::default() }
}

async fn three() -> (Backend, Backend, Backend) {
    (Backend::echo("old").await, Backend::echo("old").await, Backend::echo("new").await)
}

#[tokio::test]
async fn requests_that_match_and_no_others_see_the_canary() {
    let (one, other, new) = three().await;
    let (world, address) = released([&one, &other], &new, (Ratio(0), beta())).await;
    let mut client = Client::connect(address).await;
    let mut ask = async |more: &str| {
        client.write(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")).await.unwrap();
        name_of(&client.read().await.unwrap())
    };
    for _ in 0..30 {
        assert_eq!(ask("X-Beta: true\r\n").await, "new");
        assert_eq!(ask("x-beta: false\r\n").await, "old");
        assert_eq!(ask("").await, "old");
    }
    // The canary is gone: who wants it gets the other version.
    world.change_web(|web| web.replicas[2].serving = false);
    world.applied().await;
    assert_eq!(ask("X-Beta: true\r\n").await, "old");
    // The others are gone: somebody answers.
    world.change_web(|web| {
        web.replicas[2].serving = true;
        web.replicas[..2].iter_mut().for_each(|old| old.serving = false);
    });
    world.applied().await;
    assert_eq!(ask("").await, "new");
}

#[tokio::test]
async fn requests_of_http2_that_match_see_the_canary() {
    let (one, other, new) = three().await;
    let (_world, address) = released([&one, &other], &new, (Ratio(0), beta())).await;
    let mut sender = http2(TcpStream::connect(address).await.unwrap()).await;
    for (beta, want) in [("true", "new"), ("false", "old"), ("true", "new")] {
        let request = Request::get("http://localhost/").header("x-beta", beta).body(Full::<Bytes>::default()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(said["name"], want);
    }
}

/// A client with a cookie of its own; the version that it has.
async fn known(address: std::net::SocketAddr, cookie: &str) -> String {
    let answer =
        send(address, format!("GET / HTTP/1.1\r\nHost: localhost\r\nCookie: a=b; trial={cookie}\r\n\r\n")).await;
    assert_eq!(answer.head.header("set-cookie"), None, "it has one");
    name_of(&answer)
}

#[tokio::test]
async fn a_cookie_keeps_a_client_on_its_version_while_the_share_grows() {
    let (one, other, new) = three().await;
    let (world, address) = released([&one, &other], &new, (Ratio::percent(10), by_cookie())).await;
    let mut clients = Vec::new();
    for _ in 0..60 {
        let answer = get(address, "/").await;
        let told = answer.head.header("set-cookie").unwrap().to_owned();
        assert!(told.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=60"), "{told}");
        let cookie = told.strip_prefix("trial=").and_then(|rest| rest.split(';').next()).unwrap().to_owned();
        clients.push((cookie, name_of(&answer)));
    }
    for percent in [10, 40, 80] {
        world.change_web(|web| step(web, Ratio::percent(percent), by_cookie()));
        world.applied().await;
        for (cookie, version) in &mut clients {
            let now = known(address, cookie).await;
            assert!(now == *version || *version == "old" && percent > 10, "{version} → {now} at {percent} %");
            assert_eq!(now, known(address, cookie).await);
            *version = now;
        }
    }
    // So many by chance: 80 of 100 on average, and one in a billion times less than 25 of 60.
    let on_canary = clients.iter().filter(|(_, version)| version == "new").count();
    assert!(on_canary >= 25, "{on_canary} of 60");
    // Gone back, all are on the old version.
    world.change_web(|web| {
        web.replicas[2].weight = 0;
        web.canary = None;
    });
    world.applied().await;
    for (cookie, _) in &clients {
        assert_eq!(known(address, cookie).await, "old");
    }
}

#[tokio::test]
async fn a_header_keeps_a_client_on_its_version() {
    let (one, other, new) = three().await;
    let audience = Audience { stickiness: Some(Stickiness::Header("x-user".into())), ..Audience::default() };
    let (_world, address) = released([&one, &other], &new, (Ratio::percent(50), audience)).await;
    let mut versions = std::collections::BTreeSet::new();
    for user in 0..40 {
        let mut client = Client::connect(address).await;
        let mut first = None;
        for _ in 0..4 {
            client.write(format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-User: {user}\r\n\r\n")).await.unwrap();
            let answer = client.read().await.unwrap();
            assert_eq!(answer.head.header("set-cookie"), None);
            let name = name_of(&answer);
            assert_eq!(*first.get_or_insert(name.clone()), name, "user {user}");
            versions.insert(name);
        }
    }
    assert_eq!(versions.len(), 2, "both versions are seen");
}

/// A canary that fails, and keeps the heads of the copies that it got.
async fn failing() -> (Backend, Arc<Mutex<Vec<http::request::Parts>>>) {
    let heads: Arc<Mutex<Vec<http::request::Parts>>> = Arc::default();
    let kept = Arc::clone(&heads);
    let backend = Backend::http(move |request| {
        kept.lock().unwrap().push(request.into_parts().0);
        async {
            let mut response = Response::new(Full::new(Bytes::from_static(b"no")));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    })
    .await;
    (backend, heads)
}

#[tokio::test]
async fn copies_reach_the_canary_and_no_client_sees_its_answers() {
    let (one, other) = (Backend::echo("old").await, Backend::echo("old").await);
    let (new, heads) = failing().await;
    let (world, address) = released([&one, &other], &new, (Ratio(0), mirrored(Ratio::ONE))).await;
    let mut client = Client::connect(address).await;
    for number in 0..20 {
        // A client can't make its request look like a copy.
        let head = format!(
            "GET /{number}?a=b HTTP/1.1\r\nHost: shop.localhost\r\nX-Plimsoll-Mirror: 1\r\nCookie: c=d\r\n\r\n"
        );
        client.write(head).await.unwrap();
        let answer = client.read().await.unwrap();
        assert_eq!((answer.status(), name_of(&answer).as_str()), (200, "old"));
        assert_eq!(answer.echoed("x-plimsoll-mirror"), None);
        // One after the other, so that none is one too many.
        world
            .told("the copy has ended", |told| told.replicas.get("web-3").is_some_and(|one| one.copies > number))
            .await;
    }
    // What changes something, and what has a body, is not copied.
    for request in [
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab",
    ] {
        assert_eq!(send(address, request).await.status(), 200);
    }
    client.write("HEAD /last HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(client.read_bodiless().await.unwrap().status(), 200);
    world.told("the last copy has ended", |told| told.replicas["web-3"].copies == 21).await;
    let figures = world.figures().unwrap();
    let canary = &figures.replicas["web-3"];
    assert_eq!((canary.requests, canary.errors, canary.asked()), (21, 21, 0));
    assert!(!canary.ejected && canary.in_flight == 0, "{canary:?}");
    assert_eq!(canary.latency.iter().sum::<u64>(), 21);
    let route = &figures.routes["*/"];
    assert_eq!((route.requests, route.statuses.get("5xx")), (23, None));
    let heads = heads.lock().unwrap();
    let paths: Vec<String> = heads.iter().map(|head| head.uri.to_string()).collect();
    assert!(paths.contains(&"/0?a=b".to_owned()) && paths.contains(&"/last".to_owned()), "{paths:?}");
    let head = &heads[0];
    let field = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(
        (field("x-plimsoll-mirror"), field("host"), field("cookie")),
        (Some("1"), Some("shop.localhost"), Some("c=d"))
    );
    assert!(field("x-request-id").is_some() && field("x-forwarded-for").is_some());
}

#[tokio::test]
async fn requests_of_http2_are_copied_too() {
    let (one, other) = (Backend::echo("old").await, Backend::echo("old").await);
    let (new, heads) = failing().await;
    let (world, address) = released([&one, &other], &new, (Ratio(0), mirrored(Ratio::ONE))).await;
    let mut sender = http2(TcpStream::connect(address).await.unwrap()).await;
    let request = Request::get("http://localhost/two").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    world.told("the copy has ended", |told| told.replicas.get("web-3").is_some_and(|one| one.copies == 1)).await;
    let heads = heads.lock().unwrap();
    assert_eq!((heads[0].uri.path(), heads[0].headers.get("x-plimsoll-mirror").is_some()), ("/two", true));
}

#[tokio::test]
async fn a_canary_that_is_slow_gets_fewer_copies_and_nobody_waits() {
    let (one, other) = (Backend::echo("old").await, Backend::echo("old").await);
    let gate = Arc::new(Semaphore::new(0));
    let new = Backend::gated(&gate).await;
    let (world, address) = released([&one, &other], &new, (Ratio(0), mirrored(Ratio::ONE))).await;
    let answered = AtomicU64::new(0);
    let mut client = Client::connect(address).await;
    while answered.load(SeqCst) < 100 {
        assert_eq!(client.get("/").await.unwrap().status(), 200);
        answered.fetch_add(1, SeqCst);
    }
    let most = u64::from(plimsoll_control::route::version::COPIES_MAX);
    assert_eq!(world.figures().unwrap().copies_dropped.get("web"), Some(&(100 - most)));
    until("the canary has what it may have", || new.count() == most).await;
    gate.add_permits(1000);
    world.told("they have ended", |told| told.replicas["web-3"].copies == most).await;
    assert_eq!(client.get("/").await.unwrap().status(), 200);
    world.told("copies go on", |told| told.replicas["web-3"].copies > most).await;
}
