//! Claims: three people grant one, and it is paid once, though services and the broker are killed.

use crate::world::{FIRST, World};
use http::Method;
use plimsoll_kit::testing::client::More;
use plimsoll_kit::testing::process::PATIENCE;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A member with something to claim, signed in.
struct Member {
    bearer: String,
    claims: String,
    balance: String,
}

/// Files for both organizations' first members, and signs those in.
async fn members(world: &World) -> [Member; 2] {
    let mut members = Vec::new();
    for number in 0..2_u32 {
        let employer = world.sign_in(&format!("employer{number}")).await;
        let organization = format!("{}{number}", &FIRST[..FIRST.len() - 1]);
        let body = "number,wage,employee,employer,pension\nM-000000,15000,1800,550,1250\n";
        world.file(&employer, &format!("{organization}/2025-04?total=3600"), body).await.expect(201);
        let bearer = world.sign_in(&format!("member{number}")).await;
        let me = world.client("user").get_as(&bearer, "/api/v1/users/me").await.expect(200).json();
        let of = format!("{organization}/members/{}", me["member"].as_str().unwrap());
        members.push(Member {
            bearer,
            claims: format!("/api/v1/pension/{of}/claims"),
            balance: format!("/api/v1/pf/{of}"),
        });
    }
    members.try_into().ok().unwrap()
}

/// Claims under a key.
async fn claim(world: &World, member: &Member, key: &str, wanted: &Value) -> plimsoll_kit::testing::client::Reply {
    let more = More::json(wanted).with("authorization", &member.bearer).with("idempotency-key", key);
    world.client("pension").send(Method::POST, &member.claims, more).await
}

/// Does something with a case as soon as it is there.
async fn act(world: &World, bearer: &str, id: &str, act: &str, want: u16) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let path = format!("/api/v1/workflow/cases/{id}/{act}");
        let reply = world.post("workflow", bearer, &path, &json!({ "note": "seen" })).await;
        if reply.status != 404 {
            return reply.expect(want).json();
        }
        assert!(Instant::now() < deadline, "the case never came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The member's only claim when it is in this state.
async fn until(world: &World, member: &Member, state: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let claims = world.client("pension").get_as(&member.bearer, &member.claims).await.expect(200).json();
        if claims["claims"][0]["state"] == state {
            return claims["claims"][0].clone();
        }
        assert!(Instant::now() < deadline, "never {state}: {claims}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn balance(world: &World, member: &Member) -> Value {
    world.client("pf").get_as(&member.bearer, &member.balance).await.expect(200).json()["balance"].clone()
}

fn advance(amount_paise: i64, account: &str) -> Value {
    json!({ "kind": "advance", "amount_paise": amount_paise, "account": account, "ifsc": "SBIN0001234" })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proves_a_claim_hangs_on_it_and_is_read_by_a_link_that_is_good() {
    let mut world = World::start().await;
    world.complete();
    let [anna, paul] = members(&world).await;
    let claim = claim(&world, &anna, "1", &advance(90_000, "123456789")).await.expect(201).json();
    let (organization, id) = (claim["organization"].as_str().unwrap(), claim["id"].as_str().unwrap());
    let (documents, path) = (world.client("document"), format!("/api/v1/documents/{organization}/claims/{id}"));
    let bring = |bearer, body| More::text(body).with("authorization", bearer).with("content-type", "text/plain");
    let named = format!("{path}?name=proof%202.txt");
    documents.send(Method::POST, &named, bring(&paul.bearer, "no")).await.expect(403);
    documents.send(Method::POST, &named, bring(&anna.bearer, "")).await.expect(422);
    let brought = documents.send(Method::POST, &named, bring(&anna.bearer, "employed")).await.expect(201).json();
    assert_eq!((&brought["name"], &brought["bytes"]), (&json!("proof 2.txt"), &json!(8)));

    let employer = world.sign_in("employer0").await;
    documents.get_as(&paul.bearer, &path).await.expect(403);
    let listed = documents.get_as(&employer, &path).await.expect(200).json();
    let url = listed["documents"][0]["url"].as_str().unwrap();
    let file = documents.get(url).await.expect(200);
    assert_eq!((file.text.as_str(), file.header("content-type")), ("employed", "text/plain"));
    assert!(file.header("content-disposition").starts_with("attachment"));
    documents.get(&url.replace("signature=", "signature=0")).await.expect(403);
    let other = url.replacen(brought["id"].as_str().unwrap(), id, 1);
    documents.get(&other).await.expect(403);
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_granted_by_three_people_and_paid_once_though_payment_and_the_broker_are_killed() {
    let mut world = World::start().await;
    world.complete();
    let [anna, paul] = members(&world).await;
    let (employer, officers) =
        (world.sign_in("employer0").await, [world.sign_in("officer0").await, world.sign_in("officer1").await]);

    claim(&world, &anna, "too-much", &advance(90_001, "123456789")).await.expect(422);
    let wanted = advance(90_000, "123456789");
    let opened = claim(&world, &anna, "1", &wanted).await.expect(201).json();
    assert_eq!(claim(&world, &anna, "1", &wanted).await.expect(201).json(), opened, "one key, one claim");
    claim(&world, &anna, "2", &wanted).await.expect(409);
    let id = opened["id"].as_str().unwrap();
    world.post("pension", &paul.bearer, &anna.claims, &wanted).await.expect(403);

    // Four eyes, and two more.
    act(&world, &officers[0], id, "verify", 403).await;
    act(&world, &anna.bearer, id, "verify", 403).await;
    act(&world, &employer, id, "verify", 200).await;
    act(&world, &employer, id, "verify", 409).await;
    act(&world, &officers[0], id, "approve", 200).await;
    let refused = act(&world, &officers[0], id, "sanction", 403).await;
    assert_eq!(refused["type"], "urn:problem:same-person");
    assert_eq!(balance(&world, &anna).await["employee_paise"], 180_000, "nothing is taken before it is granted");

    // It is granted while payment is away, and payment and the broker die in the midst of it.
    world.replace_broker();
    assert_eq!(act(&world, &officers[1], id, "sanction", 200).await["state"], "granted");
    world.replace("payment");
    world.replace_broker();
    world.replace("pension");
    world.replace("payment");
    until(&world, &anna, "paid").await;
    assert_eq!(balance(&world, &anna).await["employee_paise"], 90_000);
    let payment =
        world.client("payment").get_as(&anna.bearer, &format!("/api/v1/payments/{id}")).await.expect(200).json();
    assert_eq!(
        (&payment["state"], &payment["amount_paise"], &payment["account"]),
        (&json!("paid"), &json!(90_000), &json!("6789"))
    );
    let transfers: i64 = sqlx::query_scalar("SELECT count(*) FROM transfers WHERE account = 'bank'")
        .fetch_one(&world.pool("payments").await)
        .await
        .unwrap();
    assert_eq!(transfers, 1, "paid once");
    let case =
        world.client("workflow").get_as(&anna.bearer, &format!("/api/v1/workflow/cases/{id}")).await.expect(200).json();
    let acts: Vec<_> = case["history"].as_array().unwrap().iter().map(|done| done["act"].as_str().unwrap()).collect();
    assert_eq!(acts, ["verify", "approve", "sanction"]);

    // What the bank sends back, the member has again.
    let settlement = json!({ "kind": "settlement", "account": "000123456", "ifsc": "SBIN0001234" });
    let returned = claim(&world, &paul, "1", &settlement).await.expect(201).json();
    assert_eq!(returned["amount_paise"], 235_000);
    let id = returned["id"].as_str().unwrap();
    act(&world, &world.sign_in("employer1").await, id, "verify", 200).await;
    act(&world, &officers[1], id, "approve", 200).await;
    act(&world, &officers[0], id, "sanction", 200).await;
    assert_eq!(until(&world, &paul, "returned").await["why"], "the bank knows no such account");
    let has = json!({ "employee_paise": 180_000, "employer_paise": 55_000, "pension_paise": 125_000 });
    assert_eq!(balance(&world, &paul).await, has);
    // Whoever does not want it any more withdraws it; nothing moves.
    let withdrawn = claim(&world, &paul, "2", &advance(1, "123456789")).await.expect(201).json();
    act(&world, &paul.bearer, withdrawn["id"].as_str().unwrap(), "withdraw", 200).await;
    assert_eq!(until(&world, &paul, "refused").await["why"], "withdrawn");

    let (right, audit) = world.audit();
    assert!(right && audit.contains("3 settled claims (0 on their way)"), "{audit}");
    assert!(
        audit
            .lines()
            .any(|line| line.split_whitespace().eq(["paid", "by", "claims", "900.00", "900.00", "by", "payment"])),
        "{audit}"
    );
    let spoilt = "INSERT INTO payments SELECT gen_random_uuid(), organization_id, member_id, 1, account, ifsc, 'paid', NULL \
                  FROM payments LIMIT 1";
    sqlx::query(spoilt).execute(&world.pool("payments").await).await.unwrap();
    let (right, audit) = world.audit();
    assert!(!right && audit.contains("is of no claim"), "{audit}");
    world.stop();
}
