//! Signing up and in, refreshing, sessions that end.

use crate::world::{PASSWORD, Person, World, email};
use futures_util::future::join_all;
use http::Method;
use plimsoll_kit::testing::stores::until_locked;
use serde_json::{Value, json};

const ME: &str = "/api/v1/users/me";

#[tokio::test]
async fn whoever_signs_up_is_signed_in_and_an_address_belongs_to_one() {
    let world = World::start();
    let anna = world.sign_up("Anna Karenina").await;
    let me = anna.get(ME).await.expect(200).json();
    assert_eq!((&me["name"], &me["email"]), (&json!("Anna Karenina"), &json!(email("Anna Karenina"))));
    let sign_up = async |email: &str, name: &str, password: &str| {
        let body = json!({ "email": email, "name": name, "password": password });
        world.client.post("/api/v1/auth/sign-up", &body).await
    };
    sign_up("ANNA.karenina@example.com", "Another", PASSWORD).await.expect(409);
    for (email, name, password) in
        [("nowhere", "B", PASSWORD), ("b@example.com", "", PASSWORD), ("b@example.com", "B", "short")]
    {
        let refused = sign_up(email, name, password).await.expect(422);
        assert_eq!(refused.header("content-type"), "application/problem+json");
    }
    // Of many who want one address at once, one gets it.
    let all = join_all((0..8).map(|_| sign_up("b@example.com", "B", PASSWORD))).await;
    assert_eq!(all.iter().filter(|reply| reply.status == 201).count(), 1);
    assert_eq!(all.iter().filter(|reply| reply.status == 409).count(), 7);
    world.try_sign_in("Anna Karenina", "wrong horse").await.expect(401);
    world.try_sign_in("nobody", PASSWORD).await.expect(401);
    for path in ["/openapi/auth.json", "/openapi/user.json"] {
        assert!(world.client.get(path).await.expect(200).json()["paths"].is_object(), "{path}");
    }
    assert_eq!(world.client.get("/.well-known/jwks.json").await.expect(200).json()["keys"][0]["alg"], "EdDSA");
    world.client.get("/api/v1/nothing").await.expect(404);
    world.stop();
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_a_thief_is_found_out() {
    let world = World::start();
    let first = world.sign_up("Anna").await;
    let second = Person::of(&world.client, &world.refresh(&first.refresh).await.expect(201).json());
    assert_ne!(second.refresh, first.refresh);
    for person in [&first, &second] {
        person.get(ME).await.expect(200);
    }
    // Somebody uses the first once more: the whole session is over, whoever holds it.
    let refused = world.refresh(&first.refresh).await.expect(401).json();
    assert_eq!(refused["type"], "urn:problem:session-over");
    world.refresh(&second.refresh).await.expect(401);
    for person in [&first, &second] {
        person.get(ME).await.expect(401);
    }
    // Of many that come with one token at once, one at most is served.
    let third = world.sign_in("Anna").await;
    let all = join_all((0..6).map(|_| world.refresh(&third.refresh))).await;
    assert_eq!(all.iter().filter(|reply| reply.status == 201).count(), 1);
    third.get(ME).await.expect(401);
}

#[tokio::test]
async fn a_sixth_session_ends_the_one_that_was_used_longest_ago() {
    let world = World::start();
    let mut people = vec![world.sign_up("Anna").await];
    for _ in 0..4 {
        people.push(world.sign_in("Anna").await);
    }
    // The first is refreshed, so the second is the oldest now.
    people[0] = Person::of(&world.client, &world.refresh(&people[0].refresh).await.expect(201).json());
    let sixth = world.sign_in("Anna").await;
    people[1].get(ME).await.expect(401);
    world.refresh(&people[1].refresh).await.expect(401);
    for index in [0, 2, 3, 4] {
        people[index].get(ME).await.expect(200);
    }
    let open = sixth.get("/api/v1/auth/sessions").await.expect(200).json();
    assert_eq!(open["sessions"].as_array().unwrap().len(), 5);
    assert_eq!(open["sessions"][0]["id"], open["current"]);
    // Signing in at once from many places leaves five.
    for reply in join_all((0..6).map(|_| world.try_sign_in("Anna", PASSWORD))).await {
        reply.expect(201);
    }
    let pool = world.pool().await;
    let counted = "SELECT count(*) FROM sessions WHERE ended_at IS NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(counted).fetch_one(&pool).await.unwrap(), 5);
}

#[tokio::test]
async fn sessions_end_when_they_are_ended() {
    let world = World::start();
    let (here, there) = (world.sign_up("Anna").await, world.sign_in("Anna").await);
    let other = world.sign_up("Boris").await;
    let of = there.get("/api/v1/auth/sessions").await.expect(200).json()["current"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/auth/sessions/{of}");
    other.send(Method::DELETE, &path, &json!(null), None).await.expect(404);
    here.send(Method::DELETE, &path, &json!(null), None).await.expect(204);
    there.get(ME).await.expect(401);
    here.post("/api/v1/auth/sign-out", &json!(null)).await.expect(204);
    here.get(ME).await.expect(401);
    world.refresh(&here.refresh).await.expect(401);

    let again = world.sign_in("Anna").await;
    let change = async |current: &str, new: &str| {
        let body = json!({ "current": current, "new": new });
        again.send(Method::PUT, "/api/v1/auth/password", &body, None).await
    };
    change("wrong horse", "another long list").await.expect(403);
    change(PASSWORD, "short").await.expect(422);
    change(PASSWORD, "another long list").await.expect(204);
    again.get(ME).await.expect(401);
    world.try_sign_in("Anna", PASSWORD).await.expect(401);
    world.try_sign_in("Anna", "another long list").await.expect(201);
    // A session is over after seven days, however often it was refreshed.
    let pool = world.pool().await;
    let boris = Person::of(&world.client, &world.refresh(&other.refresh).await.expect(201).json());
    let ends = "SELECT extract(epoch FROM ends_at - created_at)::bigint FROM sessions WHERE user_id = $1::uuid";
    let lasts: i64 = sqlx::query_scalar(ends).bind(&boris.id).fetch_one(&pool).await.unwrap();
    assert_eq!(lasts, 7 * 24 * 3600);
    sqlx::query("UPDATE sessions SET ends_at = now()").execute(&pool).await.unwrap();
    boris.get(ME).await.expect(401);
    world.refresh(&boris.refresh).await.expect(401);
}

#[tokio::test]
async fn a_password_that_changes_during_a_sign_in_begins_no_session() {
    let world = World::start();
    world.sign_up("Anna").await;
    let pool = world.pool().await;
    // Somebody sets another password, and has not committed when the old one is verified.
    let mut change = pool.begin().await.unwrap();
    sqlx::query("UPDATE users SET password_hash = 'another'").execute(&mut *change).await.unwrap();
    let commit = async {
        until_locked(&pool).await;
        change.commit().await.unwrap();
    };
    let (reply, ()) = tokio::join!(world.try_sign_in("Anna", PASSWORD), commit);
    assert_eq!(reply.expect(401).json()["type"], "urn:problem:wrong-credentials");
}

#[tokio::test]
async fn an_access_token_says_that_it_lasts_fifteen_minutes() {
    let world = World::start();
    let body = json!({ "email": "anna@example.com", "name": "Anna", "password": PASSWORD });
    let tokens: Value = world.client.post("/api/v1/auth/sign-up", &body).await.expect(201).json();
    assert_eq!((&tokens["expires_in"], &tokens["token_type"]), (&json!(900), &json!("Bearer")));
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let forged = Person { bearer: format!("{}x", &bearer[..bearer.len() - 1]), ..Person::of(&world.client, &tokens) };
    forged.get(ME).await.expect(401);
    world.client.get(ME).await.expect(401);
}
