//! Real stores, owned and not owned.

use crate::world::{World, skip};
use plimsoll_api::Status;
use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};

const STORES: &str = r#"
services:
  web: { command: [./app], port: 80, uses: [accounts, names] }
stores:
  accounts: { engine: postgres, version: "15" }
  names: { engine: redis, version: "7", cluster: { masters: 3, replicasPerMaster: 0 } }
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
"#;

/// Whether this machine has the servers; without them there is nothing to test, and the test says so.
fn has_servers(world: &World) -> bool {
    let said = world.run(&["doctor"]);
    if said.code != Some(0) {
        skip(&said.out);
    }
    said.code == Some(0)
}

/// One statement by `psql`, at the address that `web` is told.
#[track_caller]
fn sql(world: &World, statement: &str) -> String {
    let (_, url) = world.get("/env?name=ACCOUNTS_URL");
    let output = Command::new("psql").args(["-XAtqv", "ON_ERROR_STOP=1", "-c", statement, &url]).output().unwrap();
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// One command of Redis, at the address that `web` is told; follows the cluster's redirections.
fn redis(world: &World, words: &[&str]) -> String {
    let (_, url) = world.get("/env?name=NAMES_URL");
    let rest = url.split_once("://").unwrap().1;
    let (login, hosts) = rest.rsplit_once('@').unwrap_or(("", rest));
    let password = login.rsplit_once(':').map_or("", |(_, password)| password);
    let host = hosts.split([',', '/', '?']).next().unwrap();
    let (host, port) = host.rsplit_once(':').unwrap();
    let mut command = Command::new("redis-cli");
    command.args(["-c", "-h", host, "-p", port]).args(words);
    if !password.is_empty() {
        command.env("REDISCLI_AUTH", password);
    }
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn ready(status: &Status) -> bool {
    status.settled && status.stores.values().all(|store| store.ready)
}

#[test]
fn data_is_kept_until_it_is_dropped() {
    let world = World::new();
    world.write(STORES);
    if !has_servers(&world) {
        return;
    }
    world.bring_up();
    world.until_status("stores are ready", ready);
    sql(&world, "create table voyages (name text); insert into voyages values ('first')");
    assert_eq!(redis(&world, &["set", "harbour", "Bristol"]), "OK");

    world.down();
    world.bring_up();
    assert_eq!(sql(&world, "select name from voyages"), "first", "kept over down and up");
    assert_eq!(redis(&world, &["get", "harbour"]), "Bristol");

    // The engine's death is not the stores' affair.
    let before = world.status();
    let members = |status: &Status| -> Vec<Option<i32>> {
        status.stores.values().flat_map(|store| store.members.iter().map(|member| member.pid)).collect()
    };
    assert_eq!(members(&before).len(), 4);
    let engine = before.processes["engine"].pid;
    crate::sweep::signal(engine, rustix::process::Signal::KILL);
    let after = world.until_status("another engine", |status| {
        ready(status) && status.processes.get("engine").is_some_and(|own| own.pid != engine)
    });
    assert_eq!(members(&after), members(&before), "not one member was started anew");

    // A member that dies is started again, with its data.
    for pid in members(&after).into_iter().flatten() {
        crate::sweep::signal(pid, rustix::process::Signal::KILL);
    }
    world.until_status("all are back", |status| {
        ready(status) && members(status).iter().all(|pid| pid.is_some() && !members(&after).contains(pid))
    });
    assert_eq!(sql(&world, "select name from voyages"), "first", "kept over kill -9");
    world.until("the cluster has it again", || (redis(&world, &["get", "harbour"]) == "Bristol").then_some(()));

    world.run(&["down", "--volumes"]).good();
    world.until_gone();
    world.bring_up();
    assert_eq!(sql(&world, "select count(*) from pg_tables where tablename = 'voyages'"), "0", "dropped");
    assert_eq!(redis(&world, &["get", "harbour"]), "");
    world.run(&["down", "--volumes"]).good();
    world.until_gone();
}

#[test]
fn an_external_store_is_used_and_left_alone() {
    let owner = World::new();
    owner.write(STORES);
    if !has_servers(&owner) {
        return;
    }
    owner.bring_up();
    let (_, url) = owner.get("/env?name=ACCOUNTS_URL");
    let mut user = World::new();
    user.env.push(("LEGACY".into(), url.clone()));
    user.write(
        r#"
services:
  web: { command: [./app], port: 80, uses: [legacy] }
stores:
  legacy: { engine: postgres, external: $(secret:LEGACY) }
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
"#,
    );
    user.bring_up();
    let status = user.until_status("it is ready", ready);
    assert!(status.stores["legacy"].external);
    assert_eq!(user.get("/env?name=LEGACY_URL").1, url);
    assert!(!user.run(&["status", "--json"]).good().contains(&url), "the address holds a password");
    user.run(&["down", "--volumes"]).good();
    user.until_gone();
    assert_eq!(sql(&owner, "select 1"), "1", "it serves on");
    owner.down();
}

#[test]
fn a_store_takes_nobody_without_its_password() {
    let world = World::new();
    world.write(STORES);
    if !has_servers(&world) {
        return;
    }
    world.bring_up();
    let status = world.status();
    for member in &status.stores["names"].members {
        let mut stream = TcpStream::connect(("127.0.0.1", member.port)).unwrap();
        stream.write_all(b"GET harbour\r\n").unwrap();
        let mut answer = [0; 64];
        let count = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
        assert!(answer.starts_with("-NOAUTH"), "{}: {answer}", member.name);
    }
    let (_, url) = world.get("/env?name=ACCOUNTS_URL");
    let (scheme, rest) = url.split_once("://").unwrap();
    let (login, place) = rest.rsplit_once('@').unwrap();
    let wrong = format!("{scheme}://{}:wrong@{place}", login.split(':').next().unwrap());
    let output = Command::new("psql").args(["-XAtqc", "select 1", &wrong]).output().unwrap();
    assert!(!output.status.success(), "a wrong password was taken");
    world.down();
}

#[test]
fn a_store_whose_secret_comes_later_is_tried_again_by_the_next_up() {
    let mut world = World::new();
    world.write(
        r#"
services:
  web: { command: [./app], port: 80 }
stores:
  legacy: { engine: postgres, external: $(secret:LEGACY_OF_THIS_TEST) }
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
"#,
    );
    world.run(&["up", "--detach", "--timeout", "1"]);
    world.until_status("it has failed", |status| status.stores["legacy"].phase == "Failed");
    // Nobody listens there: it is looked for, which is all that is asked here.
    world.env.push(("LEGACY_OF_THIS_TEST".into(), "postgres://nobody@127.0.0.1:1/nothing".into()));
    world.run(&["up", "--detach", "--timeout", "1"]);
    let status = world.until_status("it is looked for", |status| status.stores["legacy"].phase == "Starting");
    assert!(status.stores["legacy"].reason.contains("waiting for it"), "{:?}", status.stores["legacy"]);
    world.down();
}
