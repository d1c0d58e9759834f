//! How often a client may come, and what it is told.

use crate::world::{World, email};
use futures_util::future::join_all;
use http::Method;
use plimsoll_kit::testing::client::{More, Reply};
use serde_json::json;

async fn refresh_from(world: &World, client: &str) -> Reply {
    let body = json!({ "refresh_token": "nonsense" });
    world.client.send(Method::POST, "/api/v1/auth/refresh", More::json(&body).with("x-forwarded-for", client)).await
}

#[tokio::test]
async fn auth_takes_a_hundred_requests_in_fifteen_minutes_of_each_client() {
    // All hundred may come within a second, which is not what this is about.
    let world = World::with(&[("CLIENT_REQUESTS_PER_S", "5000")]);
    let first = refresh_from(&world, "10.0.0.1").await.expect(401);
    let policies = first.headers.get_all("ratelimit-policy").iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
    assert!(policies.contains(&"\"auth\";q=100;w=900") && policies.contains(&"\"client\";q=5000;w=1"), "{policies:?}");
    let told = |reply: &Reply| {
        let all = reply.headers.get_all("ratelimit").iter().map(|v| v.to_str().unwrap());
        all.filter(|text| text.starts_with("\"auth\"")).map(str::to_owned).collect::<String>()
    };
    assert!(told(&first).starts_with("\"auth\";r=99;t="), "{}", told(&first));
    for _ in 0..9 {
        for reply in join_all((0..10).map(|_| refresh_from(&world, "10.0.0.1"))).await {
            reply.expect(401);
        }
    }
    for _ in 0..9 {
        refresh_from(&world, "10.0.0.1").await.expect(401);
    }
    let refused = refresh_from(&world, "10.0.0.1").await.expect(429);
    assert_eq!(refused.json()["type"], "urn:problem:too-many-requests");
    let wait_s: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=900).contains(&wait_s), "{wait_s}");
    assert_eq!(told(&refused), format!("\"auth\";r=0;t={wait_s}"));
    // Another client is not held up, nor is this one anywhere else; and nobody can give another's address for its own.
    refresh_from(&world, "10.0.0.2").await.expect(401);
    let more = More::default().with("x-forwarded-for", "10.0.0.1");
    world.client.send(Method::GET, "/.well-known/jwks.json", more).await.expect(200);
    let body = json!({ "refresh_token": "nonsense" });
    let disguised = More::json(&body).with("x-forwarded-for", "10.0.0.1").with("x-client-address", "10.9.9.9");
    world.client.send(Method::POST, "/api/v1/auth/refresh", disguised).await.expect(429);
    let forwarded = "10.9.9.9, 10.0.0.1";
    refresh_from(&world, forwarded).await.expect(429);
    world.stop();
}

#[tokio::test]
async fn the_gateway_takes_so_many_requests_a_second_of_each_client() {
    // Three instead of a hundred: a slow machine may not be able to send more than a hundred in a second.
    let world = World::with(&[("CLIENT_REQUESTS_PER_S", "3")]);
    let ask = async |client: &str| {
        let more = More::default().with("x-forwarded-for", client);
        world.client.send(Method::GET, "/.well-known/jwks.json", more).await
    };
    let mut refused = None;
    for _ in 0..200 {
        let replies = join_all((0..20).map(|_| ask("10.0.0.1"))).await;
        refused = replies.into_iter().find(|reply| reply.status == 429);
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("somebody who comes too often");
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), ("1", "\"client\";r=0;t=1"));
    assert_eq!(refused.header("ratelimit-policy"), "\"client\";q=3;w=1");
    // A second later it may come again.
    for attempt in 0.. {
        if ask("10.0.0.1").await.status == 200 {
            break;
        }
        assert!(attempt < 600, "it may never come again");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn without_redis_nobody_is_refused_but_guessing_still_locks_out() {
    let mut world = World::with(&[("AUTH_REQUESTS_MAX", "3")]);
    world.redis.kill();
    let anna = world.sign_up("Anna").await;
    for _ in 0..5 {
        world.try_sign_in("Anna", "wrong horse").await.expect(401);
    }
    let locked = world.try_sign_in("Anna", "wrong horse").await.expect(429);
    assert_eq!(locked.json()["type"], "urn:problem:locked-out");
    assert!(locked.headers.get("ratelimit").is_none());
    anna.get("/api/v1/users/me").await.expect(200);
    let ready = world.auth.get("/ready").await.expect(200).json();
    assert_eq!(ready["degraded"][0]["store"], "limits");
    for _ in 0..5 {
        let unknown = json!({ "email": email("nobody"), "password": "wrong horse" });
        world.client.post("/api/v1/auth/sign-in", &unknown).await.expect(401);
    }
    world.try_sign_in("nobody", "wrong horse").await.expect(429);
}
