//! Registration, sessions, lock-out, administration, audit.

use crate::world::{ADMIN, ADMIN_PASSWORD, World};
use futures_util::future::join_all;
use http::Method;
use plimsoll_kit::testing::client::More;
use plimsoll_kit::testing::stores::Redis;
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse";

#[tokio::test]
async fn registers_a_name_once() {
    let world = World::start(Redis::single());
    let replies = join_all((0..50).map(|_| world.register("anna", PASSWORD))).await;
    let mut statuses: Vec<_> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1], statuses[49]), (201, 409, 409), "{statuses:?}");
    assert_eq!(world.check("anna").await["reasons"], json!(["taken"]));
    assert_eq!(world.check("Ann-A").await["status"], "available");
    world.register("Modern.Man", PASSWORD).await.expect(201);
    assert_eq!(world.check("modem_man").await["reasons"], json!(["looks-taken"]));
    world.register("modem_man", PASSWORD).await.expect(409);
    let refused = world.register("root", "short").await.expect(422).json();
    assert_eq!(refused["reasons"], json!(["reserved", "password-too-short"]));
    repeats_an_answer_for_a_key(&world).await;
}

async fn repeats_an_answer_for_a_key(world: &World) {
    let send = async |name: &str, key: &str| {
        let body = json!({ "username": name, "password": PASSWORD });
        let more = More::json(&body).with("idempotency-key", key);
        world.client.send(Method::POST, "/api/registrations", more).await
    };
    let all = join_all((0..10).map(|_| send("berta", "key-1"))).await;
    let first: Value = all[0].json();
    assert!(all.iter().all(|reply| reply.status == 201 && reply.json() == first));
    assert_eq!(send("berta", "key-1").await.expect(201).json(), first);
    assert_eq!(send("carla", "key-1").await.expect(422).json()["type"], "urn:problem:idempotency-key-reused");
    send("berta", "key-2").await.expect(409);
    send("berta", "key-2").await.expect(409);
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM accounts WHERE name = 'berta'")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn signs_in_and_locks_out() {
    let world = World::start(Redis::single());
    world.register("anna", PASSWORD).await.expect(201);
    let begun = world.sign_in("ANNA", PASSWORD).await.expect(201).json();
    let bearer = format!("Bearer {}", begun["token"].as_str().unwrap());
    let with_token = async |method| {
        let more = More::default().with("authorization", &bearer);
        world.client.send(method, "/api/sessions/current", more).await
    };
    assert_eq!(with_token(Method::GET).await.expect(200).json()["name"], "anna");
    with_token(Method::DELETE).await.expect(204);
    with_token(Method::GET).await.expect(401);
    world.client.get("/api/sessions/current").await.expect(401);

    for name in ["anna", "never-registered"] {
        for _ in 0..5 {
            let wrong = world.sign_in(name, "wrong horse").await.expect(401);
            assert_eq!(wrong.json()["type"], "urn:problem:wrong-credentials");
        }
        let locked = world.sign_in(name, PASSWORD).await.expect(429);
        let left: u64 = locked.header("retry-after").parse().unwrap();
        assert!((1..=900).contains(&left));
    }
    // The right password between wrong ones begins the count anew.
    world.register("berta", PASSWORD).await.expect(201);
    for _ in 0..2 {
        for _ in 0..4 {
            world.sign_in("berta", "wrong horse").await.expect(401);
        }
        world.sign_in("berta", PASSWORD).await.expect(201);
    }
}

#[tokio::test]
async fn administers_and_audits() {
    let world = World::start(Redis::single());
    for name in ["dora", "dorothy", "emil"] {
        world.register(name, PASSWORD).await.expect(201);
    }
    let token = |reply: Value| format!("Bearer {}", reply["token"].as_str().unwrap());
    let admin = token(world.sign_in(ADMIN, ADMIN_PASSWORD).await.expect(201).json());
    let dora = token(world.sign_in("dora", PASSWORD).await.expect(201).json());
    let send = async |method, path: &str, who: &str| {
        world.client.send(method, path, More::default().with("authorization", who)).await
    };
    send(Method::GET, "/api/admin/accounts", &dora).await.expect(403);
    let page = send(Method::GET, "/api/admin/accounts?query=DOR&limit=1", &admin).await.expect(200).json();
    assert_eq!((&page["accounts"][0]["name"], &page["next"]), (&json!("dora"), &json!("dora")));
    let page = send(Method::GET, "/api/admin/accounts?query=dor&limit=1&after=dora", &admin).await.expect(200).json();
    assert_eq!((&page["accounts"][0]["name"], &page["next"]), (&json!("dorothy"), &Value::Null));

    let all = send(Method::GET, "/api/admin/accounts", &admin).await.expect(200).json();
    let id = |name: &str| {
        let rows = all["accounts"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).map(|row| row["id"].clone()).unwrap()
    };
    let act = |id: &Value, act: &str| format!("/api/admin/accounts/{id}/{act}");
    let disabled = send(Method::POST, &act(&id("dora"), "disable"), &admin).await.expect(200).json();
    assert_eq!(disabled["disabled"], true);
    send(Method::GET, "/api/sessions/current", &dora).await.expect(401);
    world.sign_in("dora", PASSWORD).await.expect(403);
    send(Method::POST, &act(&id("dora"), "enable"), &admin).await.expect(200);
    world.sign_in("dora", PASSWORD).await.expect(201);
    send(Method::POST, &act(&id(ADMIN), "disable"), &admin).await.expect(409);
    send(Method::POST, "/api/admin/accounts/999999/disable", &admin).await.expect(404);

    let audit = send(Method::GET, "/api/admin/audit?limit=200", &admin).await.expect(200).json();
    for (act, outcome) in [
        ("create-admin", "done"),
        ("register", "done"),
        ("sign-in", "done"),
        ("sign-in", "disabled"),
        ("disable", "done"),
        ("enable", "done"),
    ] {
        let entries = audit["entries"].as_array().unwrap();
        assert!(entries.iter().any(|e| e["act"] == act && e["outcome"] == outcome), "{act} {outcome} in {audit}");
    }
    let pool = world.pool().await;
    for sql in ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"] {
        let refused = sqlx::query(sql).execute(&pool).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{sql}: {refused}");
    }
}
