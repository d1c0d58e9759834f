//! `plimsoll prove` of a store's failover: real writes, a primary that is killed and one that hangs.

use crate::world::World;
use plimsoll_api::Status;
use std::process::Command;

const POSTGRES: &str = r#"
services:
  web: { command: [./app], port: 80, uses: [accounts] }
stores:
  accounts: { engine: postgres, instances: 2, synchronous: true }
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
promises:
  takeover: { failover: { store: accounts, max: 60s }, load: { kills: 1 } }
"#;

const POOLED: &str = r#"
services:
  web: { command: [./app], port: 80, uses: [accounts] }
stores:
  accounts: { engine: postgres, instances: 2, synchronous: true, pooler: { defaultPoolSize: 5 } }
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
promises:
  takeover: { failover: { store: accounts, max: 60s }, load: { kills: 1 } }
"#;

const REDIS: &str = r#"
services:
  web: { command: [./app], port: 80, uses: [cache, single] }
stores:
  cache: { engine: redis, cluster: { masters: 3, replicasPerMaster: 1 } }
  single: { engine: redis }
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
promises:
  takeover: { failover: { store: cache, max: 60s, lost: 100000 }, load: { kills: 1 } }
  restart: { failover: { store: single, max: 60s }, load: { kills: 1 } }
"#;

/// All members of that store run, each with a part.
fn whole(status: &Status, store: &str) -> bool {
    let members = &status.stores[store].members;
    status.settled && members.iter().all(|member| member.pid.is_some() && !member.role.is_empty())
}

/// Proves one promise, and gives its proof.
fn prove(world: &World, promise: &str) -> serde_json::Value {
    let ran = world.run(&["prove", promise, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err));
    let proof = report["proofs"][0].clone();
    eprintln!("{}: {} ({})", promise, proof["measured"], proof["figures"]);
    assert_eq!(proof["verdict"], "held", "{}", ran.out);
    proof
}

/// What has happened to it, by the words of its figures.
fn harms(proof: &serde_json::Value) -> Vec<&str> {
    let names = proof["figures"].as_array().unwrap().iter().filter_map(|figure| figure["name"].as_str());
    names.filter_map(|name| name.split_once(" of ").map(|(signal, _)| signal)).collect()
}

/// How many schemas of its own the store has.
fn left_behind(world: &World) -> String {
    let (_, url) = world.get("/env?name=ACCOUNTS_URL");
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname = 'plimsoll_prove'";
    world.until("an answer", || {
        let asked = Command::new("psql").args(["-XAtqc", left, &url]).output().unwrap();
        asked.status.success().then(|| String::from_utf8_lossy(&asked.stdout).trim().to_owned())
    })
}

#[test]
fn prove_kills_and_hangs_the_primary_of_postgres_under_writes_and_loses_none() {
    let Some(world) = World::with_servers(POSTGRES) else { return };
    world.until_status("all members are there", |status| whole(status, "accounts"));
    let proof = prove(&world, "takeover");
    assert_eq!(harms(&proof), ["SIGKILL", "SIGSTOP"]);
    assert!(proof["requests"].as_u64().is_some_and(|writes| writes >= 100), "{proof}");
    assert_eq!(proof["failed"], 0);
    assert_eq!(left_behind(&world), "0", "nothing of it is left behind");
    world.until_status("all members are there again", |status| whole(status, "accounts"));
    world.down();
}

#[test]
fn prove_sees_who_takes_over_behind_a_pooler_that_keeps_its_connections() {
    let Some(world) = World::with_servers(POOLED) else { return };
    world.until_status("all members are there", |status| whole(status, "accounts"));
    let proof = prove(&world, "takeover");
    assert_eq!(harms(&proof), ["SIGKILL", "SIGSTOP"]);
    assert_eq!(proof["failed"], 0);
    assert_eq!(left_behind(&world), "0", "nothing of it is left behind");
    world.down();
}

#[test]
fn prove_kills_a_master_of_a_redis_cluster_and_the_only_server_of_another() {
    let Some(world) = World::with_servers(REDIS) else { return };
    world.until_status("all members are there", |status| whole(status, "cache") && whole(status, "single"));
    let proof = prove(&world, "takeover");
    assert_eq!(harms(&proof), ["SIGKILL", "SIGSTOP"]);
    let proof = prove(&world, "restart");
    assert_eq!(harms(&proof), ["SIGKILL"]);
    assert!(proof["measured"].as_str().is_some_and(|measured| measured.starts_with("restart: ")), "{proof}");
    assert!(proof["statement"].as_str().is_some_and(|statement| statement.contains("one server")), "{proof}");
    world.down();
}
