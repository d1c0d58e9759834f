//! Signing in, refreshing, keys that rotate, users who change.

use crate::world::{ADMIN, PASSWORD, Person, World};
use http::Method;
use plimsoll_kit::testing::client::More;
use plimsoll_kit::testing::process::run;
use plimsoll_kit::testing::stores::until_locked;
use serde_json::{Value, json};
use std::time::Duration;

async fn refresh(world: &World, token: &str) -> plimsoll_kit::testing::client::Reply {
    world.client.post("/api/sessions/refresh", &json!({ "refresh_token": token })).await
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_a_thief_is_found_out() {
    let world = World::start();
    let first = world.admin().await;
    let second = Person::of(&world.client, &refresh(&world, &first.refresh).await.expect(201).json());
    assert_ne!(second.refresh, first.refresh);
    for person in [&first, &second] {
        assert_eq!(person.get("/api/sessions/current").await.expect(200).json()["name"], ADMIN);
    }
    // Somebody uses the first once more: the whole session is over, whoever holds it.
    refresh(&world, &first.refresh).await.expect(401);
    refresh(&world, &second.refresh).await.expect(401);
    for person in [&first, &second] {
        person.get("/api/sessions/current").await.expect(401);
    }
    refresh(&world, "nonsense").await.expect(401);

    let third = world.admin().await;
    third.send(Method::DELETE, "/api/sessions/current", &json!(null), None).await.expect(204);
    third.get("/api/sessions/current").await.expect(401);
    refresh(&world, &third.refresh).await.expect(401);
    let forged = format!("{}x", &third.bearer[..third.bearer.len() - 1]);
    let more = More::default().with("authorization", &forged);
    world.client.send(Method::GET, "/api/sessions/current", more).await.expect(401);
}

#[tokio::test]
async fn wrong_passwords_lock_a_name_out_and_whoever_changes_is_signed_out() {
    let world = World::start();
    let admin = world.admin().await;
    for name in ["nobody-at-all", ADMIN] {
        for _ in 0..5 {
            let wrong = world.sign_in(name, "wrong horse").await.expect(401);
            assert_eq!(wrong.json()["type"], "urn:problem:wrong-credentials");
        }
        let locked = world.sign_in(name, PASSWORD).await.expect(429);
        let left: u64 = locked.header("retry-after").parse().unwrap();
        assert!((1..=900).contains(&left));
    }
    let editor = world.user(&admin, "editor", "editor").await;
    let users = admin.get("/api/users").await.expect(200).json();
    let of = |name: &str| users["users"].as_array().unwrap().iter().find(|user| user["name"] == name).unwrap().clone();
    let path = |name: &str| format!("/api/users/{}", of(name)["id"].as_str().unwrap());
    let send =
        async |name: &str, body: Value, tag: &str| admin.send(Method::PATCH, &path(name), &body, Some(tag)).await;
    send(ADMIN, json!({ "disabled": true }), "*").await.expect(409);
    send("editor", json!({ "role": "viewer" }), "\"7\"").await.expect(412);
    send("editor", json!({ "role": "viewer" }), "\"1\"").await.expect(200);
    editor.get("/api/customers").await.expect(401);
    let same = send("editor", json!({}), "\"2\"").await.expect(200);
    assert_eq!(same.header("etag"), "\"2\"", "nothing changes, so nobody is signed out");
    let viewer = world.person("editor", PASSWORD).await;
    viewer.send(Method::POST, "/api/customers", &json!({}), None).await.expect(403);
    send("editor", json!({ "disabled": true }), "*").await.expect(200);
    viewer.get("/api/customers").await.expect(401);
    refresh(&world, &viewer.refresh).await.expect(401);
    world.sign_in("editor", PASSWORD).await.expect(403);
    send("editor", json!({ "disabled": false }), "*").await.expect(200);
    let again = world.person("editor", PASSWORD).await;
    let body = json!({ "current": "wrong horse", "new": "another long watch" });
    again.send(Method::PUT, "/api/users/current/password", &body, None).await.expect(403);
    let body = json!({ "current": PASSWORD, "new": "another long watch" });
    again.send(Method::PUT, "/api/users/current/password", &body, None).await.expect(204);
    again.get("/api/customers").await.expect(401);
    world.person("editor", "another long watch").await;
}

#[tokio::test]
async fn a_password_that_changes_during_a_sign_in_begins_no_session() {
    let world = World::start();
    let admin = world.admin().await;
    world.user(&admin, "anna", "viewer").await;
    let pool = world.pool().await;
    // Somebody sets another password, and has not committed when the old one is verified.
    let mut change = pool.begin().await.unwrap();
    sqlx::query("UPDATE users SET version = version + 1 WHERE name = 'anna'").execute(&mut *change).await.unwrap();
    let sign_in = world.sign_in("anna", PASSWORD);
    let commit = async {
        until_locked(&pool).await;
        change.commit().await.unwrap();
    };
    let (reply, ()) = tokio::join!(sign_in, commit);
    assert_eq!(reply.expect(401).json()["type"], "urn:problem:wrong-credentials");
    world.person("anna", PASSWORD).await;
}

#[tokio::test]
async fn keys_rotate_and_what_the_old_one_signed_stays_valid() {
    let world = World::start();
    let (_second, other) = world.replica(&[]);
    let before = world.admin().await;
    let kids = async || {
        let keys = world.client.get("/.well-known/jwks.json").await.expect(200).json();
        keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let old = kids().await;
    assert_eq!(old.len(), 1);
    run("keys", &mut world.role(&["keys", "rotate", "--now"]));
    // This replica learns it within seconds; the other one at the latest when it meets a token.
    let mut after = world.admin().await;
    for attempt in 0.. {
        if kid(&after) != old[0] {
            break;
        }
        assert!(attempt < 600, "the new key never signs");
        tokio::time::sleep(Duration::from_millis(100)).await;
        after = Person::of(&world.client, &refresh(&world, &after.refresh).await.expect(201).json());
    }
    assert_eq!(kids().await.len(), 2);
    for person in [&before, &after] {
        person.get("/api/sessions/current").await.expect(200);
        person.at(&other).get("/api/sessions/current").await.expect(200);
    }
    run("keys", &mut world.role(&["keys", "revoke", &old[0]]));
    for attempt in 0.. {
        if before.get("/api/sessions/current").await.status == 401 {
            break;
        }
        assert!(attempt < 600, "the revoked key goes on verifying");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    after.get("/api/sessions/current").await.expect(200);
    // The session itself is good: its refresh token gives an access token of the new key.
    let renewed = Person::of(&world.client, &refresh(&world, &before.refresh).await.expect(201).json());
    assert_eq!(kid(&renewed), kid(&after));
}

/// The name of the key that signed a person's access token.
fn kid(person: &Person) -> String {
    let header = person.bearer.trim_start_matches("Bearer ").split('.').next().unwrap();
    let bytes = decoded(header);
    serde_json::from_slice::<Value>(&bytes).unwrap()["kid"].as_str().unwrap().to_owned()
}

fn decoded(base64_url: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let sextets = base64_url.chars().map(|c| u32::try_from(ALPHABET.find(c).unwrap()).unwrap());
    let (mut bytes, mut word, mut bits) = (Vec::new(), 0_u32, 0);
    for sextet in sextets {
        word = word << 6 | sextet;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(word >> bits & 255).unwrap());
        }
    }
    bytes
}
