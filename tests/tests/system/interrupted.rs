//! Ctrl-C, at whatever moment it comes.

use crate::{
    look::WEB,
    sweep,
    world::{World, ended},
};
use rustix::process::Signal;
use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

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

/// Asked to end by whoever runs it, or its terminal closed: as Ctrl-C. One that shall outlive its terminal does.
#[test]
fn in_the_foreground_every_way_to_end_it_ends_the_system() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let world = World::new();
        world.write(WEB);
        let up = Running::start(&world, &["up"]);
        world.until("it stays", || fs::read_to_string(&up.err).unwrap().contains("Ctrl-C ends").then_some(()));
        sweep::signal(up.child.id().cast_signed(), signal);
        assert_eq!(up.ended(), Some(code));
        world.until_gone();
    }
}

#[test]
fn what_ignores_a_closed_terminal_goes_on() {
    let world = World::new();
    world.write(WEB);
    let (plain, out, err) = world.command(&["up"]);
    let mut command = Command::new("nohup");
    command.arg(plain.get_program()).args(plain.get_args()).current_dir(&world.dir).stdin(Stdio::null());
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
    let up = Running { child: command.spawn().unwrap(), out, err };
    world.until("it stays", || fs::read_to_string(&up.err).unwrap().contains("Ctrl-C ends").then_some(()));
    sweep::signal(up.child.id().cast_signed(), Signal::HUP);
    // Of two that were heard, the closed terminal would be the first.
    sweep::signal(up.child.id().cast_signed(), Signal::TERM);
    assert_eq!(up.ended(), Some(143));
    world.until_gone();
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
