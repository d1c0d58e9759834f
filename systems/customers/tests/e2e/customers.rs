//! Customers: create, read, find, change, delete, export.

use crate::world::{World, path};
use futures_util::future::join_all;
use http::Method;
use plimsoll_kit::testing::client::More;
use serde_json::{Value, json};

#[tokio::test]
async fn customers_come_change_and_go() {
    let world = World::start();
    let admin = world.admin().await;
    let body = json!({ "name": " Emilia Galotti ", "email": "emilia@example.com", "country": "IT" });
    let reply = admin.send(Method::POST, "/api/customers", &body, None).await.expect(201);
    let emilia = reply.json();
    assert_eq!(
        (&emilia["name"], &emilia["version"], &emilia["status"]),
        (&json!("Emilia Galotti"), &json!(1), &json!("active"))
    );
    assert_eq!((reply.header("etag"), reply.header("location")), ("\"1\"", path(&emilia).as_str()));
    assert_eq!(admin.get(&path(&emilia)).await.expect(200).json(), emilia);
    let known = More::default().with("authorization", &admin.bearer).with("if-none-match", "\"1\"");
    world.client.send(Method::GET, &path(&emilia), known).await.expect(304);

    let taken = json!({ "name": "Another", "email": "EMILIA@example.com" });
    let refused = admin.send(Method::POST, "/api/customers", &taken, None).await.expect(409).json();
    assert_eq!(refused["type"], "urn:problem:email-taken");
    let unfit = json!({ "name": "", "email": "nowhere", "country": "Italy" });
    let refused = admin.send(Method::POST, "/api/customers", &unfit, None).await.expect(422).json();
    let fields: Vec<&Value> = refused["mistakes"].as_array().unwrap().iter().map(|m| &m["field"]).collect();
    assert_eq!(fields, ["name", "email", "country"]);

    let patch = json!({ "phone": "+39 0375 1", "country": null });
    admin.send(Method::PATCH, &path(&emilia), &patch, None).await.expect(428);
    let stale = admin.send(Method::PATCH, &path(&emilia), &patch, Some("\"9\"")).await.expect(412);
    assert_eq!((stale.header("etag"), &stale.json()["version"]), ("\"1\"", &json!(1)));
    let changed = admin.send(Method::PATCH, &path(&emilia), &patch, Some("\"1\"")).await.expect(200);
    assert_eq!((changed.header("etag"), &changed.json()["country"]), ("\"2\"", &json!("")));
    assert_eq!(admin.get(&path(&emilia)).await.expect(200).json(), changed.json());
    let same = admin.send(Method::PATCH, &path(&emilia), &patch, Some("*")).await.expect(200);
    assert_eq!(same.header("etag"), "\"2\"", "nothing differs");

    admin.send(Method::DELETE, &path(&emilia), &json!(null), Some("\"1\"")).await.expect(412);
    admin.send(Method::DELETE, &path(&emilia), &json!(null), Some("\"2\"")).await.expect(204);
    admin.get(&path(&emilia)).await.expect(404);
    admin.create("Emilia again", "emilia@example.com").await;
    repeats_an_answer_for_a_key(&world).await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_problem() {
    let world = World::start();
    let admin = world.admin().await;
    for (path, status) in [
        ("/api/customers?query=%00", 400),
        ("/api/users?after=%00", 400),
        ("/api/customers/nonsense", 400),
        ("/api/customers?query=a%20b%20c%20d%20e%20f%20g%20h%20i", 400),
        ("/api/customers?country=italy", 400),
        ("/api/customers?query=a%20b%20c%20d%20e%20f%20g%20h&country=IT", 200),
    ] {
        let reply = admin.get(path).await.expect(status);
        let media_type = if status == 200 { "application/json" } else { "application/problem+json" };
        assert_eq!(reply.header("content-type"), media_type, "{path}");
    }
}

async fn repeats_an_answer_for_a_key(world: &World) {
    let admin = world.admin().await;
    let send = async |email: &str, key: &str| {
        let body = json!({ "name": "Berta", "email": email });
        let more = More::json(&body).with("authorization", &admin.bearer).with("idempotency-key", key);
        world.client.send(Method::POST, "/api/customers", more).await
    };
    let all = join_all((0..8).map(|_| send("berta@example.com", "key-1"))).await;
    let first = all[0].json();
    for reply in all {
        assert_eq!(reply.expect(201).json(), first);
    }
    send("carla@example.com", "key-1").await.expect(422);
    send("berta@example.com", "key-2").await.expect(409);
}

#[tokio::test]
async fn one_of_many_who_saw_the_same_version_wins() {
    let world = World::start();
    let (_second, other) = world.replica(&[]);
    let admin = world.admin().await;
    let people = [admin.clone(), admin.at(&other)];
    let customer = admin.create("Emilia", "emilia@example.com").await;
    for round in 1..=5 {
        let tag = format!("\"{round}\"");
        let sent = (0..10).map(|index| {
            let patch = json!({ "notes": format!("{round} {index}") });
            let (person, path, tag) = (people[index % 2].clone(), path(&customer), tag.clone());
            async move { person.send(Method::PATCH, &path, &patch, Some(&tag)).await.status.as_u16() }
        });
        let statuses = join_all(sent).await;
        let count = |status| statuses.iter().filter(|s| **s == status).count();
        assert_eq!((count(200), count(412)), (1, 9), "{statuses:?}");
    }
    let now = people[1].get(&path(&customer)).await.expect(200).json();
    assert_eq!(now["version"], 6);
}

#[tokio::test]
async fn roles_bound_what_one_may_do() {
    let world = World::start();
    let admin = world.admin().await;
    let viewer = world.user(&admin, "viewer", "viewer").await;
    let editor = world.user(&admin, "editor", "editor").await;
    let body = json!({ "name": "Emilia", "email": "emilia@example.com" });
    world.client.get("/api/customers").await.expect(401);
    viewer.get("/api/customers").await.expect(200);
    viewer.send(Method::POST, "/api/customers", &body, None).await.expect(403);
    let customer = editor.send(Method::POST, "/api/customers", &body, None).await.expect(201).json();
    editor.send(Method::DELETE, &path(&customer), &json!(null), Some("*")).await.expect(403);
    for closed in ["/api/customers/export", "/api/users", "/api/audit"] {
        editor.get(closed).await.expect(403);
        admin.get(closed).await.expect(200);
    }
}

#[tokio::test]
async fn finds_pages_and_exports() {
    let world = World::start();
    let seeded = world.role(&["seed", "--count", "2500"]).output().unwrap();
    assert!(seeded.status.success());
    let admin = world.admin().await;
    for (name, email, city) in [("100% Anna", "anna@a.example", "Ulm"), ("Anna_B", "b@anna.example", "Jena")] {
        let body = json!({ "name": name, "email": email, "city": city, "notes": "says \"hello\",\nand =more" });
        admin.send(Method::POST, "/api/customers", &body, None).await.expect(201);
    }
    let found = async |query: &str| admin.get(&format!("/api/customers?{query}")).await.expect(200).json();
    let names = |page: &Value| -> Vec<String> {
        page["customers"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&found("query=ANNA").await), ["100% Anna", "Anna_B"]);
    assert_eq!(names(&found("query=anna%20ulm").await), ["100% Anna"]);
    assert_eq!(names(&found("query=0%25").await), ["100% Anna"]);
    assert_eq!(names(&found("query=a_b").await), ["Anna_B"]);
    assert_eq!(found("count=true&limit=1").await["total"], 2502);
    admin.get("/api/customers?sort=shoe-size").await.expect(400);
    admin.get("/api/customers?after=nonsense").await.expect(400);

    for sort in ["name", "-name", "created", "-updated"] {
        let mut seen = std::collections::BTreeSet::new();
        let mut after = String::new();
        loop {
            let page = found(&format!("sort={sort}&limit=200&status=active&after={after}")).await;
            for customer in page["customers"].as_array().unwrap() {
                assert!(seen.insert(customer["id"].as_str().unwrap().to_owned()), "{customer} twice");
            }
            let Some(next) = page["next"].as_str() else { break };
            after = next.replace(' ', "%20").replace('%', "%25").replace("%2520", "%20");
        }
        assert_eq!(found("status=active&count=true&limit=1").await["total"], seen.len(), "{sort}");
    }
    exports(&world).await;
}

async fn exports(world: &World) {
    let admin = world.admin().await;
    let csv = admin.get("/api/customers/export?query=anna").await.expect(200);
    assert!(csv.header("content-type").starts_with("text/csv") && csv.header("content-disposition").contains(".csv"));
    assert!(csv.text.starts_with("id,version,name,email,") && csv.text.contains("\"says \"\"hello\"\",\nand =more\""));
    let all = admin.get("/api/customers/export?format=jsonl").await.expect(200);
    let ids: std::collections::BTreeSet<String> = all
        .text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!((ids.len(), all.text.lines().count()), (2502, 2502));
    admin.get("/api/customers/export?format=xml").await.expect(400);
}
