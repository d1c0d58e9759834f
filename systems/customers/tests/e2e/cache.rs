//! The cache may be lost at any moment, and so may what it should have been told.

use crate::audit;
use crate::world::{Person, World, path};
use http::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[tokio::test]
async fn changes_survive_the_loss_of_the_cache_in_the_middle() {
    let mut world = World::start();
    let (_second, other) = world.replica(&[]);
    let admin = world.admin().await;
    let mut customers = Vec::new();
    for index in 0..6 {
        customers.push(admin.create("Emilia", &format!("emilia{index}@example.com")).await);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writing: Vec<_> = customers
        .iter()
        .enumerate()
        .map(|(index, customer)| {
            let person = if index % 2 == 0 { admin.clone() } else { admin.at(&other) };
            let reader = if index % 2 == 0 { admin.at(&other) } else { admin.clone() };
            tokio::spawn(write_and_read((person, reader), path(customer), Arc::clone(&stop)))
        })
        .collect();
    for round in 0..3 {
        world.redis.ask(world.redis.ports[0], &["flushall"]);
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.redis.kill();
        world.wait_until_degraded(true).await;
        world.redis.start_again();
        world.wait_until_degraded(false).await;
        assert!(!writing.iter().any(tokio::task::JoinHandle::is_finished), "a task failed in round {round}");
    }
    stop.store(true, Ordering::Release);
    for (task, customer) in writing.into_iter().zip(&customers) {
        let changes = task.await.unwrap();
        assert!(changes > 0);
        for person in [&admin, &admin.at(&other)] {
            settles(person, &path(customer), changes + 1).await;
        }
    }
    let (holds, said) = audit::follow(&world, &[]);
    assert!(holds, "{said}");
}

/// Changes a customer again and again, each time the version that the last answer told; another replica is read meanwhile.
/// Whatever becomes of the cache, nothing fails, and no version is lost. Answers how many changes were made.
async fn write_and_read((person, reader): (Person, Person), path: String, stop: Arc<AtomicBool>) -> i64 {
    let mut version = 1;
    while !stop.load(Ordering::Acquire) {
        let patch = json!({ "notes": format!("change {version}") });
        let tag = format!("\"{version}\"");
        let changed = person.send(Method::PATCH, &path, &patch, Some(&tag)).await.expect(200).json();
        version += 1;
        assert_eq!(changed["version"], version);
        let read = reader.get(&path).await.expect(200).json();
        // It may be older for a moment while the cache comes and goes, never newer than what was written.
        assert!(read["version"].as_i64().unwrap() <= version, "{read}");
    }
    version - 1
}

/// What is read is the last version, within seconds.
async fn settles(person: &Person, path: &str, version: i64) {
    let mut last = Value::Null;
    for _ in 0..600 {
        last = person.get(path).await.expect(200).json()["version"].clone();
        if last == version {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} stays at version {last} instead of {version}");
}

impl World {
    async fn wait_until_degraded(&self, degraded: bool) {
        for _ in 0..3000 {
            let ready = self.client.get("/ready").await.expect(200).json();
            if (ready["degraded"][0]["store"] == "cache") == degraded {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("degraded never became {degraded}");
    }
}

#[tokio::test]
async fn a_lost_invalidation_comes_late_instead_of_never() {
    let world = World::start();
    let admin = world.admin().await;
    let customer = admin.create("Emilia", "emilia@example.com").await;
    let (key, port) = (format!("customer:{}", customer["id"].as_str().unwrap()), world.redis.ports[0]);
    admin.get(&path(&customer)).await.expect(200);
    let body = world.redis.ask(port, &["hget", &key, "b"]);
    assert!(body.contains("emilia@example.com"), "{body}");
    admin.send(Method::PATCH, &path(&customer), &json!({ "phone": "1" }), Some("\"1\"")).await.expect(200);
    // As if the change had not been told, and an old reader had put back what it read before.
    let pool = world.pool().await;
    let note = "INSERT INTO cache_changes VALUES ($1, 2, now() + interval '1 hour') \
                ON CONFLICT (key) DO UPDATE SET changed_at = excluded.changed_at";
    sqlx::query(note).bind(&key).execute(&pool).await.unwrap();
    world.redis.ask(port, &["hset", &key, "v", "1", "b", body.trim()]);
    assert_eq!(admin.get(&path(&customer)).await.expect(200).json()["version"], 1, "the cache is used");
    sqlx::query("UPDATE cache_changes SET changed_at = now() - interval '1 minute'").execute(&pool).await.unwrap();
    settles(&admin, &path(&customer), 2).await;
    let more = plimsoll_kit::testing::client::More::default();
    let more = more.with("authorization", &admin.bearer).with("cache-control", "no-cache");
    let asked_anew = world.client.send(Method::GET, &path(&customer), more).await.expect(200).json();
    assert_eq!(asked_anew["version"], 2);
    admin.send(Method::DELETE, &path(&customer), &json!(null), Some("\"2\"")).await.expect(204);
    admin.get(&path(&customer)).await.expect(404);
}

#[tokio::test]
async fn without_redis_everything_goes_on() {
    let mut world = World::start();
    world.redis.kill();
    world.wait_until_degraded(true).await;
    let admin = world.admin().await;
    let customer = admin.create("Emilia", "emilia@example.com").await;
    admin.send(Method::PATCH, &path(&customer), &json!({ "phone": "1" }), Some("\"1\"")).await.expect(200);
    assert_eq!(admin.get(&path(&customer)).await.expect(200).json()["version"], 2);
    admin.send(Method::DELETE, "/api/sessions/current", &json!(null), None).await.expect(204);
    admin.get(&path(&customer)).await.expect(401);
    let metrics = world.client.get("/metrics").await.expect(200).text;
    for line in [
        "tokens_issued_total{by=\"sign-in\"} 1",
        "database_connections{store=\"customers\"}",
        "cache_lookups_total{of=\"session\",outcome=\"away\"}",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    let described = world.client.get("/openapi.json").await.expect(200).json();
    assert!(described["paths"]["/api/customers/{id}"]["patch"].is_object());
    world.api.terminate();
    assert_eq!(world.api.wait().code(), Some(0), "{}", world.api.printed());
}
