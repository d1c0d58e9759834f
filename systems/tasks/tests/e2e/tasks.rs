//! Projects and tasks.

use crate::world::{Person, World};
use futures_util::future::join_all;
use http::Method;
use plimsoll_kit::testing::client::More;
use serde_json::{Value, json};

async fn project(owner: &Person) -> String {
    let reply = owner.post("/api/v1/projects", &json!({ "name": "Refit" })).await.expect(201).json();
    reply["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn add(owner: &Person, project: &str, member: &Person) {
    let path = format!("/api/v1/projects/{project}/members/{}", member.id);
    owner.send(Method::PUT, &path, &json!(null), None).await.expect(204);
}

/// A project of Anna's in which Boris works, too.
pub(crate) async fn shared(world: &World) -> (Person, Person, String) {
    let (anna, boris) = (world.sign_up("Anna").await, world.sign_up("Boris").await);
    let project = project(&anna).await;
    add(&anna, &project, &boris).await;
    (anna, boris, project)
}

pub(crate) async fn create(person: &Person, body: Value) -> Value {
    person.post("/api/v1/tasks", &body).await.expect(201).json()
}

pub(crate) fn path(task: &Value) -> String {
    format!("/api/v1/tasks/{}", task["id"].as_str().unwrap())
}

#[tokio::test]
async fn tasks_come_change_and_go() {
    let world = World::start();
    let (anna, boris, project) = shared(&world).await;
    let body = json!({ "project": project, "title": " Caulk the hull ", "assignee": boris.id,
        "due_at": "2026-12-24T18:00:00+01:00" });
    let reply = anna.post("/api/v1/tasks", &body).await.expect(201);
    let task = reply.json();
    assert_eq!((reply.header("etag"), reply.header("location")), ("\"1\"", path(&task).as_str()));
    assert_eq!((&task["title"], &task["status"]), (&json!("Caulk the hull"), &json!("open")));
    assert_eq!(task["due_at"], "2026-12-24T17:00:00.000000Z");
    assert_eq!(boris.get(&path(&task)).await.expect(200).json(), task);
    let known = More::default().with("authorization", &boris.bearer).with("if-none-match", "\"1\"");
    world.client.send(Method::GET, &path(&task), known).await.expect(304);

    let patch = json!({ "status": "doing", "due_at": null });
    boris.send(Method::PATCH, &path(&task), &patch, None).await.expect(428);
    boris.send(Method::PATCH, &path(&task), &patch, Some("\"9\"")).await.expect(412);
    let changed = boris.send(Method::PATCH, &path(&task), &patch, Some("\"1\"")).await.expect(200);
    assert_eq!((changed.header("etag"), &changed.json()["due_at"]), ("\"2\"", &Value::Null));
    let same = boris.send(Method::PATCH, &path(&task), &patch, Some("*")).await.expect(200);
    assert_eq!(same.header("etag"), "\"2\"", "nothing differs");
    for wrong in [json!({ "status": "gone" }), json!({ "colour": "red" }), json!({ "title": null })] {
        boris.send(Method::PATCH, &path(&task), &wrong, Some("*")).await.expect(422);
    }
    // Of many who saw the same version, one wins.
    let all = join_all((0..6).map(|index| {
        let (anna, path) = (anna.clone(), path(&task));
        async move { anna.send(Method::PATCH, &path, &json!({ "title": format!("T{index}") }), Some("\"2\"")).await }
    }))
    .await;
    assert_eq!(all.iter().filter(|reply| reply.status == 200).count(), 1);
    assert_eq!(all.iter().filter(|reply| reply.status == 412).count(), 5);
    anna.send(Method::DELETE, &path(&task), &json!(null), Some("\"2\"")).await.expect(412);
    anna.send(Method::DELETE, &path(&task), &json!(null), Some("\"3\"")).await.expect(204);
    anna.get(&path(&task)).await.expect(404);
    assert!(world.client.get("/openapi/task.json").await.expect(200).json()["paths"].is_object());
    world.stop();
}

#[tokio::test]
async fn a_task_is_created_once_for_a_key_and_keys_are_ones_own() {
    let world = World::start();
    let (anna, boris, project) = shared(&world).await;
    let send = async |person: &Person, title: &str| {
        let body = json!({ "project": project, "title": title });
        let more = More::json(&body).with("authorization", &person.bearer).with("idempotency-key", "key-1");
        world.client.send(Method::POST, "/api/v1/tasks", more).await
    };
    let all = join_all((0..6).map(|_| send(&anna, "Once"))).await;
    let first = all[0].json();
    for reply in all {
        assert_eq!(reply.expect(201).json(), first);
    }
    send(&anna, "Another").await.expect(422);
    assert_ne!(send(&boris, "Once").await.expect(201).json()["id"], first["id"]);
}

#[tokio::test]
async fn only_members_see_a_project_and_have_its_tasks() {
    let world = World::start();
    let (anna, boris, project) = shared(&world).await;
    let clara = world.sign_up("Clara").await;
    let task = create(&anna, json!({ "project": project, "title": "Caulk", "assignee": boris.id })).await;
    let of_project = format!("/api/v1/projects/{project}");
    for address in [path(&task), of_project.clone()] {
        clara.get(&address).await.expect(404);
    }
    clara.send(Method::PATCH, &path(&task), &json!({ "title": "x" }), Some("*")).await.expect(404);
    clara.post("/api/v1/tasks", &json!({ "project": project, "title": "x" })).await.expect(404);
    assert_eq!(clara.get("/api/v1/tasks").await.expect(200).json()["tasks"], json!([]));
    let foreign = json!({ "project": project, "title": "x", "assignee": clara.id });
    anna.post("/api/v1/tasks", &foreign).await.expect(422);
    let of = |person: &Person| format!("{of_project}/members/{}", person.id);
    boris.send(Method::PUT, &of(&clara), &json!(null), None).await.expect(403);
    boris.send(Method::DELETE, &of(&anna), &json!(null), None).await.expect(409);
    add(&anna, &project, &clara).await;
    add(&anna, &project, &clara).await;
    let shown = clara.get(&of_project).await.expect(200).json();
    assert_eq!((shown["members"].as_array().unwrap().len(), &shown["owner"]), (3, &json!(anna.id)));
    clara.send(Method::DELETE, &of(&boris), &json!(null), None).await.expect(403);
    // Whoever leaves has none of its tasks any more.
    boris.send(Method::DELETE, &of(&boris), &json!(null), None).await.expect(204);
    boris.get(&path(&task)).await.expect(404);
    let left = anna.get(&path(&task)).await.expect(200).json();
    assert_eq!((&left["assignee"], &left["version"]), (&Value::Null, &json!(2)));
    assert_eq!(anna.get("/api/v1/projects").await.expect(200).json()["projects"][0]["name"], "Refit");
}

#[tokio::test]
async fn tasks_are_found_page_by_page() {
    let world = World::start();
    let (anna, boris, project) = shared(&world).await;
    for index in 0..5 {
        let assignee = if index % 2 == 0 { json!(boris.id) } else { Value::Null };
        let body = json!({ "project": project, "title": format!("Sail {index}"), "description": "50% canvas",
            "assignee": assignee, "due_at": format!("2026-12-0{}T00:00:00Z", index + 1) });
        create(&anna, body).await;
    }
    let find = async |person: &Person, query: &str, status: u16| {
        person.get(&format!("/api/v1/tasks?{query}")).await.expect(status).json()
    };
    let titles = |page: &Value| {
        let tasks = page["tasks"].as_array().unwrap();
        tasks.iter().map(|task| task["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = find(&anna, "limit=2", 200).await;
    assert_eq!(titles(&first), ["Sail 4", "Sail 3"]);
    create(&anna, json!({ "project": project, "title": "In between" })).await;
    let after = first["next"].as_str().unwrap();
    assert_eq!(titles(&find(&anna, &format!("limit=2&after={after}"), 200).await), ["Sail 2", "Sail 1"]);
    for (query, found) in [
        ("query=CANVAS%20sail", 5),
        ("query=50%25%20canvas", 5),
        ("query=5%25anvas", 0),
        ("assignee=me", 3),
        ("due_before=2026-12-03T00:00:00Z", 2),
        ("status=done", 0),
        ("query=between&status=open", 1),
    ] {
        assert_eq!(titles(&find(&boris, query, 200).await).len(), found, "{query}");
    }
    let only = format!("project={project}&assignee={}", boris.id);
    assert_eq!(titles(&find(&anna, &only, 200).await).len(), 3);
    for query in ["status=gone", "assignee=nobody", "due_before=soon", "project=x", "query=%00"] {
        find(&anna, query, 400).await;
    }
}
