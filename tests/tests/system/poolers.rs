//! PostgreSQL behind PgBouncer: fault 51 of the catalogue, deaths of what takes part, and a switchover that closes nobody's
//! connection.

use crate::{
    standbys::connect,
    sweep::signal,
    times,
    world::{LONG, World},
};
use plimsoll_api::{Status, status::MemberStatus};
use rustix::process::Signal;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio_postgres::{Client, SimpleQueryMessage};

const ONE: &str = r#"
services:
  web: { command: [./app], port: 80, uses: [accounts] }
stores:
  accounts: { engine: postgres, pooler: { maxConnections: 3000, defaultPoolSize: 20 } }
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
"#;

const TWO: &str = r#"
services:
  web: { command: [./app], port: 80, uses: [accounts] }
stores:
  accounts: { engine: postgres, instances: 2, pooler: { defaultPoolSize: 5 } }
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
"#;

/// Connections to the server at most.
const POOL: i64 = 20;

/// A system with that file, once its store is ready. `None`: this machine has no such servers.
fn started(yaml: &str) -> Option<World> {
    let world = World::with_servers(yaml)?;
    world.until_status("the store is ready", ready);
    Some(world)
}

fn ready(status: &Status) -> bool {
    status.settled
        && status.stores["accounts"].ready
        && status.stores["accounts"].members.iter().all(|it| it.pid.is_some())
}

fn pooler(status: &Status) -> &MemberStatus {
    status.stores["accounts"].members.iter().find(|member| member.role.starts_with("pooler")).unwrap()
}

fn servers(status: &Status) -> Vec<Option<i32>> {
    status.stores["accounts"].members.iter().filter(|it| !it.role.starts_with("pooler")).map(|it| it.pid).collect()
}

/// The first column of what a statement answers; asked in the text form, which needs no prepared statement.
async fn ask(client: &Client, statement: &str) -> Vec<String> {
    let messages = client.simple_query(statement).await.unwrap();
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    rows.collect()
}

#[test]
fn pool_exhaust_has_clients_wait_and_none_fail() {
    let Some(world) = started(ONE) else { return };
    let ((_, url), (_, direct)) = (world.get("/env?name=ACCOUNTS_URL"), world.get("/env?name=ACCOUNTS_URL_DIRECT"));
    assert_ne!(url, direct);
    let (count, each) = (100 * times(1).min(20), 20);
    let (mut waits, most) = world.runtime.block_on(async {
        let own = connect(&direct).await.unwrap();
        own.batch_execute("CREATE TABLE taken (client int, number int)").await.unwrap();
        let clients = (0..count).map(|number| {
            let url = url.clone();
            tokio::spawn(async move {
                let client = connect(&url).await.unwrap();
                let mut waits = Vec::new();
                for take in 0..each {
                    let begun = Instant::now();
                    client.batch_execute("BEGIN").await.unwrap();
                    waits.push(begun.elapsed());
                    client
                        .batch_execute(&format!(
                            "INSERT INTO taken VALUES ({number}, {take}); SELECT pg_sleep(0.002); COMMIT"
                        ))
                        .await
                        .unwrap();
                }
                waits
            })
        });
        let clients: Vec<_> = clients.collect();
        let (mut waits, mut most) = (Vec::new(), 0);
        for client in clients {
            let open = ask(
                &own,
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' \
                AND usename = current_user AND pid <> pg_backend_pid()",
            )
            .await;
            most = most.max(open[0].parse::<i64>().unwrap());
            waits.extend(tokio::time::timeout(3 * LONG, client).await.expect("nobody waits for ever").unwrap());
        }
        assert_eq!(ask(&own, "SELECT count(*) FROM taken").await, [(count * each).to_string()]);
        (waits, most)
    });
    assert!(most <= POOL, "{most} connections to the server");
    waits.sort_unstable();
    let at = |permille: usize| waits[(waits.len() - 1) * permille / 1000];
    eprintln!(
        "{count} clients on at most {POOL} connections ({most} seen): 0 of {} transactions failed; they waited {:?} at p50, {:?} at p99",
        waits.len(),
        at(500),
        at(990)
    );

    // The engine's death is not the pooler's affair; the pooler's own is mended.
    let before = world.status();
    let engine = before.processes["engine"].pid;
    signal(engine, Signal::KILL);
    let after = world.until_status("another engine", |status| {
        ready(status) && status.processes.get("engine").is_some_and(|own| own.pid != engine)
    });
    assert_eq!(pooler(&after).pid, pooler(&before).pid, "it was not started anew");
    signal(pooler(&after).pid.unwrap(), Signal::KILL);
    let back = world.until_status("another pooler", |status| ready(status) && pooler(status).pid != pooler(&after).pid);
    assert_eq!(servers(&back), servers(&before), "the server was left alone");
    world.runtime.block_on(async {
        let client = connect(&url).await.unwrap();
        assert_eq!(ask(&client, "SELECT count(*) FROM taken").await.len(), 1);
        let wrong = direct.replacen("accounts:", "accounts:wrong", 1).replace(&port(&direct), &port(&url));
        assert!(connect(&wrong).await.is_err(), "a wrong password was taken");
    });
    world.down();
}

fn port(url: &str) -> String {
    url.rsplit_once('@').unwrap().1.split_once('/').unwrap().0.to_owned()
}

#[test]
fn a_switchover_behind_a_pooler_closes_no_connection() {
    let Some(world) = started(TWO) else { return };
    let ((_, url), (_, direct)) = (world.get("/env?name=ACCOUNTS_URL"), world.get("/env?name=ACCOUNTS_URL_DIRECT"));
    let follows = |status: &Status| {
        ready(status) && status.stores["accounts"].members.iter().any(|member| member.detail.starts_with("follows"))
    };
    let former = world.until_status("the standby follows", follows);
    let primary = |status: &Status| -> Option<String> {
        let members = &status.stores["accounts"].members;
        members.iter().find(|member| member.role == "primary").map(|member| member.name.clone())
    };
    let (mut written, mut gaps) = (BTreeSet::new(), Vec::new());
    world.runtime.block_on(async {
        let own = connect(&direct).await.unwrap();
        own.batch_execute("CREATE TABLE written (number int)").await.unwrap();
        let client = connect(&url).await.unwrap();
        let mut number = 0;
        let mut asked = world.command(&["switchover", "accounts"]).0.spawn().unwrap();
        let mut until = Instant::now() + 2 * LONG;
        let mut done = None;
        while Instant::now() < until {
            number += 1;
            let begun = Instant::now();
            client
                .batch_execute(&format!("INSERT INTO written VALUES ({number})"))
                .await
                .expect("the connection stays");
            gaps.push(begun.elapsed());
            written.insert(number.to_string());
            if done.is_none() {
                done = world
                    .client
                    .status()
                    .await
                    .ok()
                    .filter(|now| ready(now) && primary(now).is_some_and(|it| Some(it) != primary(&former)));
                if done.is_some() {
                    // Some more, at the new one.
                    until = Instant::now() + Duration::from_secs(1);
                }
            }
        }
        assert!(done.is_some(), "another primary");
        assert!(asked.wait().unwrap().success());
        let kept: BTreeSet<String> = ask(&client, "SELECT number FROM written").await.into_iter().collect();
        assert_eq!(kept, written, "lost or written twice");
    });
    let longest = gaps.iter().max().unwrap();
    eprintln!("0 of {} writes lost or failed over one connection; the longest took {longest:?}", written.len());
    world.down();
}
