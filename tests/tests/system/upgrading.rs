//! Plimsoll itself is changed to another version while it serves; and what becomes of a version that does not work.

use crate::{
    connections::Connections,
    look::{WEB, all_pids, own_pid},
    programs, sweep,
    world::{World, ended},
};
use plimsoll_api::Status;
use rustix::process::Signal;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    thread,
    time::Duration,
};

impl World {
    /// The program under test once more, in a file of its own.
    pub(crate) fn copy_of_plimsoll(&self, name: &str) -> PathBuf {
        let there = self.dir.join(name);
        // By another process: were the copy open for writing here, a process that another thread starts meanwhile would
        // have it open too, and it could not be executed.
        let copied = std::process::Command::new("cp").arg(programs::plimsoll()).arg(&there).status().unwrap();
        assert!(copied.success());
        there
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let there = self.dir.join(name);
        fs::write(&there, text).unwrap();
        fs::set_permissions(&there, fs::Permissions::from_mode(0o755)).unwrap();
        there
    }
}

/// So many kept connections and sockets: fewer than in a soak, which has them all (`PLIMSOLL_SOAK`).
fn crowd() -> (usize, usize) {
    if std::env::var_os("PLIMSOLL_SOAK").is_some() { (1_000, 100) } else { (200, 20) }
}

fn programs_of(status: &Status) -> Vec<(String, String)> {
    let own = status.processes.iter().filter(|(name, _)| ["keeper", "engine", "gateway"].contains(&name.as_str()));
    own.map(|(name, process)| (name.clone(), process.program.clone().unwrap_or_default())).collect()
}

#[track_caller]
fn assert_all_run(status: &Status, program: &std::path::Path) {
    let own = programs_of(status);
    assert_eq!(own.len(), 3, "{own:?}");
    assert!(own.iter().all(|(_, runs)| runs == &program.display().to_string()), "{own:?}");
}

#[test]
fn daemon_upgrade() {
    let world = World::up(WEB);
    let next = world.copy_of_plimsoll("plimsoll-next");
    let before = world.status();
    let (clients, sockets) = crowd();
    let traffic = world.traffic("/", 50.0);
    let connections = Connections::open(&world, clients, sockets, Duration::from_secs(1));
    connections.more(&world, 2 * clients as u64);
    assert_eq!(connections.renewed(), 0);
    let said = world.run(&["upgrade", "--to", "plimsoll-next"]).good();
    assert!(said.contains("plimsoll-next"), "{said}");
    let after = world.settle();
    assert_all_run(&after, &next);
    assert_eq!(all_pids(&after), all_pids(&before), "services were not touched");
    assert_eq!(own_pid(&after, "keeper"), own_pid(&before, "keeper"), "the keeper is the same process");
    for replaced in ["engine", "gateway"] {
        assert_ne!(own_pid(&after, replaced), own_pid(&before, replaced), "{replaced}");
    }
    world.until("each connection was told to come back", || (connections.renewed() >= clients as u64).then_some(()));
    connections.more(&world, 2 * clients as u64);
    traffic.more(&world, 20);
    let old = own_pid(&before, "gateway");
    assert!(sweep::lives(old), "sockets are still served by the gateway that opened them");
    connections.end_without_failure(&world, &format!("upgrade under {clients} kept connections and {sockets} sockets"));
    traffic.end_without_failure(&world, "upgrade under load");
    world.until("the old gateway has ended", || (!sweep::lives(old)).then_some(()));
    world.event("it is told", |event| event.reason == "Upgraded");
    // What was replaced is replaced again when it dies, by the new program.
    for name in ["engine", "gateway", "keeper"] {
        sweep::signal(own_pid(&world.settle(), name), Signal::KILL);
        let there = world.until_status("another one is there", |status| {
            status.settled && programs_of(status).len() == 3 && own_pid(status, name) != own_pid(&after, name)
        });
        assert_all_run(&there, &next);
    }
    world.assert_each_runs_once(&world.settle());
    world.down();
}

#[test]
fn upgrade_whose_file_replaced_the_running_one() {
    let world = World::up(WEB);
    let before = all_pids(&world.status());
    // As a package manager does: another file under the same name.
    world.copy_of_plimsoll("new");
    fs::rename(world.dir.join("new"), world.dir.join("plimsoll")).unwrap();
    let gone = own_pid(&world.status(), "gateway");
    sweep::signal(gone, Signal::KILL);
    world.until_status("one of the new file serves", |status| {
        status.processes.get("gateway").is_some_and(|gateway| gateway.pid != gone)
    });
    world.run(&["upgrade"]).good();
    let after = world.settle();
    assert_all_run(&after, &world.dir.join("plimsoll"));
    assert_eq!(all_pids(&after), before);
    let said = world.run(&["upgrade"]).bad();
    assert!(said.contains("already"), "{said}");
    assert_eq!(world.get("/").0, 200);
    world.down();
}

#[test]
fn upgrade_to_what_can_not_take_over_is_refused() {
    let world = World::up(WEB);
    let before = world.status();
    let refused = [
        ("exits", "#!/bin/sh\nexit 3\n".to_owned(), "ended with code 3"),
        ("mute", "#!/bin/sh\nexit 0\n".to_owned(), "said nothing"),
        ("far", speaks(9, ""), "speaks version 9"),
        ("strange", speaks(plimsoll_wire::VERSION, "\"the journal\""), "does not understand"),
    ];
    for (name, script, why) in refused {
        world.script(name, &script);
        let said = world.run(&["upgrade", "--to", name]).bad();
        assert!(said.contains(why), "{name}: {said}");
    }
    world.run(&["upgrade", "--to", "nowhere"]).bad();
    let after = world.status();
    assert_eq!(programs_of(&after), programs_of(&before));
    assert_eq!((all_pids(&after), after.upgrade), (all_pids(&before), None));
    world.down();
}

/// A program that says this of itself, and otherwise runs what follows.
fn speaks(version: u32, not_understood: &str) -> String {
    let said = format!("{{\"version\":\"x\",\"wire\":{version},\"notUnderstood\":[{not_understood}]}}");
    format!("#!/bin/sh\nif [ \"$1\" = speaks ]; then printf '%s' '{said}' > \"$5\"; exit 0; fi\n")
}

/// Something that looks right when it is asked and is broken as one of the three.
#[track_caller]
fn goes_back(part: &str, replaced: bool) {
    let world = World::up(WEB);
    let before = world.status();
    let traffic = world.traffic("/", 50.0);
    let connections = Connections::open(&world, 20, 5, Duration::from_millis(100));
    let good = world.dir.join("plimsoll").display().to_string();
    let broken = format!("[ \"$1\" = {part} ] && exit 1\nexec {good} \"$@\"\n");
    world.script("broken", &(speaks(plimsoll_wire::VERSION, "") + &broken));
    // Nothing of the script shows in /proc but the shell and, then, the good program; so it is told by what it does.
    let said = world.run(&["upgrade", "--to", "broken"]).bad();
    eprintln!("a broken {part}: {said}");
    // A keeper that died of it is missed for a moment.
    let after = world.until_status("all are there", |status| status.settled && programs_of(status).len() == 3);
    assert_eq!(all_pids(&after), all_pids(&before), "services were not touched");
    assert!(after.upgrade.as_ref().is_some_and(|upgrade| !upgrade.done && !upgrade.under_way), "{:?}", after.upgrade);
    assert!(replaced || own_pid(&after, "gateway") == own_pid(&before, "gateway"), "the gateway that served serves on");
    connections.more(&world, 40);
    traffic.more(&world, 20);
    connections.end_without_failure(&world, &format!("an upgrade to a broken {part}"));
    traffic.end_without_failure(&world, &format!("an upgrade to a broken {part}"));
    world.event("it is told", |event| event.reason == "UpgradeFailed" && event.warning);
    world.assert_each_runs_once(&after);
    // A good one still can take over.
    let next = world.copy_of_plimsoll("plimsoll-next");
    world.run(&["upgrade", "--to", "plimsoll-next"]).good();
    assert_all_run(&world.settle(), &next);
    world.down();
}

#[test]
fn upgrade_to_a_broken_gateway_changes_nothing() {
    goes_back("gateway", false);
}

#[test]
fn upgrade_to_a_broken_keeper_goes_back() {
    goes_back("keeper", false);
}

/// Whether somebody waits for a lock on that file.
fn is_waited_for(file: &fs::File) -> bool {
    let inode = format!(":{} ", file.metadata().unwrap().ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| line.contains("->") && line.contains(&inode))
}

#[test]
fn upgrade_to_an_engine_that_does_not_stay_goes_back() {
    let world = World::up(WEB);
    let before = world.status();
    world.copy_of_plimsoll("plimsoll-next");
    let traffic = world.traffic("/", 20.0);
    // Whoever comes after the engine that runs now does not get the journal: we have it by then.
    let journal = fs::File::options().write(true).open(world.place.journal().join("lock")).unwrap();
    let waiting = journal.try_clone().unwrap();
    let waiter = thread::spawn(move || waiting.lock().unwrap());
    world.until("we wait for the journal", || is_waited_for(&journal).then_some(()));
    let (mut command, _, err) = world.command(&["upgrade", "--to", "plimsoll-next"]);
    let child = command.spawn().unwrap();
    world.until("the engine has left", || waiter.is_finished().then_some(()));
    world.until("the keeper goes back", || {
        fs::read_to_string(world.place.log("keeper")).unwrap().contains("going back to").then_some(())
    });
    journal.unlock().unwrap();
    assert_eq!(ended(child, "plimsoll upgrade", &err), Some(1));
    let said = fs::read_to_string(&err).unwrap();
    assert!(said.contains("its engine does not run") && said.contains("the former program again"), "{said}");
    let after = world.settle();
    assert_all_run(&after, &world.place.former_program());
    assert_eq!(all_pids(&after), all_pids(&before), "services were not touched");
    traffic.more(&world, 20);
    traffic.end_without_failure(&world, "an upgrade to an engine that does not stay");
    world.event("it is told", |event| event.reason == "UpgradeFailed" && event.warning);
    world.assert_each_runs_once(&after);
    world.down();
}
