//! Loss of Redis, return of Redis, graceful stop.

use crate::world::World;
use plimsoll_kit::testing::stores::Redis;
use serde_json::json;
use std::time::Duration;

const PASSWORD: &str = "correct horse";

#[tokio::test]
async fn validation_stays_right_without_redis_and_recovers() {
    let mut world = World::start(Redis::single());
    world.wait_for_filter().await;
    world.register("anna", PASSWORD).await.expect(201);
    world.redis.kill();
    for index in 0..20 {
        let free = world.check(&format!("free-without-redis-{index}")).await;
        assert_eq!((&free["status"], &free["by"]), (&json!("available"), &json!("database")));
    }
    // Registered before and after the loss: known all the same.
    world.register("berta", PASSWORD).await.expect(201);
    for name in ["anna", "berta", "b3rta"] {
        let status = if name == "b3rta" { "available" } else { "taken" };
        assert_eq!(world.check(name).await["status"], status, "{name}");
    }
    world.wait_until_ready(|ready| ready["degraded"][0]["store"] == "names").await;
    world.sign_in("anna", PASSWORD).await.expect(503);

    // It comes back empty: the API notices that the filter is gone and rebuilds it.
    world.redis.start_again();
    world.wait_for_filter().await;
    let filter = world.client.get("/api/filter?probes=1000").await.expect(200).json();
    assert_eq!(filter["cut_off"], false);
    for name in ["anna", "berta"] {
        assert_eq!(world.check(name).await["status"], "taken", "{name}");
    }
    world.sign_in("anna", PASSWORD).await.expect(201);
}

#[tokio::test]
async fn a_lost_bitmap_is_noticed_and_made_anew() {
    let world = World::start(Redis::single());
    world.wait_for_filter().await;
    world.register("anna", PASSWORD).await.expect(201);
    let generation = |filter: serde_json::Value| filter["generation"].as_u64().unwrap();
    let before = generation(world.client.get("/api/filter?probes=0").await.expect(200).json());
    for shard in 0..16 {
        world.redis.ask(world.redis.ports[0], &["del", &format!("{{names:{shard}}}:{before}")]);
    }
    let free = world.check("free-name").await;
    assert_eq!((&free["status"], &free["by"]), (&json!("available"), &json!("database")));
    for attempt in 0.. {
        let filter = world.client.get("/api/filter?probes=0").await;
        if filter.status == 200 && generation(filter.json()) > before {
            break;
        }
        assert!(attempt < 3000, "never rebuilt");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.wait_for_filter().await;
    assert_eq!(world.check("anna").await["status"], "taken");
}

#[tokio::test]
async fn a_bitmap_that_moves_to_another_node_is_found_there() {
    let world = World::start(Redis::cluster());
    world.wait_for_filter().await;
    world.register("anna", PASSWORD).await.expect(201);
    let filter = world.client.get("/api/filter?probes=0").await.expect(200).json();
    let generation = filter["generation"].as_u64().unwrap();
    // Every bitmap goes to the next node, so that whatever was known of them is wrong.
    for shard in 0..16 {
        world.redis.move_key(&format!("{{names:{shard}}}:{generation}"));
    }
    for index in 0..200 {
        assert_eq!(world.check(&format!("free-while-moving-{index}")).await["status"], "available");
    }
    assert_eq!(world.check("anna").await["status"], "taken");
    world.wait_for_filter().await;
    let after = world.client.get("/api/filter?probes=0").await.expect(200).json();
    assert_eq!(
        (&after["generation"], &after["cut_off"]),
        (&filter["generation"], &json!(false)),
        "nothing was made anew"
    );
}

#[tokio::test]
async fn answers_what_it_began_and_then_ends() {
    let mut world = World::start(Redis::single());
    // More hashes than threads, so that some are surely waiting when the stop comes.
    let client = world.client.clone();
    let registering: Vec<_> = (0..12)
        .map(|index| {
            let client = client.clone();
            let body = json!({ "username": format!("late-{}", index * 7), "password": PASSWORD });
            tokio::spawn(async move { client.post("/api/registrations", &body).await.status.as_u16() })
        })
        .collect();
    let in_flight = async || {
        let text = client.get("/metrics").await.text;
        let line = text.lines().find(|line| line.starts_with("http_requests_in_flight "));
        line.and_then(|line| line.split(' ').nth(1)?.parse::<u32>().ok()).unwrap_or(0)
    };
    // 12 requests and the scrape itself; or all are done already, which is fine too.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while in_flight().await < 13 && !registering.iter().any(tokio::task::JoinHandle::is_finished) {
        assert!(tokio::time::Instant::now() < deadline);
    }
    world.api.terminate();
    for task in registering {
        assert_eq!(task.await.unwrap(), 201);
    }
    let status = world.api.wait();
    assert_eq!(status.code(), Some(0), "{}", world.api.printed());
    assert!(
        world
            .client
            .try_send(http::Method::GET, "/health", plimsoll_kit::testing::client::More::default())
            .await
            .is_err()
    );
}
