//! The core: organizations, ten thousand members, filings, interest, and books that balance.

use crate::world::{FIRST, PASSWORD, World, file};
use http::Method;
use plimsoll_kit::testing::client::More;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Instant;

const MEMBERS: usize = 10_000;
const HEAD: &str = "number,wage,employee,employer,pension\n";
/// All that is paid in for ten thousand wages of 15,000 rupees: 3,600 for each.
const TOTAL: &str = "36000000.00";

/// A filing of ten thousand members with one wage each.
fn filing() -> String {
    (0..MEMBERS).fold(HEAD.to_owned(), |mut text, member| {
        let _ = writeln!(text, "E-{member:05},15000.00,1800.00,550.00,1250.00");
        text
    })
}

/// An organization of ten thousand members, and its employer's header.
async fn large(world: &World, officer: &str) -> (String, String) {
    let organizations = world.client("organization");
    let named = json!({ "name": "Large" });
    let create = || More::json(&named).with("authorization", officer).with("idempotency-key", "large");
    let created = organizations.send(Method::POST, "/api/v1/organizations", create()).await.expect(201).json();
    let again = organizations.send(Method::POST, "/api/v1/organizations", create()).await.expect(201).json();
    assert_eq!(created, again, "one key, one organization");
    let id = created["id"].as_str().unwrap().to_owned();
    let employer = json!({ "email": "large@example.com", "name": "Large", "password": PASSWORD, "role": "employer",
        "organization": id });
    world.post("user", officer, "/api/v1/users", &employer).await.expect(201);
    world.post("user", officer, "/api/v1/users", &employer).await.expect(409);
    let employer = world.sign_in("large").await;
    let members: Vec<Value> =
        (0..MEMBERS).map(|n| json!({ "number": format!("E-{n:05}"), "name": format!("Employee {n}") })).collect();
    let (path, body) = (format!("/api/v1/organizations/{id}/members"), json!({ "members": members }));
    let added = world.post("organization", &employer, &path, &body).await.expect(200).json();
    assert_eq!(added, json!({ "added": MEMBERS, "known": 0 }));
    let added = world.post("organization", &employer, &path, &body).await.expect(200).json();
    assert_eq!(added, json!({ "added": 0, "known": MEMBERS }));
    (id, employer)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_members_are_filed_for_as_a_whole_and_get_interest_to_the_paisa() {
    let world = World::start().await;
    let officer = world.sign_in("officer0").await;
    let (id, employer) = large(&world, &officer).await;

    // One mistake, and nothing of it is taken.
    let (path, right) = (format!("{id}/2024-05?total={TOTAL}"), filing());
    let wrong = right.replacen("E-00007,15000.00,1800.00", "E-00007,15000.00,1800.01", 1).replace("E-09999,", "E-X,");
    let refused = world.file(&employer, &path, &wrong).await.expect(422).json();
    assert_eq!((&refused["count"], &refused["mistakes"][0]["line"]), (&json!(2), &json!(9)));
    assert_eq!(refused["mistakes"][1], json!({ "line": 10_001, "what": "the organization has no member \"E-X\"" }));
    let short = format!("{id}/2024-05?total=35999999.99");
    world.file(&employer, &short, &right).await.expect(422);
    let stranger = world.sign_in("employer0").await;
    world.file(&stranger, &path, &right).await.expect(403);

    let started = Instant::now();
    let filed = world.file(&employer, &path, &right).await.expect(201).json();
    println!("a filing of {MEMBERS} members took {} ms", started.elapsed().as_millis());
    assert_eq!((&filed["lines"], &filed["total_paise"]), (&json!(MEMBERS), &json!(3_600_000_000_i64)));
    assert_eq!(world.file(&employer, &path, &right).await.expect(200).json(), filed, "the same again changes nothing");
    world.file(&employer, &path, &format!("{HEAD}E-00000,0,0,0,0\n")).await.expect(409);
    world.file(&employer, &format!("{id}/2999-01?total={TOTAL}"), &right).await.expect(422);
    // Twice at once: one is taken.
    let second = format!("{id}/2025-05?total={TOTAL}");
    let pf = world.client("pf");
    let (one, other) = tokio::join!(file(&pf, &employer, &second, &right), file(&pf, &employer, &second, &right));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 201]);

    // Ten months at 8.25 %: 123.75 of the employees' share and 37.8125 of the employers', handed out to the paisa.
    let (year, rate) = ("/api/v1/pf/interest/2024", json!({ "rate_bp": 825 }));
    world.post("pf", &employer, year, &rate).await.expect(403);
    world.post("pf", &officer, "/api/v1/pf/interest/2498", &rate).await.expect(422);
    let credited = world.post("pf", &officer, year, &rate).await.expect(200).json();
    assert_eq!(
        credited,
        json!({ "organizations": 1, "passed_over": 2, "accounts": 20_000, "total_paise": 161_562_500 })
    );
    let again = world.post("pf", &officer, year, &rate).await.expect(200).json();
    assert_eq!((&again["organizations"], &again["total_paise"]), (&json!(0), &json!(0)));
    world.post("pf", &officer, year, &json!({ "rate_bp": 800 })).await.expect(409);
    world.file(&employer, &format!("{id}/2024-06?total={TOTAL}"), &right).await.expect(409);
    let fund = world.pool("fund").await;
    let up = "SELECT count(*) FROM entries WHERE account = 'employer' AND paise = 3782";
    assert_eq!(sqlx::query_scalar::<_, i64>(up).fetch_one(&fund).await.unwrap(), 2500, "a quarter is rounded up");

    let path = format!("/api/v1/organizations/{id}/members?limit=1");
    let first = world.client("organization").get_as(&employer, &path).await.expect(200).json();
    let member = first["members"][0]["id"].as_str().unwrap().to_owned();
    let statement = format!("/api/v1/pf/{id}/members/{member}");
    let statement = world.client("pf").get_as(&employer, &statement).await.expect(200).json();
    assert_eq!(statement["balance"]["employee_paise"], 2 * 180_000 + 12_375);
    assert_eq!(statement["balance"]["pension_paise"], 2 * 125_000, "a pension bears no interest");
    let kinds: Vec<_> =
        statement["moved"].as_array().unwrap().iter().map(|moved| moved["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["contribution", "interest", "contribution"]);

    let (right, audit) = world.audit();
    assert!(right && audit.contains("0 differences among 2 filings, 3 transactions"), "{audit}");
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn books_cannot_be_falsified_and_an_organization_lies_in_one_shard() {
    let world = World::start().await;
    let (officer, employer) = (world.sign_in("officer0").await, world.sign_in("employer0").await);
    let path = format!("{FIRST}/2025-04?total=7200");
    let body = format!("{HEAD}M-000000,15000,1800,550,1250\nM-000001,15000,1800,550,1250\n");
    world.file(&employer, &path, &body).await.expect(201);

    let fund = world.pool("fund").await;
    let refused = async |sql: &str, why: &str| {
        let error = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&fund).await.unwrap_err().to_string();
        assert!(error.contains(why), "{sql}: {error}");
    };
    for table in ["entries", "transactions", "filing_lines"] {
        refused(&format!("DELETE FROM {table}"), "append-only").await;
        refused(&format!("TRUNCATE {table} CASCADE"), "append-only").await;
    }
    refused("UPDATE entries SET paise = paise + 1", "append-only").await;
    refused("DELETE FROM members", "append-only").await;
    let nobody = "INSERT INTO entries (organization_id, transaction_id, account, member_id, paise) SELECT organization_id, id, \
                  account, member, paise FROM transactions, \
                  (VALUES ('pension', gen_random_uuid(), 1), ('received', NULL, -1)) AS e (account, member, paise)";
    refused(nobody, "no such transaction").await;
    let shard: i32 = sqlx::query_scalar(
        "SELECT shard FROM generate_series(0, 15) AS shard \
         WHERE satisfies_hash_partition('organizations'::regclass, 16, shard, $1::uuid)",
    )
    .bind(FIRST)
    .fetch_one(&fund)
    .await
    .unwrap();
    for table in ["entries".to_owned(), format!("entries_{shard:02}")] {
        let sql = format!(
            "INSERT INTO {table} (organization_id, transaction_id, account, paise) \
             SELECT organization_id, id, 'received', 1 FROM transactions LIMIT 1"
        );
        refused(&sql, "does not balance").await;
    }
    // A query that names the organization asks one shard.
    let sql = format!("EXPLAIN SELECT sum(paise) FROM entries WHERE organization_id = '{FIRST}'");
    let plan: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&fund).await.unwrap();
    let plan = plan.join("\n");
    let own = plan.matches(&format!("entries_{shard:02}")).count();
    assert!(own > 0 && plan.matches("entries_").count() == own, "{plan}");
    // One that names none asks all of them.
    let shards = world.client("organization").get_as(&officer, "/api/v1/shards").await.expect(200).json();
    let sum =
        |what: &str| shards["shards"].as_array().unwrap().iter().map(|one| one[what].as_i64().unwrap()).sum::<i64>();
    assert_eq!((sum("organizations"), sum("members"), sum("held_paise")), (2, 6, 720_000));
    assert_eq!(shards["shards"][usize::try_from(shard).unwrap()]["entries"], 7);
    let found =
        world.client("organization").get_as(&officer, "/api/v1/members?query=member%202").await.expect(200).json();
    assert_eq!(found["members"].as_array().unwrap().len(), 2, "in two shards or one");

    // Everybody sees their own.
    let member = world.sign_in("member0").await;
    let me = world.client("user").get_as(&member, "/api/v1/users/me").await.expect(200).json();
    assert_eq!((&me["role"], &me["organization"]), (&json!("member"), &json!(FIRST)));
    let own = format!("/api/v1/pf/{FIRST}/members/{}", me["member"].as_str().unwrap());
    let statement = world.client("pf").get_as(&member, &own).await.expect(200).json();
    assert_eq!(
        statement["balance"],
        json!({ "employee_paise": 180_000, "employer_paise": 55_000, "pension_paise": 125_000 })
    );
    let other = world.sign_in("member1").await;
    world.client("pf").get_as(&other, &own).await.expect(403);
    world.client("organization").get_as(&member, "/api/v1/organizations").await.expect(403);
    world.client("organization").get("/api/v1/organizations").await.expect(401);

    // An honest audit finds what is wrong.
    assert!(world.audit().0);
    sqlx::query("UPDATE filings SET total_paise = total_paise + 1").execute(&fund).await.unwrap();
    let (right, audit) = world.audit();
    assert!(!right && audit.contains("1 differences") && audit.contains("720001 paise filed"), "{audit}");
    world.stop();
}
