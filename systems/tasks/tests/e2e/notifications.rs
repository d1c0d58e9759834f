//! What people are told: once for each occasion, whatever dies in between.

use crate::listeners::{Hook, Relay};
use crate::tasks::{create, path, shared};
use crate::world::{World, email};
use http::Method;
use plimsoll_kit::sessions::hex;
use plimsoll_kit::signature;
use serde_json::{Value, json};
use std::time::Duration;

const SECRET: &str = "a secret that both sides know well";

/// How the notifications of this world have ended, in order of the tasks' titles; waits until none is left.
async fn ended(world: &World, count: i64) -> Vec<String> {
    let pool = world.pool().await;
    for _ in 0..3000 {
        let sql = "SELECT count(*) FROM notifications WHERE ended_at IS NOT NULL";
        if sqlx::query_scalar::<_, i64>(sql).fetch_one(&pool).await.unwrap() >= count {
            let sql =
                "SELECT n.ended_how FROM notifications n JOIN tasks t ON t.id = n.task_id ORDER BY t.title, n.kind";
            return sqlx::query_scalar(sql).fetch_all(&pool).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("some notifications never end");
}

#[tokio::test]
async fn whoever_gets_a_task_is_told_once_by_mail_and_webhook() {
    let mut world = World::start();
    let (relay, hook) = (Relay::start(), Hook::start().await);
    // Two replicas empty one queue.
    for _ in 0..2 {
        world.notify(&relay, &[("WEBHOOK_URL", &hook.url()), ("WEBHOOK_SECRET", SECRET)]);
    }
    let (anna, boris, project) = shared(&world).await;
    for index in 0..20 {
        let body =
            json!({ "project": project, "title": format!("Caulk {index:02} «é»\u{2028}"), "assignee": boris.id });
        create(&anna, body).await;
    }
    // Nobody is told what they did themselves, or what changes nothing.
    let own = create(&anna, json!({ "project": project, "title": "Own", "assignee": anna.id })).await;
    anna.send(Method::PATCH, &path(&own), &json!({ "status": "doing" }), Some("*")).await.expect(200);
    assert_eq!(ended(&world, 20).await, vec!["sent"; 20]);
    let (mails, told) = (relay.wait_for(20).await, hook.wait_for(20).await);
    assert_eq!((mails.len(), told.len()), (20, 20));
    let mut ids: Vec<&str> = mails.iter().map(|mail| mail.message_id()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 20, "each is another mail");
    for mail in &mails {
        assert_eq!(mail.to, email("Boris"));
        assert!(mail.text.contains("\r\nSubject: A task is yours\r\n"), "{}", mail.text);
        assert!(mail.text.contains("=C2=AB=C3=A9=C2=BB"), "{}", mail.text);
    }
    for (headers, body) in &told {
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        let signed = text("x-tasks-signature");
        let (at, signature) = signed.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
        let message = format!("{}.{at}.{body}", text("x-tasks-delivery"));
        assert_eq!(signature, hex(&signature::sign(SECRET.as_bytes(), message.as_bytes())));
        let said: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&said["kind"], &said["user_id"]), (&json!("assigned"), &json!(boris.id)));
        assert_eq!(said["id"], text("x-tasks-delivery"));
    }
    world.stop();
}

#[tokio::test]
async fn a_relay_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let mut world = World::start();
    let (relay, hook) = (Relay::start(), Hook::start().await);
    let (anna, boris, project) = shared(&world).await;
    relay.answer_first(&["451 busy", "451 busy"]);
    world.notify(&relay, &[("WEBHOOK_URL", &hook.url()), ("WEBHOOK_SECRET", SECRET)]);
    create(&anna, json!({ "project": project, "title": "A", "assignee": boris.id })).await;
    assert_eq!(ended(&world, 1).await, ["sent"]);
    assert_eq!((relay.mails().len(), relay.refused()), (1, 2));
    assert_eq!(hook.told().len(), 1, "the webhook had been told at the first attempt");
    relay.answer_first(&["550 no such mailbox"]);
    create(&anna, json!({ "project": project, "title": "B", "assignee": boris.id })).await;
    assert_eq!(ended(&world, 2).await, ["sent", "given-up"]);
    assert_eq!((relay.mails().len(), relay.refused()), (1, 3));
}

#[tokio::test]
async fn what_a_killed_replica_was_at_another_sends_under_the_same_id() {
    let mut world = World::start();
    let relay = Relay::start();
    let (anna, boris, project) = shared(&world).await;
    // The relay has the whole mail and says nothing: nobody knows whether it was taken.
    relay.answer_first(&[""]);
    let at = world.notify(&relay, &[("NOTIFY_LEASE_MS", "1000"), ("SMTP_ANSWER_MS", "120000")]);
    create(&anna, json!({ "project": project, "title": "A", "assignee": boris.id })).await;
    crate::listeners::until("the first attempt", || relay.refused() == 1).await;
    world.kill(at);
    world.notify(&relay, &[]);
    assert_eq!(ended(&world, 1).await, ["sent"]);
    let mails = relay.mails();
    assert_eq!(mails.len(), 1);
    let pool = world.pool().await;
    let (id, attempts): (String, i32) =
        sqlx::query_as("SELECT id::text, attempts FROM notifications").fetch_one(&pool).await.unwrap();
    assert_eq!((mails[0].message_id(), attempts), (format!("<{id}@example.com>").as_str(), 2));
}

#[tokio::test]
async fn what_is_due_is_told_of_once_and_what_is_over_not_at_all() {
    let mut world = World::start();
    let relay = Relay::start();
    let (anna, boris, project) = shared(&world).await;
    let soon = |title: &str, in_s: i64, status: &str| {
        let due = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + in_s).unwrap().to_string();
        json!({ "project": project, "title": title, "assignee": boris.id, "due_at": due, "status": status })
    };
    create(&boris, soon("A: due", 3600, "open")).await;
    create(&boris, soon("B: done", 3600, "done")).await;
    create(&boris, soon("C: far away", 3 * 24 * 3600, "open")).await;
    // Became Boris's and somebody else's again before anybody was told.
    let task = create(&anna, soon("D: overtaken", 3 * 24 * 3600, "open")).await;
    anna.send(Method::PATCH, &path(&task), &json!({ "assignee": null }), Some("*")).await.expect(200);
    world.notify(&relay, &[("REMIND_EVERY_S", "1")]);
    assert_eq!(ended(&world, 2).await, ["sent", "overtaken"]);
    let mails = relay.wait_for(1).await;
    assert!(
        mails[0].text.contains("Subject: A task is due\r\n") && mails[0].text.contains("A: due"),
        "{}",
        mails[0].text
    );
    // Another task comes due after some rounds; the first is not told of again.
    create(&boris, soon("E: due later", 7200, "open")).await;
    assert_eq!(relay.wait_for(2).await.len(), 2);
    assert_eq!(ended(&world, 3).await, ["sent", "overtaken", "sent"]);
    world.stop();
}
