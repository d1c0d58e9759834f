//! Validation, the filter in a cluster, rebuild.

use crate::world::World;
use credentials::seed::generated_name;
use plimsoll_kit::testing::stores::Redis;
use serde_json::json;

#[tokio::test]
async fn validates_over_a_cluster_and_rebuilds() {
    let world = World::start(Redis::cluster());
    world.run(&["seed", "--count", "3000"]);
    world.wait_for_filter().await;
    answers_by_whoever_knows(&world).await;
    answers_many_at_once(&world).await;
    shows_and_rebuilds_the_filter(&world).await;
    describes_itself(&world).await;
    let keys: usize =
        world.redis.ports.iter().filter(|port| world.redis.ask(**port, &["dbsize"]).trim() != "0").count();
    assert_eq!(keys, 3, "the bitmaps are spread over all masters");
}

async fn answers_by_whoever_knows(world: &World) {
    world.wait_for_filter().await;
    let free = world.check("Certainly-Free").await;
    assert_eq!((&free["name"], &free["status"]), (&json!("Certainly-Free"), &json!("available")));
    assert_eq!(free["reasons"], json!([]));
    assert_eq!(world.check("x").await["reasons"], json!(["too-short"]));
    assert_eq!(world.check("adm1n").await["reasons"], json!(["looks-reserved"]));
    let cyrillic = world.check("%D0%B0dmin").await;
    assert_eq!(cyrillic["reasons"], json!(["alphabet", "look-alike-letter", "looks-reserved"]));
    assert_eq!(cyrillic["by"], "rules");
    let taken = generated_name(7);
    let first = world.check(&taken).await;
    assert_eq!((&first["status"], &first["by"]), (&json!("taken"), &json!("database")));
    assert_eq!(world.check(&taken).await["by"], "cache");
    let alike = taken.replace('o', "0").to_uppercase();
    if alike.contains('0') {
        assert_eq!(world.check(&alike).await["reasons"], json!(["looks-taken"]));
    }
}

async fn answers_many_at_once(world: &World) {
    let mut names: Vec<String> = (0..499).map(generated_name).collect();
    names.extend((0..500).map(|index| format!("free-name-{index}")));
    names.push("no".into());
    let reply = world.client.post("/api/usernames:check", &json!({ "names": names })).await.expect(200).json();
    let results = reply["results"].as_array().unwrap();
    assert_eq!(results.len(), 1000);
    let statuses = |range: std::ops::Range<usize>| results[range].iter().map(|r| r["status"].as_str().unwrap());
    assert!(statuses(0..499).all(|status| status == "taken"));
    assert!(statuses(499..999).all(|status| status == "available"));
    assert_eq!(results[999]["status"], "invalid");
    let too_many = vec!["name"; 1001];
    let refused = world.client.post("/api/usernames:check", &json!({ "names": too_many })).await.expect(422);
    assert_eq!(refused.header("content-type"), "application/problem+json");
}

async fn shows_and_rebuilds_the_filter(world: &World) {
    let before = world.client.get("/api/filter?probes=20000").await.expect(200).json();
    assert_eq!(before["probed"], 20_000);
    assert!(before["false_positive_rate_measured"].as_f64().unwrap() < 0.01, "{before}");
    assert!(before["false_positive_rate_theoretical"].as_f64().unwrap() < 0.01, "{before}");
    assert_eq!((&before["k"], &before["block_bits"]), (&json!(10), &json!(512)));
    world.run(&["rebuild"]);
    loop {
        let after = world.client.get("/api/filter?probes=0").await.expect(200).json();
        if after["generation"].as_u64() > before["generation"].as_u64() {
            assert_eq!(after["entries_at_build"], after["accounts"]);
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(world.check(&generated_name(2999)).await["status"], "taken");
}

async fn describes_itself(world: &World) {
    let description = world.client.get("/openapi.json").await.expect(200).json();
    for path in ["/api/usernames/{name}", "/api/registrations", "/api/sessions", "/api/admin/accounts", "/api/filter"] {
        assert!(description["paths"][path].is_object(), "{path}");
    }
    let metrics = world.client.get("/metrics").await.expect(200).text;
    for line in ["username_validations_total{by=\"filter\"}", "http_requests_total{", "process_cpu_seconds", "# EOF"] {
        assert!(metrics.contains(line), "{line} is missing in {metrics}");
    }
    let lost = world.client.get("/nothing").await.expect(404);
    assert_eq!(lost.json()["type"], "urn:problem:not-found");
    assert!(!lost.header("x-request-id").is_empty());
    world.client.get("/health").await.expect(200);
    world.wait_until_ready(|ready| ready["degraded"] == json!([])).await;
}
