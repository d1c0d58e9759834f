//! Plimsoll's own processes die: what runs goes on, and what was begun is gone on with.

use crate::{
    look::{WEB, all_pids, own_pid, pids},
    sweep, times,
    world::{World, ended},
};
use plimsoll_api::Status;
use rustix::process::Signal;
use std::{collections::BTreeMap, fs, os::unix::net::UnixStream};

impl World {
    /// Kills one of Plimsoll's own processes, and waits until another one does its work.
    #[track_caller]
    fn kill_own(&self, name: &str) -> Status {
        let pid = own_pid(&self.until_status("it runs", |status| status.processes.contains_key(name)), name);
        sweep::signal(pid, Signal::KILL);
        self.until_status("another one is there", |status| {
            status.settled && status.processes.get(name).is_some_and(|own| own.pid != pid)
        })
    }
}

#[test]
fn daemon_sigkill() {
    let world = World::up(WEB);
    let before = all_pids(&world.status());
    let traffic = world.traffic("/", 100.0);
    let kills = times(5);
    for _ in 0..kills {
        traffic.more(&world, 30);
        assert_eq!(all_pids(&world.kill_own("engine")), before, "services were not touched");
    }
    traffic.more(&world, 30);
    traffic.end_without_failure(&world, &format!("{kills} engines killed"));
    world.assert_each_runs_once(&world.settle());
    world.event("what runs was adopted", |event| event.reason == "Adopted");
    world.down();
}

#[test]
fn gateway_sigkill() {
    let world = World::up(WEB);
    let before = all_pids(&world.status());
    let traffic = world.traffic("/", 50.0);
    let kills = times(5);
    for _ in 0..kills {
        traffic.more(&world, 20);
        assert_eq!(all_pids(&world.kill_own("gateway")), before, "services were not touched");
    }
    traffic.more(&world, 20);
    let report = traffic.end(&world);
    eprintln!("{kills} gateways killed: {} of {} requests failed: {:?}", report.failed, report.asked, report.by_cause);
    // What was in flight at the kill is lost, and nothing else: nobody was refused, nobody was answered wrongly.
    assert!(
        report.by_cause.keys().all(|cause| cause.contains("closed") || cause.contains("reset")),
        "{:?}",
        report.by_cause
    );
    assert!(report.failed < report.asked / 4, "{report}");
    world.down();
}

/// Whoever asks why a request was lost finds how many were.
#[test]
fn gateway_sigkill_tells_what_was_in_flight() {
    let world = World::up(&WEB.replace("terminationGracePeriodSeconds: 20", "terminationGracePeriodSeconds: 1"));
    let traffic = world.traffic("/hang", 20.0);
    world.until_status("requests are in flight", |status| {
        status.services["web"].replicas.iter().map(|replica| replica.in_flight).sum::<u64>() >= 3
    });
    world.kill_own("gateway");
    let told = world.event("it is started again", |event| event.reason == "Respawned" && event.subject == "gateway");
    eprintln!("{}", told.message);
    let count = told.message.split_once("; ").and_then(|(_, lost)| lost.split(' ').next()?.parse::<u64>().ok());
    assert!(count.is_some_and(|count| count >= 3), "{told:?}");
    world.down();
    traffic.end(&world);
}

#[test]
fn keeper_sigkill() {
    let world = World::up(WEB);
    let before = all_pids(&world.status());
    let traffic = world.traffic("/", 50.0);
    let kills = times(2);
    for _ in 0..kills {
        traffic.more(&world, 20);
        let after = world.kill_own("keeper");
        assert_eq!(all_pids(&after), before, "services were not touched");
        assert!(after.warnings.iter().any(|warning| warning.contains("keeper")), "{:?}", after.warnings);
    }
    world.until_status("the ingress is known again", |status| {
        status.ingress.iter().all(|ingress| ingress.problem.is_none())
    });
    traffic.more(&world, 50);
    traffic.end_without_failure(&world, &format!("{kills} keepers killed"));
    // The keeper that took over sees deaths as the first one did.
    let (name, pid) = before.iter().next().unwrap();
    sweep::signal(*pid, Signal::KILL);
    let after = world.until_status("it is replaced", |status| {
        status.settled && pids(status, "web").get(name).is_some_and(|now| now != pid)
    });
    world.assert_each_runs_once(&after);
    world.down();
}

/// Whoever dies while there is no keeper is found out by the next one, and replaced.
#[test]
fn keeper_and_a_replica_sigkill_at_once() {
    let world = World::up(WEB);
    let status = world.status();
    let (before, keeper) = (all_pids(&status), own_pid(&status, "keeper"));
    let (name, pid) = before.iter().next().unwrap();
    sweep::signal(keeper, Signal::KILL);
    sweep::signal(*pid, Signal::KILL);
    let after = world.until_status("another keeper is there, and the replica is replaced", |status| {
        let is_new = status.processes.get("keeper").is_some_and(|own| own.pid != keeper);
        is_new && status.settled && pids(status, "web").get(name).is_some_and(|now| now != pid)
    });
    let others = |status: &BTreeMap<String, i32>| {
        status.iter().filter(|(other, _)| *other != name).map(|(name, pid)| (name.clone(), *pid)).collect::<Vec<_>>()
    };
    assert_eq!(others(&all_pids(&after)), others(&before), "the others were not touched");
    world.assert_each_runs_once(&after);
    world.down();
}

#[test]
fn keeper_and_engine_sigkill_at_once() {
    let world = World::up(WEB);
    let before = all_pids(&world.status());
    let traffic = world.traffic("/", 50.0);
    traffic.more(&world, 20);
    let status = world.status();
    for name in ["engine", "keeper"] {
        sweep::signal(own_pid(&status, name), Signal::KILL);
    }
    world.until("nobody serves the API", || world.try_status().is_none().then_some(()));
    // Nobody is left who could start either; whoever runs `up` again finds what runs.
    world.bring_up();
    let after = world.settle();
    assert_eq!(all_pids(&after), before, "services were not touched");
    world.until_status("the ingress is known again", |status| {
        status.ingress.iter().all(|ingress| ingress.problem.is_none())
    });
    traffic.more(&world, 50);
    traffic.end_without_failure(&world, "engine and keeper killed at once");
    world.assert_each_runs_once(&after);
    world.down();
}

#[test]
fn double_daemon() {
    let world = World::up(WEB);
    let before = world.status();
    // A second `up` joins; a second keeper is refused.
    world.bring_up();
    let state = world.place.state.display().to_string();
    let said = world.run(&["keeper", "--state", &state]).bad();
    assert!(said.contains("keeper"), "{said}");
    let after = world.settle();
    assert_eq!(all_pids(&after), all_pids(&before));
    assert_eq!(own_pid(&after, "keeper"), own_pid(&before, "keeper"));
    world.down();
}

#[test]
fn several_up_at_once_start_one_system() {
    let world = World::new();
    world.write(WEB);
    let commands: Vec<_> = (0..4).map(|_| world.command(&["up", "--detach"])).collect();
    let started: Vec<_> = commands.into_iter().map(|(mut command, _, err)| (command.spawn().unwrap(), err)).collect();
    for (child, err) in started {
        assert_eq!(ended(child, "plimsoll up", &err), Some(0), "{}", fs::read_to_string(err).unwrap());
    }
    let status = world.settle();
    assert_eq!(all_pids(&status).len(), 3);
    world.assert_each_runs_once(&status);
    world.down();
}

#[test]
fn foreground_up_shows_what_services_print_and_ends_with_ctrl_c() {
    let world = World::new();
    world.write(WEB);
    let (mut command, out, err) = world.command(&["up"]);
    let child = command.spawn().unwrap();
    world.settle();
    assert_eq!(world.get("/say?text=a-word-for-whoever-watches").0, 200);
    world.until("what a service says is shown", || {
        fs::read_to_string(&out).ok()?.lines().any(|line| line.contains("| a-word-for-whoever-watches")).then_some(())
    });
    // Replicas that came later are followed too.
    world.run(&["restart", "web"]).good();
    world.until("a later replica is shown", || fs::read_to_string(&out).ok()?.contains("web-4 ").then_some(()));
    sweep::signal(child.id().cast_signed(), Signal::INT);
    assert_eq!(ended(child, "plimsoll up", &err), Some(130));
    world.until_gone();
}

#[test]
fn state_file_corrupt() {
    let world = World::up(WEB);
    let before = all_pids(&world.status());
    let journal: Vec<_> = fs::read_dir(world.place.journal()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let file =
        journal.iter().filter(|path| path.is_file()).max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    // A flipped bit two thirds into the file: what comes before it is good.
    let mut bytes = fs::read(file).unwrap();
    let at = bytes.len() * 2 / 3;
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
    let pid = own_pid(&world.status(), "engine");
    sweep::signal(pid, Signal::KILL);
    let after = world
        .until_status("the engine is back", |status| status.processes.get("engine").is_some_and(|own| own.pid != pid));
    assert!(after.warnings.iter().any(|warning| warning.contains("journal is damaged")), "{:?}", after.warnings);
    // What was lost is made good by the file.
    world.bring_up();
    let after = world.settle();
    assert_eq!(after.services["web"].ready, 3);
    world.assert_each_runs_once(&after);
    eprintln!("{} of {} replicas were kept", before.values().filter(|pid| sweep::lives(**pid)).count(), before.len());
    assert_eq!(world.get("/").0, 200);
    world.down();
}

#[test]
fn nobody_else_may_use_the_api() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::up(WEB);
    let socket = world.place.api_socket();
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    // Connections that say nothing hold nobody up.
    let silent: Vec<UnixStream> = (0..50).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    assert!(world.status().settled);
    drop(silent);
    world.down();
}
