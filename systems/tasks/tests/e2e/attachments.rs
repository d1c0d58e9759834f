//! Files that hang on tasks, and links that are good for a while.

use crate::tasks::{create, path, shared};
use crate::world::{Person, World};
use http::Method;
use plimsoll_kit::testing::client::{More, Reply};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

async fn attach(person: &Person, task: &Value, name: &str, content: &str) -> Reply {
    let address = format!("{}/attachments?name={name}", path(task));
    let more = More::text(content).with("content-type", "text/html").with("authorization", &person.bearer);
    person.client.send(Method::POST, &address, more).await
}

fn kept(world: &World) -> usize {
    std::fs::read_dir(world.files()).unwrap().count()
}

#[tokio::test]
async fn files_are_brought_by_members_and_read_by_whoever_has_a_link() {
    let world = World::start();
    let (anna, boris, project) = shared(&world).await;
    let clara = world.sign_up("Clara").await;
    let task = create(&anna, json!({ "project": project, "title": "Caulk" })).await;
    let made = attach(&boris, &task, "plan%201.html", "<b>oakum</b>").await.expect(201).json();
    assert_eq!((&made["name"], &made["bytes"]), (&json!("plan 1.html"), &json!(12)));
    let url = made["url"].as_str().unwrap();
    let file = world.client.get(url).await.expect(200);
    assert_eq!(file.text, "<b>oakum</b>");
    assert_eq!(file.header("content-type"), "text/html");
    assert_eq!(file.header("content-disposition"), "attachment; filename*=UTF-8''plan%201.html");
    assert_eq!(file.header("x-content-type-options"), "nosniff");
    for forged in [url.replace("expires=1", "expires=2"), format!("{}0", &url[..url.len() - 1])] {
        if forged != url {
            let refused = world.client.get(&forged).await.expect(403).json();
            assert_eq!(refused["type"], "urn:problem:link-not-valid");
        }
    }
    world.client.get(url.split('?').next().unwrap()).await.expect(400);

    attach(&clara, &task, "x", "x").await.expect(404);
    clara.get(&format!("{}/attachments", path(&task))).await.expect(404);
    attach(&anna, &task, "x", "").await.expect(422);
    attach(&anna, &task, "a%2Fb", "x").await.expect(422);
    attach(&anna, &task, "just-fits", &"x".repeat(5 << 20)).await.expect(201);

    let listed = anna.get(&format!("{}/attachments", path(&task))).await.expect(200).json();
    assert_eq!(listed["attachments"].as_array().unwrap().len(), 2);
    let own = listed["attachments"][0]["id"].as_str().unwrap();
    let address = format!("{}/attachments/{own}", path(&task));
    clara.send(Method::DELETE, &address, &json!(null), None).await.expect(404);
    anna.send(Method::DELETE, &address, &json!(null), None).await.expect(204);
    anna.send(Method::DELETE, &address, &json!(null), None).await.expect(404);
    world.client.get(url).await.expect(404);
    world.stop();
}

#[tokio::test]
async fn a_link_is_good_for_a_while_only() {
    let world = World::with(&[("FILE_LINK_S", "0")]);
    let (anna, _, project) = shared(&world).await;
    let task = create(&anna, json!({ "project": project, "title": "Caulk" })).await;
    let made = attach(&anna, &task, "plan", "oakum").await.expect(201).json();
    let refused = world.client.get(made["url"].as_str().unwrap()).await.expect(403).json();
    assert_eq!(refused["type"], "urn:problem:link-expired");
}

#[tokio::test]
async fn files_that_nothing_speaks_of_are_removed() {
    let world = World::with(&[("FILES_SWEEP_S", "1")]);
    let (anna, _, project) = shared(&world).await;
    let (gone, stays) =
        (json!({ "project": project, "title": "Gone" }), json!({ "project": project, "title": "Stays" }));
    let (gone, stays) = (create(&anna, gone).await, create(&anna, stays).await);
    attach(&anna, &gone, "plan", "oakum").await.expect(201);
    let kept_one = attach(&anna, &stays, "plan", "pitch").await.expect(201).json();
    anna.send(Method::DELETE, &path(&gone), &json!(null), Some("*")).await.expect(204);
    std::fs::write(world.files().join("half.part"), "half").unwrap();
    assert_eq!(kept(&world), 3);
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 3600);
    for entry in std::fs::read_dir(world.files()).unwrap() {
        let file = std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    for attempt in 0.. {
        if kept(&world) == 1 {
            break;
        }
        assert!(attempt < 3000, "{} files are kept", kept(&world));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.client.get(kept_one["url"].as_str().unwrap()).await.expect(200).text, "pitch");
}
