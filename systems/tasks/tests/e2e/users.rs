//! Profiles, and finding others.

use crate::world::World;
use http::Method;
use plimsoll_kit::testing::process::run;
use serde_json::json;

#[tokio::test]
async fn one_sees_oneself_whole_and_others_by_name() {
    let world = World::start();
    let (anna, boris) = (world.sign_up("Anna").await, world.sign_up("Boris").await);
    let me = anna.get("/api/v1/users/me").await.expect(200);
    assert_eq!(me.header("etag"), "\"1\"");
    let rename = async |name: &str, tag: Option<&str>| {
        anna.send(Method::PATCH, "/api/v1/users/me", &json!({ "name": name }), tag).await
    };
    rename("Anna K.", None).await.expect(428);
    rename("Anna K.", Some("\"7\"")).await.expect(412);
    rename("", Some("\"1\"")).await.expect(422);
    assert_eq!(rename("Anna K.", Some("\"1\"")).await.expect(200).header("etag"), "\"2\"");
    assert_eq!(rename("Anna K.", Some("*")).await.expect(200).header("etag"), "\"2\"", "nothing differs");
    let seen = boris.get(&format!("/api/v1/users/{}", anna.id)).await.expect(200).json();
    assert_eq!(seen, json!({ "id": anna.id, "name": "Anna K." }));
    for (query, status, found) in [
        ("ann", 200, 1),
        ("ANNA@example.com", 200, 1),
        ("zz", 200, 0),
        ("%25%25", 200, 0),
        ("a", 400, 0),
        ("%00%00", 400, 0),
    ] {
        let reply = boris.get(&format!("/api/v1/users?query={query}")).await.expect(status);
        if status == 200 {
            assert_eq!(reply.json()["users"].as_array().unwrap().len(), found, "{query}");
        }
    }
    boris.get("/api/v1/users/nonsense").await.expect(400);
    boris.get("/api/v1/users/00000000-0000-7000-8000-000000000000").await.expect(404);
}

#[tokio::test]
async fn seeded_people_can_sign_in() {
    let world = World::start();
    for _ in 0..2 {
        run("seed", world.role(&["seed", "--people", "3"]).env("SEED_PASSWORD", crate::world::PASSWORD));
    }
    assert_eq!(world.sign_in("person2").await.get("/api/v1/users/me").await.expect(200).json()["name"], "Person 2");
}
