//! PostgreSQL with standbys: faults 45 to 49 of the catalogue, the engine's death in the middle of them, and a switchover.

use crate::{sweep::signal, times, world::World};
use plimsoll_api::Status;
use rustix::process::Signal;
use std::{
    collections::BTreeSet,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio_postgres::{Client, NoTls};

const SYNCHRONOUS: &str = r#"
services:
  web: { command: [./app], port: 80, uses: [accounts] }
stores:
  accounts: { engine: postgres, instances: 3, synchronous: true }
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
"#;

const ASYNCHRONOUS: &str = r#"
services:
  web: { command: [./app], port: 80, uses: [accounts] }
stores:
  accounts: { engine: postgres, instances: 2 }
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
"#;

/// Everybody is there: a primary, and all others follow it.
pub(crate) fn whole(status: &Status) -> bool {
    let store = &status.stores["accounts"];
    if store.members.iter().any(|member| member.pid.is_none()) {
        return false;
    }
    let follow = store.members.iter().filter(|member| member.role == "standby" && member.detail.starts_with("follows"));
    let primaries = store.members.iter().filter(|member| member.role == "primary").count();
    status.settled && store.ready && primaries == 1 && follow.count() + 1 == store.members.len()
}

/// The primary's name and process.
pub(crate) fn primary(status: &Status) -> (String, i32) {
    let members = &status.stores["accounts"].members;
    let member = members.iter().find(|member| member.role == "primary").unwrap();
    (member.name.clone(), member.pid.unwrap())
}

/// Everybody is there, and another one than `former` is the primary: what is shown may still be of before it died.
#[track_caller]
pub(crate) fn until_followed(world: &World, former: &str) -> Status {
    world.until_status("all members follow the new primary", |status| whole(status) && primary(status).0 != former)
}

/// A system with that file, once all members are there. `None`: this machine has no PostgreSQL.
pub(crate) fn started(yaml: &str) -> Option<World> {
    let world = World::with_servers(yaml)?;
    world.until_status("all members are there", whole);
    Some(world)
}

fn url(world: &World) -> String {
    world.get("/env?name=ACCOUNTS_URL").1
}

/// A write that was acknowledged.
struct Write {
    number: i64,
    begun: Instant,
    ended: Instant,
}

/// One client that writes numbers, one after the other, and remembers which were acknowledged and when.
pub(crate) struct Writer {
    acknowledged: Arc<Mutex<Vec<Write>>>,
    /// How often it could not connect.
    refused: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start(url: &str) -> Self {
        let acknowledged: Arc<Mutex<Vec<Write>>> = Arc::default();
        let ends = Arc::new(AtomicBool::new(false));
        let refused: Arc<AtomicUsize> = Arc::default();
        let (kept, stop, failed, url) = (acknowledged.clone(), ends.clone(), refused.clone(), url.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut next = 0_i64;
                while !stop.load(Relaxed) {
                    let Ok(client) = connect(&url).await else {
                        failed.fetch_add(1, Relaxed);
                        tokio::time::sleep(Duration::from_millis(10)).await; // refused at once, again and again
                        continue;
                    };
                    while !stop.load(Relaxed) {
                        next += 1;
                        let begun = Instant::now();
                        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&next];
                        let write = client.execute("INSERT INTO written VALUES ($1)", &values);
                        match tokio::time::timeout(Duration::from_secs(60), write).await {
                            Ok(Ok(_)) => {
                                kept.lock().unwrap().push(Write { number: next, begun, ended: Instant::now() })
                            }
                            Ok(Err(_)) | Err(_) => break,
                        }
                    }
                }
            });
        });
        Self { acknowledged, refused, ends, thread }
    }

    /// When the first write was acknowledged that was begun after that moment: what the dead one still answered is read later.
    pub(crate) fn first_after(&self, moment: Instant) -> Option<Instant> {
        self.acknowledged.lock().unwrap().iter().find(|write| write.begun > moment).map(|write| write.ended)
    }

    pub(crate) fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Ends it; all that was acknowledged.
    pub(crate) fn end(self) -> BTreeSet<i64> {
        self.ends.store(true, Relaxed);
        self.thread.join().unwrap();
        self.acknowledged.lock().unwrap().iter().map(|write| write.number).collect()
    }
}

pub(crate) async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Asks once more until it is answered: whoever asks in the middle of a failover may be cut off.
pub(crate) fn ask(world: &World, url: &str, statement: &str) -> Vec<String> {
    world.until(statement, || {
        let output = Command::new("psql").args(["-XAtqv", "ON_ERROR_STOP=1", "-c", statement, url]).output().unwrap();
        let lines = || String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        output.status.success().then(lines)
    })
}

/// A table to write to, and a client that does.
pub(crate) fn written(world: &World) -> (String, Writer) {
    let url = url(world);
    ask(world, &url, "CREATE TABLE IF NOT EXISTS written (number bigint PRIMARY KEY)");
    let writer = Writer::start(&url);
    world.until("some writes", || (writer.count() > 20).then_some(()));
    (url, writer)
}

/// None of what was acknowledged is missing.
pub(crate) fn assert_kept(world: &World, url: &str, acknowledged: &BTreeSet<i64>) {
    let there: BTreeSet<i64> =
        ask(world, url, "SELECT number FROM written").iter().map(|line| line.parse().unwrap()).collect();
    let lost: Vec<_> = acknowledged.difference(&there).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged writes are lost: {lost:?}", lost.len(), acknowledged.len());
}

#[test]
fn pg_primary_kill9() {
    let Some(world) = started(SYNCHRONOUS) else { return };
    let (url, writer) = written(&world);
    let rounds = times(3);
    let mut took = Vec::new();
    for round in 0..rounds {
        let (name, pid) = primary(&world.until_status("all members are there", whole));
        let killed = Instant::now();
        signal(pid, Signal::KILL);
        let first = world.until("a write to the new primary", || writer.first_after(killed + Duration::from_millis(5)));
        took.push(first.duration_since(killed));
        let status = until_followed(&world, &name);
        assert_ne!(primary(&status).0, name, "round {round}: another one took over");
    }
    let acknowledged = writer.end();
    assert_kept(&world, &url, &acknowledged);
    took.sort_unstable();
    eprintln!(
        "pg-primary-kill9: 0 of {} acknowledged writes lost in {rounds} kills; first new write after {took:?}",
        acknowledged.len()
    );
    assert_eq!(world.events().iter().filter(|event| event.reason == "Promoted").count(), rounds);
    let explained = world.run(&["explain", "store", "accounts"]).good();
    assert!(explained.contains("has received up to"), "{explained}");
    world.down();
}

#[test]
fn pg_primary_sigstop() {
    let Some(world) = started(SYNCHRONOUS) else { return };
    let (url, writer) = written(&world);
    let (name, pid) = primary(&world.until_status("all members are there", whole));
    signal(pid, Signal::STOP);
    world.event("promoted", |event| event.reason == "Promoted");
    let at = |reason: &str| world.events().iter().position(|event| event.reason == reason);
    assert!(at("Fenced") < at("Promoted") && at("Fenced").is_some(), "{:?}", world.events());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "the one that hung is gone");
    let status = until_followed(&world, &name);
    assert_ne!(primary(&status).0, name);
    assert_kept(&world, &url, &writer.end());
    world.down();
}

#[test]
fn pg_both_async_lag() {
    let Some(world) = started(ASYNCHRONOUS) else { return };
    let url = url(&world);
    ask(&world, &url, "CREATE TABLE written (number bigint PRIMARY KEY)");
    let (name, pid) = primary(&world.until_status("all members are there", whole));
    let standby = world.status().stores["accounts"]
        .members
        .iter()
        .find_map(|member| (member.role == "standby").then_some(member.pid).flatten());
    let receiver = receiver_of(standby.unwrap());
    signal(receiver, Signal::STOP);
    ask(&world, &url, "INSERT INTO written SELECT generate_series(1, 10000)");
    signal(pid, Signal::KILL);
    let refused = world.event("refused", |event| event.subject == "accounts" && event.reason == "Refused");
    signal(receiver, Signal::CONT);
    assert!(refused.message.contains(" bytes of what was written"), "{}", refused.message);
    assert!(refused.message.contains("no recovery point is promised"), "{}", refused.message);
    let status = world.until_status("it is whole again", whole);
    assert_eq!(primary(&status).0, name, "it was started again where its log is");
    assert_eq!(ask(&world, &url, "SELECT count(*) FROM written"), ["10000"], "nothing is lost");
    let explained = world.run(&["explain", "store", "accounts"]).good();
    assert!(explained.contains("had a recovery point of 1h been promised"), "{explained}");
    world.down();
}

/// The process by which a standby gets the log.
fn receiver_of(standby: i32) -> i32 {
    child_of(standby, "walreceiver")
}

/// The process of a server that says of itself that it does that.
fn child_of(server: i32, does: &str) -> i32 {
    let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
    let title = |pid: &&str| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let child = children.split_whitespace().find(|pid| title(pid).contains(does));
    child.unwrap().parse().unwrap()
}

#[test]
fn a_person_has_another_member_take_over_under_writes_and_nobody_is_refused() {
    let Some(world) = started(SYNCHRONOUS) else { return };
    let (url, writer) = written(&world);
    let (first, _) = primary(&world.until_status("all members are there", whole));
    let open = world.runtime.block_on(async {
        let client = connect(&url).await.unwrap();
        client.batch_execute("BEGIN; INSERT INTO written VALUES (-1)").await.unwrap();
        client
    });
    let mut took = Vec::new();
    for wanted in [None, Some(first.as_str())] {
        let (former, _) = primary(&world.until_status("all members are there", whole));
        let asked = Instant::now();
        world.run(&[&["switchover", "accounts"], wanted.as_slice()].concat()).good();
        let status = until_followed(&world, &former);
        assert!(wanted.is_none_or(|wanted| primary(&status).0 == wanted), "{:?}", status.stores["accounts"].members);
        let there = Instant::now();
        world.until("a write after that", || writer.first_after(there));
        took.push(longest_pause(&writer, asked));
    }
    assert!(world.runtime.block_on(open.batch_execute("COMMIT")).is_err(), "what was open is cut off");
    assert_eq!(writer.refused.load(Relaxed), 0, "whoever came waited");
    let acknowledged = writer.end();
    assert_kept(&world, &url, &acknowledged);
    assert_eq!(ask(&world, &url, "SELECT count(*) FROM written WHERE number < 0"), ["0"], "and nothing of it remains");
    let count = |reason: &str| world.events().iter().filter(|event| event.reason == reason).count();
    assert_eq!((count("Switchover"), count("Promoted"), count("Failover")), (2, 2, 0), "{:?}", world.events());
    eprintln!(
        "switchover: 0 of {} acknowledged writes lost, 0 connections refused; longest pause between two writes {took:?}",
        acknowledged.len()
    );

    // What can't be is said.
    world.run(&["switchover", "accounts", "accounts-9"]).bad();
    world.run(&["switchover", "accounts", &first]).good();
    let refused = world.event("refused", |event| event.subject == "accounts" && event.reason == "Refused");
    assert!(refused.message.contains("no other member is made the primary now"), "{}", refused.message);
    world.down();
}

/// The longest time between two acknowledged writes, of those after that moment and the last one before it.
fn longest_pause(writer: &Writer, since: Instant) -> Duration {
    let moments: Vec<Instant> = writer.acknowledged.lock().unwrap().iter().map(|write| write.ended).collect();
    let from = moments.partition_point(|at| *at < since).saturating_sub(1);
    moments[from..].windows(2).map(|pair| pair[1].duration_since(pair[0])).max().unwrap_or_default()
}

/// The ports of the members that answered of so many connections for reads.
fn readers(world: &World, reads: &str) -> BTreeSet<u16> {
    let port = |_| ask(world, reads, "SELECT inet_server_port()")[0].parse::<u16>().unwrap();
    (0..16).map(port).collect()
}

#[test]
fn a_standby_whose_replay_stands_still_serves_no_reads_and_does_not_take_over() {
    let Some(world) = started(SYNCHRONOUS) else { return };
    let (url, reads) = (url(&world), world.get("/env?name=ACCOUNTS_URL_READ").1);
    ask(&world, &url, "CREATE TABLE written (number bigint PRIMARY KEY)");
    let status = world.until_status("all members are there", whole);
    let standbys: Vec<_> =
        status.stores["accounts"].members.iter().filter(|it| it.role == "standby").cloned().collect();
    let both: BTreeSet<u16> = standbys.iter().map(|member| member.port).collect();
    world.until("both standbys serve reads", || (readers(&world, &reads) == both).then_some(()));

    let (paused, other) = (&standbys[0], &standbys[1]);
    let replay = child_of(paused.pid.unwrap(), "startup");
    signal(replay, Signal::STOP);
    ask(&world, &url, "INSERT INTO written VALUES (1)");
    let only = BTreeSet::from([other.port]);
    world.until("reads leave the one that is behind", || (readers(&world, &reads) == only).then_some(()));
    assert_eq!(ask(&world, &reads, "SELECT number FROM written"), ["1"]);

    // Both have received everything; one of them could not become the primary.
    let (former, pid) = primary(&status);
    signal(pid, Signal::KILL);
    world.event("promoted", |event| event.reason == "Promoted");
    signal(replay, Signal::CONT);
    let status = until_followed(&world, &former);
    assert_eq!(primary(&status).0, other.name);
    assert_eq!(ask(&world, &url, "SELECT number FROM written"), ["1"]);
    let back = world.until("the one that was behind serves reads again", || {
        Some(readers(&world, &reads)).filter(|ports| ports.contains(&paused.port))
    });
    assert!(!back.contains(&other.port), "the primary serves no reads while standbys do: {back:?}");
    world.down();
}

#[test]
fn an_engine_that_dies_in_a_failover_is_followed_by_one_that_goes_on() {
    let Some(world) = started(SYNCHRONOUS) else { return };
    let (url, writer) = written(&world);
    for wait in [0, 15, 60] {
        let status = world.until_status("all members are there", whole);
        let engine = status.processes["engine"].pid;
        let killed = Instant::now();
        signal(primary(&status).1, Signal::KILL);
        // Wherever it is by then, another one goes on from there.
        std::thread::sleep(Duration::from_millis(wait));
        signal(engine, Signal::KILL);
        world.until("a write after that", || writer.first_after(killed + Duration::from_millis(wait + 5)));
        world.until_status("all members are there again", |status| {
            whole(status) && status.processes.get("engine").is_some_and(|own| own.pid != engine)
        });
    }
    assert_kept(&world, &url, &writer.end());
    world.down();
}

#[test]
fn reads_have_an_address_of_their_own_and_data_outlives_a_change_of_the_primary_and_of_instances() {
    let Some(world) = started(SYNCHRONOUS) else { return };
    let url = url(&world);
    let reads = world.get("/env?name=ACCOUNTS_URL_READ").1;
    ask(&world, &url, "CREATE TABLE written (number bigint PRIMARY KEY); INSERT INTO written VALUES (7)");
    world.until("a standby serves reads", || {
        let read = ask(&world, &reads, "SELECT pg_is_in_recovery(), count(*) FROM written");
        (read == ["t|1"]).then_some(())
    });
    let (name, pid) = primary(&world.until_status("all members are there", whole));
    signal(pid, Signal::KILL);
    world.event("promoted", |event| event.reason == "Promoted");
    let status = until_followed(&world, &name);
    let (second, _) = primary(&status);
    assert_ne!(second, name);

    world.down();
    world.bring_up();
    let status = world.until_status("all members are there", whole);
    assert_eq!(primary(&status).0, second, "whoever was the primary is it after down and up");
    assert_eq!(ask(&world, &url, "SELECT number FROM written"), ["7"]);

    world.change(&SYNCHRONOUS.replace("instances: 3, synchronous: true", "instances: 1"));
    world.until_status("one member runs", |status| {
        let store = &status.stores["accounts"];
        store.ready && store.members.iter().filter(|member| member.pid.is_some()).count() == 1
    });
    assert_eq!(ask(&world, &url, "SELECT number FROM written"), ["7"], "at the same address, from the same data");
    world.run(&["down", "--volumes"]).good();
    world.until_gone();
    world.bring_up();
    let status = world.until_status("it is ready", |status| status.settled && status.stores["accounts"].ready);
    assert_eq!(status.stores["accounts"].members.len(), 1, "with the data it is forgotten who was the primary");
    world.run(&["down", "--volumes"]).good();
    world.until_gone();
}
