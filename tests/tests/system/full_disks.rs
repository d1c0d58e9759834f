//! `disk-full`, `inode-exhaust`, `readonly-remount`: the state directory takes nothing more. Services go on, nothing is
//! acknowledged that is not on the disk, it is told, and once there is room again everything is as if it had never been full.
//!
//! The state lies on a small file system of its own, in a mount namespace that ends with the test.

use crate::{
    look::{WEB, all_pids, own_pid},
    mounts::{is_here, run},
    sweep,
    world::World,
};
use plimsoll_api::Status;
use rustix::process::Signal;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

/// A system of which something is to be acknowledged, on a file system of these options.
fn world_on(options: &str) -> World {
    let world = World::new();
    world.write(WEB);
    let state = world.place.state.clone();
    fs::create_dir(&state).unwrap();
    assert!(run("mount", &["-t", "tmpfs", "-o", options, "tmpfs", state.to_str().unwrap()]));
    world.bring_up();
    world.run(&["scale", "web", "4"]).good();
    world.until_ready(4);
    world
}

/// Takes all the room that is left.
fn fill(dir: &Path) -> PathBuf {
    let path = dir.join("filler");
    let mut file = File::create(&path).unwrap();
    let mut size = 1 << 20;
    while size > 0 {
        if file.write_all(&vec![7; size]).is_err() {
            size /= 2;
        }
    }
    path
}

/// The file with so many replicas, and so long that it fits into no room that a file has beyond its end.
fn long_file(replicas: u32) -> String {
    WEB.replace("replicas: 3", &format!("replicas: {replicas}"))
        + &"# A long line of words, again and again.\n".repeat(2000)
}

impl World {
    fn accepted(&self) -> String {
        self.ask(self.client.system()).unwrap().unwrap().text
    }

    #[track_caller]
    fn until_ready(&self, count: u32) -> Status {
        let is = |status: &Status| status.settled && status.services["web"].ready == count;
        self.until_status(&format!("{count} are ready"), is)
    }

    #[track_caller]
    fn serves(&self, what: &str) {
        for _ in 0..20 {
            assert_eq!(self.get("/").0, 200, "{what}");
        }
    }

    /// Nothing that is offered is accepted, it is told why, and services go on, also when a replica or the engine dies.
    #[track_caller]
    fn is_degraded(&self) -> u64 {
        self.write(&long_file(5));
        let said = self.run(&["up", "--detach"]).bad();
        assert!(said.contains("not accepted"), "{said}");
        assert_eq!(self.accepted(), WEB, "nothing of it holds");
        let told = self.event("it is told", |event| event.reason == "DiskRefuses");
        assert!(told.warning, "{told:?}");
        let shown = self.run(&["status"]).good();
        assert!(shown.contains("can't be written down"), "{shown}");
        self.serves("services go on");
        let pid = *all_pids(&self.status()).values().next().unwrap();
        sweep::signal(pid, Signal::KILL);
        self.serves("the others answer");
        told.number
    }

    /// Everything is as acknowledged, and can be changed again; and the next engine knows it, too.
    #[track_caller]
    fn is_whole_again(&self) {
        let status = self.until_ready(4);
        let doubts = status.warnings.iter().any(|warning| warning.contains("written down"));
        assert!(!doubts && self.accepted() == WEB, "{:?}", status.warnings);
        self.change(&long_file(5));
        self.kill_engine();
        let status = self.until_ready(5);
        assert_eq!(self.accepted(), long_file(5));
        self.assert_each_runs_once(&status);
        self.down();
    }
}

#[test]
fn disk_full() {
    if !is_here("full_disks::disk_full") {
        return;
    }
    let world = world_on("size=64m");
    let filler = fill(&world.place.state);
    let told = world.is_degraded();
    fs::remove_file(filler).unwrap();
    world.event("it is told that it is over", |one| one.reason == "DiskRecovered" && one.number > told);
    world.is_whole_again();
}

/// An engine that starts while there is no room has what was acknowledged, and whoever wants an end gets it.
#[test]
fn disk_full_while_the_engine_starts_anew() {
    if !is_here("full_disks::disk_full_while_the_engine_starts_anew") {
        return;
    }
    let world = world_on("size=64m");
    let before = world.status();
    let url = world.url();
    fill(&world.place.state);
    world.kill_engine();
    assert_eq!(world.get_at(&url, "/").0, 200, "services go on");
    let status = world.until_ready(4);
    assert_eq!(all_pids(&status), all_pids(&before), "and has left them alone");
    world.down();
}

#[test]
fn inode_exhaust() {
    if !is_here("full_disks::inode_exhaust") {
        return;
    }
    let world = world_on("size=64m,nr_inodes=300");
    let fillers = world.place.state.join("fillers");
    fs::create_dir(&fillers).unwrap();
    let made = (0..300).take_while(|number| File::create(fillers.join(number.to_string())).is_ok()).count();
    assert!(made < 300, "there is no end of inodes");
    // What is decided still has room; a new process has none, since its log takes an inode.
    let pid = *all_pids(&world.status()).values().next().unwrap();
    sweep::signal(pid, Signal::KILL);
    world.serves("the others answer");
    let ran = world.run(&["scale", "web", "5"]);
    eprintln!("scaling without inodes: {}{}", ran.out, ran.err);
    world.serves("services go on");
    world.event("it is told", |event| event.warning && event.message.contains("No space left"));
    fs::remove_dir_all(&fillers).unwrap();
    let wanted = if ran.code == Some(0) { 5 } else { 4 };
    world.until_ready(wanted);
    world.kill_engine();
    let status = world.until_ready(wanted);
    world.assert_each_runs_once(&status);
    world.down();
}

#[test]
fn full_disk_of_logs() {
    if !is_here("full_disks::full_disk_of_logs") {
        return;
    }
    let world = World::new();
    world.write(WEB);
    let logs = world.place.log("web-1").parent().unwrap().to_owned();
    fs::create_dir_all(&logs).unwrap();
    assert!(run("mount", &["-t", "tmpfs", "-o", "size=256k", "tmpfs", logs.to_str().unwrap()]));
    world.bring_up();
    world.settle();
    let filler = fill(&logs);
    let words = "x".repeat(2000);
    let told = world.until("it is told", || {
        assert_eq!(world.get(&format!("/say?value={words}")).0, 200, "services go on");
        world.events().into_iter().find(|event| event.reason == "LogDropped" && event.message.contains("space"))
    });
    assert!(told.warning, "{told:?}");
    // What is decided is not kept there.
    world.run(&["scale", "web", "2"]).good();
    fs::remove_file(filler).unwrap();
    // The log that lost something says so before the next thing that it keeps; whose turn it is, is chance.
    world.until("what is said is kept again, and what was lost is told", || {
        world.get("/say?value=once-more");
        let text = world.run(&["logs", "web"]).out;
        (text.contains("once-more") && text.contains("bytes were dropped here")).then_some(())
    });
    world.down();
}

/// The kernel no longer writes to a file system that it found damaged. It has to be mounted anew: what was acknowledged is there.
#[test]
fn readonly_remount() {
    if !is_here("full_disks::readonly_remount") {
        return;
    }
    let world = World::new();
    world.write(WEB);
    let (image, state) = (world.dir.join("disk"), world.place.state.clone());
    fs::create_dir(&state).unwrap();
    let (image, mount) = (image.to_str().unwrap().to_owned(), state.to_str().unwrap().to_owned());
    let made = run("truncate", &["-s", "128M", &image]) && run("mkfs.ext4", &["-q", "-m", "0", &image]);
    if !made || !run("mount", &["-o", "loop", &image, &mount]) {
        return eprintln!("skipped: no image can be mounted here");
    }
    world.bring_up();
    world.run(&["scale", "web", "4"]).good();
    world.until_ready(4);
    let url = world.url();
    assert!(run("mount", &["-o", "remount,abort", &mount]));
    assert!(File::create(state.join("x")).is_err(), "it takes what is written");
    world.is_degraded();
    // No engine can start here, and nobody needs one in order to serve.
    let engine = own_pid(&world.status(), "engine");
    sweep::signal(engine, Signal::KILL);
    for _ in 0..20 {
        assert_eq!(world.get_at(&url, "/").0, 200, "services go on");
    }
    // A person ends it all, and mounts the file system anew.
    world.until("nothing runs", || {
        let left = sweep::processes_of(&world.dir);
        left.iter().for_each(|(pid, _)| sweep::signal(*pid, Signal::KILL));
        left.is_empty().then_some(())
    });
    assert!(run("umount", &[&mount]), "something still uses the state directory");
    assert!(run("mount", &["-o", "loop", &image, &mount]));
    world.write(WEB);
    world.bring_up();
    world.is_whole_again();
}
