//! `daemon-sigkill-at-every-step`: the engine is killed at moments that a seed draws, in the middle of everything a person
//! may ask; and it comes to what was asked, with each replica running once and nothing left behind.

use crate::{
    look::{WEB, own_pid, pids},
    sweep, times,
    world::{World, ended},
};
use plimsoll_api::Status;
use rustix::process::Signal;
use std::{fs, thread, time::Duration};

/// A small generator (xorshift): the moments of a run are those of its seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// The engine's pid, wherever the system is in its life: its process is known by its command.
fn engine(world: &World) -> Option<i32> {
    let found = sweep::processes_of(&world.dir).into_iter();
    found.filter(|(_, words)| words.contains("plimsoll engine ")).map(|(pid, _)| pid).find(|pid| sweep::lives(*pid))
}

/// Runs a command of `plimsoll` and kills the engine `kills` times meanwhile, each time after a drawn pause.
fn run_with_kills(world: &World, words: &[&str], draw: &mut Draw, kills: u64) -> (Option<i32>, String) {
    let (mut command, out, err) = world.command(words);
    let child = command.spawn().unwrap();
    for _ in 0..kills {
        thread::sleep(Duration::from_micros(draw.below(40_000)));
        if let Some(pid) = engine(world) {
            sweep::signal(pid, Signal::KILL);
        }
    }
    let code = ended(child, &format!("plimsoll {}", words.join(" ")), &err);
    (code, format!("{}{}", fs::read_to_string(out).unwrap(), fs::read_to_string(err).unwrap()))
}

/// Everything is as it should be: so many replicas, each running once.
#[track_caller]
fn assert_converged(world: &World, what: &str, replicas: usize) -> Status {
    let status = world.until_status(what, |status| {
        status.settled && status.processes.contains_key("engine") && pids(status, "web").len() == replicas
    });
    world.assert_each_runs_once(&status);
    status
}

#[test]
fn daemon_sigkill_at_every_step() {
    let seed = std::env::var("PLIMSOLL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x9e37_79b9_7f4a_7c15);
    eprintln!("seed: PLIMSOLL_SEED={seed}");
    let mut draw = Draw(seed);
    let (mut kills, rounds) = (0, times(4));
    for round in 0..rounds {
        let world = World::new();
        world.write(WEB);
        // A command whose engine died may fail; what was accepted goes on, and asking again is no harm.
        run_with_kills(&world, &["up", "--detach"], &mut draw, 2);
        world.bring_up();
        assert_converged(&world, "up", 3);

        world.write(&WEB.replace("[./app]", "[./app, --slow, \"1\"]").replace("replicas: 3", "replicas: 2"));
        run_with_kills(&world, &["up", "--detach"], &mut draw, 2);
        world.bring_up();
        assert_converged(&world, "a changed file", 2);

        run_with_kills(&world, &["scale", "web", "4"], &mut draw, 1);
        world.run(&["scale", "web", "4"]).good();
        let before = pids(&assert_converged(&world, "scale", 4), "web");

        run_with_kills(&world, &["restart", "web"], &mut draw, 1);
        world.run(&["restart", "web"]).good();
        let replaced =
            |status: &Status| status.settled && before.keys().all(|name| !pids(status, "web").contains_key(name));
        world.until_status("all are replaced", replaced);
        assert_converged(&world, "restart", 4);
        assert_eq!(world.get("/").0, 200);
        let keeper = own_pid(&world.status(), "keeper");

        run_with_kills(&world, &["down"], &mut draw, 2);
        world.run(&["down"]).good();
        world.until_gone();
        assert!(!sweep::lives(keeper));
        kills += 8;
        eprintln!("round {round}: converged after up, change, scale, restart and down");
    }
    eprintln!("{kills} kills of the engine in {rounds} rounds");
}
