//! `state-fsync-EIO`: the disk refuses to make durable what is accepted. Nothing is acknowledged that may be lost, and a
//! sync that succeeds after one that failed proves nothing.

use crate::{
    look::{WEB, all_pids, own_pid},
    sweep,
    world::World,
};
use rustix::process::Signal;
use std::{fs, path::Path, process::Command};

/// Every sync fails while there is a file of that name.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>
static int refused(void) { return access(FLAG, F_OK) == 0; }
int fsync(int fd) {
  if (refused()) { errno = EIO; return -1; }
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
int fdatasync(int fd) {
  if (refused()) { errno = EIO; return -1; }
  return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
"#;

/// Makes the library that stands between the engine and the disk.
fn shim(dir: &Path) -> std::path::PathBuf {
    let (source, library) = (dir.join("shim.c"), dir.join("shim.so"));
    fs::write(&source, SHIM).unwrap();
    let flag = format!("-DFLAG=\"{}\"", dir.join("refuses").display());
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", &flag, "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    library
}

#[test]
fn state_fsync_eio() {
    let world = World::new();
    world.write(WEB);
    // The keeper hands its environment on to the engine, and to nobody else.
    let state = world.place.state.display().to_string();
    let (mut keeper, ..) = world.command(&["keeper", "--state", &state]);
    let mut keeper = keeper.env("LD_PRELOAD", shim(&world.dir)).spawn().unwrap();
    world.until("the engine answers", || world.try_status());
    world.bring_up();
    let before = all_pids(&world.settle());
    let accepted = || world.runtime.block_on(world.client.system()).unwrap().text;

    let flag = world.dir.join("refuses");
    fs::write(&flag, "").unwrap();
    let changed = WEB.replace("replicas: 3", "replicas: 2");
    world.write(&changed);
    for _ in 0..3 {
        let said = world.run(&["up", "--detach"]).bad();
        assert!(said.contains("not accepted"), "{said}");
    }
    world.run(&["scale", "web", "5"]).bad();
    assert_eq!((accepted(), all_pids(&world.status())), (WEB.to_owned(), before.clone()), "nothing of it holds");
    let shown = world.run(&["status"]).good();
    assert!(shown.contains("can't be written down"), "{shown}");
    assert_eq!(world.get("/").0, 200, "services go on");

    // An engine that dies now finds no disk to trust; the next one that does goes on from what was acknowledged.
    let engine = own_pid(&world.status(), "engine");
    let url = world.url();
    sweep::signal(engine, Signal::KILL);
    assert_eq!(world.get_at(&url, "/").0, 200, "services go on without it");
    fs::remove_file(&flag).unwrap();
    world.until_status("the engine is back", |status| {
        status.settled && status.processes.get("engine").is_some_and(|own| own.pid != engine)
    });
    assert_eq!((accepted(), all_pids(&world.status())), (WEB.to_owned(), before), "only what was acknowledged");

    // A disk that is well again is used again, also by an engine that saw it refuse.
    fs::write(&flag, "").unwrap();
    world.run(&["up", "--detach"]).bad();
    fs::remove_file(&flag).unwrap();
    world.bring_up();
    assert_eq!(accepted(), changed);
    let status = world.settle();
    assert_eq!(all_pids(&status).len(), 2);
    assert!(!status.warnings.iter().any(|warning| warning.contains("written down")), "{:?}", status.warnings);
    world.down();
    assert!(keeper.wait().unwrap().success());
}
