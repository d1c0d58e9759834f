//! Ctrl-C, at whatever moment it comes.

use crate::{
    look::WEB,
    sweep,
    world::{World, ended},
};
use rustix::process::Signal;
use std::{fs, path::PathBuf, process::Child, thread, time::Duration};

/// A command that runs, and where it writes its errors.
struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    fn start(world: &World, words: &[&str]) -> Self {
        let (mut command, out, err) = world.command(words);
        Self { child: command.spawn().unwrap(), out, err }
    }

    fn interrupt(&self) {
        sweep::signal(self.child.id().cast_signed(), Signal::INT);
    }

    #[track_caller]
    fn ended(self) -> Option<i32> {
        ended(self.child, "an interrupted command", &self.err)
    }
}

/// Its replicas never get ready, and end at once when they are asked to.
fn never_ready() -> String {
    WEB.replace("/ready", "/hang").replace("GracePeriodSeconds: 20", "GracePeriodSeconds: 1")
}

#[test]
fn while_it_builds_nothing_was_changed() {
    let world = World::new();
    world.write(&WEB.replace("port: 80", "port: 80\n    build: { command: touch building; exec sleep 100000 }"));
    let up = Running::start(&world, &["up"]);
    world.until("it builds", || world.dir.join("building").exists().then_some(()));
    up.interrupt();
    assert_eq!(up.ended(), Some(130));
    assert!(!world.place.state.exists());
    world.until_gone();
}

#[test]
fn while_it_comes_up_everything_is_ended() {
    // Never ready: whenever the signal comes, something is being waited for.
    for pause_ms in [0, 3, 10, 30, 100, 300] {
        let world = World::new();
        world.write(&never_ready());
        let up = Running::start(&world, &["up"]);
        world.until("its state is there", || world.place.state.exists().then_some(()));
        thread::sleep(Duration::from_millis(pause_ms));
        up.interrupt();
        assert_eq!(up.ended(), Some(130), "{pause_ms} ms");
        world.until_gone();
    }
}

#[test]
fn a_detached_up_only_stops_to_wait() {
    let world = World::up(WEB);
    world.write(&never_ready());
    let up = Running::start(&world, &["up", "--detach"]);
    world.until("it waits", || fs::read_to_string(&up.err).unwrap().contains("changed").then_some(()));
    up.interrupt();
    assert_eq!(up.ended(), Some(130));
    assert_eq!(world.status().services["web"].ready, 3, "what works goes on working");
    world.change(WEB);
    world.down();
}

#[test]
fn status_watch_ends() {
    let world = World::up(WEB);
    for _ in 0..20 {
        let watch = Running::start(&world, &["status", "--watch"]);
        world.until("it shows something", || fs::read_to_string(&watch.out).unwrap().contains("web-1").then_some(()));
        watch.interrupt();
        assert_eq!(watch.ended(), Some(130));
    }
    world.down();
}
