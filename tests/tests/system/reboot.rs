//! `reboot-power-cut`: everything dies at once, and what the disk then has is all that there is.
//!
//! As root the state lies on a file system of its own, in an image: what is in the image and not only in the kernel's memory
//! is what a power cut would leave. Without root nothing is lost but the processes.

use crate::{
    look::all_pids,
    mounts::{Place, in_namespace, run},
    sweep,
    world::{World, ended, skip},
};
use plimsoll_api::Status;
use rustix::process::Signal;
use std::{fs, path::PathBuf, process::Command};

const OPTIONS: &str = "loop,commit=300";

const SYSTEM: &str = r#"
system: voyage
services:
  web: { command: [./app], port: 80, replicas: 2, uses: [accounts], calls: [api] }
  api:
    command: [./app]
    port: 81
    startupProbe: { httpGet: { path: /ready }, periodSeconds: 1, failureThreshold: 3600 }
    rollout: { rolling: { maxSurge: 1, maxUnavailable: 0 } }
stores:
  accounts: { engine: postgres, version: "15" }
ingress: { listen: [0], hosts: { "*": { paths: { /: web, /api: api } } } }
"#;

/// A file system in an image, where the state lies.
struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// `None` where no image can be mounted.
    fn try_new(world: &World) -> Option<Self> {
        let (image, mount) = (world.dir.join("disk"), world.place.state.clone());
        fs::create_dir(&mount).unwrap();
        let there = image.to_str()?;
        let made = run("truncate", &["-s", "512M", there]) && run("mkfs.ext4", &["-q", "-m", "0", there]);
        let disk = Self { image, mount };
        if !made || !disk.mount() {
            fs::remove_dir(&disk.mount).unwrap();
            eprintln!("no file system can be mounted here: nothing is lost but the processes");
            return None;
        }
        std::os::unix::fs::chown(&disk.mount, Some(crate::world::NOBODY), Some(crate::world::NOBODY)).unwrap();
        // The empty folder itself is on the disk.
        assert!(run("sync", &["-f", disk.mount.to_str()?]));
        Some(disk)
    }

    fn mount(&self) -> bool {
        run("mount", &["-o", OPTIONS, self.image.to_str().unwrap(), self.mount.to_str().unwrap()])
    }

    /// What the image has now takes the place of what the kernel knows.
    fn lose_what_is_not_on_it(&mut self) {
        let copy = self.image.with_extension("copy");
        let (from, to) = (self.image.to_str().unwrap(), copy.to_str().unwrap());
        assert!(run("cp", &["--sparse=always", from, to]));
        assert!(run("umount", &[self.mount.to_str().unwrap()]), "something still uses the state directory");
        self.image = copy;
        assert!(self.mount(), "the image can't be mounted");
    }
}

/// One statement by `psql`, at the address that `web` is told.
#[track_caller]
fn sql(world: &World, statement: &str) -> String {
    let (_, url) = world.get("/env?name=ACCOUNTS_URL");
    let output = Command::new("psql").args(["-XAtqv", "ON_ERROR_STOP=1", "-c", statement, &url]).output().unwrap();
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// `web` is as wanted, and `api` serves, though its new version does not get ready.
fn is_back(status: &Status) -> bool {
    let (web, api) = (&status.services["web"], &status.services["api"]);
    (web.ready, web.wanted, api.ready) == (4, 4, 1)
        && web.replicas.len() == 4
        && api.replicas.len() == 2
        && status.stores.values().all(|store| store.ready)
        && status.ingress.iter().all(|ingress| ingress.problem.is_none())
}

#[test]
fn reboot_power_cut() {
    match in_namespace("reboot::reboot_power_cut") {
        Place::Here => power_cut(true),
        Place::Nowhere => power_cut(false),
        Place::Passed => {}
    }
}

fn power_cut(mounts: bool) {
    let world = World::unprivileged();
    world.write(SYSTEM);
    if world.run(&["doctor"]).code != Some(0) {
        return skip("PostgreSQL");
    }
    let mut disk = if mounts { Disk::try_new(&world) } else { None };
    world.bring_up();
    world.settle();
    sql(&world, "create table voyages (name text); insert into voyages values ('first')");
    world.write(&SYSTEM.replace("command: [./app]\n", "command: [./app, --late, \"3600000\"]\n"));
    world.run(&["up", "--detach", "--timeout", "1"]).bad();
    world.run(&["scale", "web", "4"]).good();
    let before = world.until_status("it is as it shall be again", is_back);
    let (accepted, url) = (world.ask(world.client.system()).unwrap().unwrap(), world.url());
    sql(&world, "insert into voyages values ('last')");

    // The keeper first, then whoever would start others again: nobody may see that the others die.
    kill_everything(&world, &before);
    if let Some(disk) = &mut disk {
        let witness = world.place.state.join("only-in-memory");
        fs::write(&witness, "x").unwrap();
        disk.lose_what_is_not_on_it();
        assert!(!witness.exists(), "nothing is lost by this");
        eprintln!("what was not on the disk is lost");
    }
    // Another boot: what was known of processes means nothing.
    fs::remove_file(world.place.inventory()).ok();

    // As the unit that `plimsoll install` writes does.
    let (mut command, _, err) = world.command(&["keeper", "--state", world.place.state.to_str().unwrap()]);
    let keeper = command.spawn().unwrap();
    let after = world.until_status("everything is as it was", is_back);
    assert!(all_pids(&after).iter().all(|(_, pid)| !all_pids(&before).values().any(|former| former == pid)));
    assert_eq!(world.url(), url, "it listens where it did");
    assert_eq!(world.ask(world.client.system()).unwrap().unwrap(), accepted, "the accepted file");
    assert_eq!(after.services["api"].revision, before.services["api"].revision, "the release goes on");
    assert_eq!(sql(&world, "select name from voyages order by name"), "first\nlast", "what was committed");
    let (status, said) = world.get("/api");
    assert_eq!(status, 200, "{said}");
    assert!(after.warnings.is_empty(), "{:?}", after.warnings);
    world.assert_each_runs_once(&after);
    world.run(&["down"]).good();
    assert_eq!(ended(keeper, "plimsoll keeper", &err), Some(0));
    world.until_gone();
}

fn kill_everything(world: &World, status: &Status) {
    for own in ["keeper", "engine", "gateway"] {
        sweep::signal(status.processes[own].pid, Signal::KILL);
    }
    world.until("nothing runs", || {
        let left = sweep::processes_of(&world.dir);
        left.iter().for_each(|(pid, _)| sweep::signal(*pid, Signal::KILL));
        left.is_empty().then_some(())
    });
}
