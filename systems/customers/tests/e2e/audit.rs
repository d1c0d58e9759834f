//! The audit: everything is in it, and whoever rewrites it is found out.

use crate::world::{World, path};
use http::Method;
use serde_json::{Value, json};

/// What `customers audit` says, and whether it was content.
pub(crate) fn follow(world: &World, words: &[&str]) -> (bool, String) {
    let output = world.role(&[&["audit"], words].concat()).output().unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
    )
}

fn head(said: &str) -> String {
    let line = said.lines().find(|line| line.contains("the audit holds")).unwrap_or_else(|| panic!("{said}"));
    serde_json::from_str::<Value>(line).unwrap()["head"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_sign_in_and_change_stands_in_the_audit() {
    let world = World::start();
    let admin = world.admin().await;
    world.sign_in("anna", "wrong horse").await.expect(401);
    let customer = admin.create("Emilia", "emilia@example.com").await;
    admin.send(Method::PATCH, &path(&customer), &json!({ "phone": "1" }), Some("\"1\"")).await.expect(200);
    admin.get("/api/customers/export").await.expect(200);
    admin.send(Method::DELETE, &path(&customer), &json!(null), Some("*")).await.expect(204);
    let id = customer["id"].as_str().unwrap();
    let about = admin.get(&format!("/api/audit?subject=customer%20{id}")).await.expect(200).json();
    let acts: Vec<&Value> = about["entries"].as_array().unwrap().iter().map(|entry| &entry["act"]).collect();
    assert_eq!(acts, ["delete", "update", "create"]);
    assert_eq!(about["entries"][1]["detail"], json!({ "version": 2, "changed": ["phone"] }));
    assert!(!about.to_string().contains("emilia@"), "the audit keeps nothing that customers told of themselves");
    let all = admin.get("/api/audit?limit=200").await.expect(200).json();
    for (actor, act, outcome) in [
        ("seed", "create-user", "done"),
        ("harbourmaster", "sign-in", "done"),
        ("anna", "sign-in", "refused"),
        ("harbourmaster", "export", "done"),
    ] {
        let right = |e: &Value| e["actor"] == actor && e["act"] == act && e["outcome"] == outcome;
        assert!(all["entries"].as_array().unwrap().iter().any(right), "{actor} {act} {outcome} in {all}");
    }
    let (holds, said) = follow(&world, &[]);
    assert!(holds, "{said}");
    assert_eq!(head(&said).split(':').next(), Some(all["entries"][0]["seq"].to_string().as_str()));
}

#[tokio::test]
async fn whoever_rewrites_the_audit_is_found_out() {
    let world = World::start();
    let admin = world.admin().await;
    for index in 0..5 {
        admin.create("Emilia", &format!("emilia{index}@example.com")).await;
    }
    let (holds, said) = follow(&world, &[]);
    assert!(holds, "{said}");
    let noted = head(&said);
    let pool = world.pool().await;
    for sql in ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"] {
        let refused = sqlx::query(sql).execute(&pool).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{sql}: {refused}");
    }
    // Now as somebody who may do everything in the database.
    let run = async |sql: &'static str| {
        sqlx::query(sql).execute(&pool).await.unwrap();
    };
    run("ALTER TABLE audit DISABLE TRIGGER ALL").await;
    for (damage, repair, says) in [
        (
            "UPDATE audit SET actor = 'nobody' WHERE seq = 4",
            "UPDATE audit SET actor = 'harbourmaster' WHERE seq = 4",
            "row 4: its content was changed",
        ),
        (
            "UPDATE audit SET seq = 100 WHERE seq = 5",
            "UPDATE audit SET seq = 5 WHERE seq = 100",
            "row 5: it is missing",
        ),
        ("UPDATE audit_head SET seq = seq + 1", "UPDATE audit_head SET seq = seq - 1", "does not end at its head"),
    ] {
        run(damage).await;
        let (holds, said) = follow(&world, &[]);
        assert!(!holds && said.contains(says), "{damage}: {said}");
        run(repair).await;
        assert!(follow(&world, &[]).0);
    }
    // A whole new chain, right in itself, is not the one that was noted.
    run("TRUNCATE audit").await;
    run("UPDATE audit_head SET seq = 0, hash = decode(repeat('00', 32), 'hex')").await;
    for _ in 0..8 {
        run("SELECT audit_append('nobody', 'nothing', '', 'done', '{}', '-')").await;
    }
    assert!(follow(&world, &[]).0);
    let (holds, said) = follow(&world, &["--expect", &noted]);
    assert!(!holds && said.contains("not the row that was noted"), "{said}");
}
