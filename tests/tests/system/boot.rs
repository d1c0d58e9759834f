//! `plimsoll install` under a systemd that boots: a real one, as process 1 of namespaces of its own, with nothing of this
//! machine's units. A power cut is the end of that process, with which the kernel ends all others.

use crate::{
    look::WEB,
    mounts, sweep,
    world::{LONG, Ran, World, ended},
};
use rustix::process::Signal;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const SYSTEMD: &str = "/lib/systemd/systemd";

/// What comes before systemd: file systems of its own, an `/etc` of its own, and another boot by name.
const BEFORE: &str = r#"
set -e
cd "$1"
mount -t proc proc /proc
mount --bind etc /etc
cat /proc/sys/kernel/random/uuid > boot-id
mount --bind boot-id /proc/sys/kernel/random/boot_id
mount -t tmpfs tmpfs /run
while umount /sys/fs/cgroup 2>/dev/null; do :; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
: > console
mount --bind console /dev/console
exec env -i container=plimsoll PATH="$PATH" SYSTEMD_UNIT_PATH="/etc/systemd/system:$1/units" \
  "$2" --unit=multi-user.target --log-target=console --show-status=no
"#;

/// A machine that has booted.
struct Machine<'a> {
    world: &'a World,
    /// The parent of process 1.
    outside: Child,
    /// Process 1, as it is called outside.
    init: i32,
    cgroup: PathBuf,
}

/// Where the unified hierarchy of control groups is mounted.
fn unified() -> Option<PathBuf> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .map(PathBuf::from)
        .into_iter()
        .find(|one| one.join("cgroup.procs").exists())
}

/// Why no machine can be booted here; `None`: one can.
fn lacks() -> Option<&'static str> {
    match () {
        () if !rustix::process::geteuid().is_root() => Some("only root can boot a systemd of its own"),
        () if !Path::new(SYSTEMD).exists() => Some("systemd is not installed"),
        () if !mounts::run("unshare", &["--mount", "--pid", "--fork", "--cgroup", "true"]) => {
            Some("no namespaces here")
        }
        () if unified().is_none() => Some("control groups are not mounted"),
        () => None,
    }
}

/// An `/etc` without units, and the targets that a boot needs.
fn prepare(dir: &Path) {
    // What can't be copied (sockets, pipes) is not missed.
    Command::new("cp").arg("-a").arg("/etc").arg(dir.join("etc")).stderr(Stdio::null()).status().unwrap();
    fs::remove_dir_all(dir.join("etc/systemd/system")).ok();
    fs::create_dir_all(dir.join("etc/systemd/system")).unwrap();
    fs::create_dir(dir.join("units")).unwrap();
    for target in ["sysinit", "basic", "multi-user", "network-online", "shutdown", "umount", "final"] {
        let text = format!("[Unit]\nDescription={target}\nDefaultDependencies=no\n");
        fs::write(dir.join(format!("units/{target}.target")), text).unwrap();
    }
    fs::write(dir.join("before.sh"), BEFORE).unwrap();
}

impl<'a> Machine<'a> {
    #[track_caller]
    fn boot(world: &'a World) -> Self {
        let cgroup = unified().unwrap().join(format!("plimsoll-test-{}", std::process::id()));
        fs::create_dir_all(&cgroup).unwrap();
        let enter = "echo $$ > \"$0/cgroup.procs\" && exec setpriv --pdeathsig KILL unshare --pid --fork --kill-child \
                     --mount --propagation private --uts --ipc --cgroup sh \"$1/before.sh\" \"$1\" \"$2\"";
        let said = File::create(world.dir.join("outside")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", enter]).arg(&cgroup).arg(&world.dir).arg(SYSTEMD);
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        let outside = command.spawn().unwrap();
        let mut machine = Self { world, init: 0, cgroup, outside };
        let children = format!("/proc/{0}/task/{0}/children", machine.outside.id());
        machine.init = world.until("there is a process 1", || {
            // It is the only one that is called systemd: before, these are shells.
            let pid: i32 = fs::read_to_string(&children).ok()?.trim().parse().ok()?;
            fs::read_to_string(format!("/proc/{pid}/comm")).ok().filter(|name| name.trim() == "systemd").map(|_| pid)
        });
        world.until("it has booted", || {
            machine.run(&["systemctl", "is-active", "multi-user.target"]).out.starts_with("active").then_some(())
        });
        machine
    }

    /// Runs a command on this machine.
    #[track_caller]
    fn run(&self, words: &[&str]) -> Ran {
        let (out, err) = (self.world.dir.join("run.out"), self.world.dir.join("run.err"));
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.init.to_string(), "--mount", "--pid", "sh", "-c", "cd \"$0\" && exec \"$@\""]);
        command.arg(&self.world.dir).args(words).stdin(Stdio::null());
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let code = ended(command.spawn().unwrap(), &words.join(" "), &err);
        let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Ran { code, out: text(&out), err: text(&err) }
    }

    /// The process that the unit runs, as it is called inside; 0: none.
    fn main_pid(&self) -> i32 {
        let said = self.run(&["systemctl", "show", "--property=MainPID", "--value", "voyage.service"]).good();
        said.trim().parse().unwrap()
    }

    /// The power is gone.
    fn cut(self) {
        drop(self);
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            for name in ["outside", "console"] {
                let text = fs::read(self.world.dir.join(name)).unwrap_or_default();
                eprintln!("== {name}\n{}", String::from_utf8_lossy(&text));
            }
        }
        sweep::signal(self.init, Signal::KILL);
        self.outside.kill().ok();
        self.outside.wait().ok();
        // Its groups can be removed once the last process is out of them.
        let until = Instant::now() + LONG;
        while self.cgroup.exists() && Instant::now() < until {
            remove_group(&self.cgroup);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Removes a control group and those in it, as far as they are empty.
fn remove_group(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_group(&entry.path());
        }
    }
    fs::remove_dir(group).ok();
}

#[test]
fn a_system_that_is_installed_is_there_again_after_a_power_cut() {
    if let Some(why) = lacks() {
        return eprintln!("skipped: {why}");
    }
    let world = World::new();
    world.write(WEB);
    prepare(&world.dir);
    let plimsoll = world.dir.join("plimsoll").display().to_string();
    let plimsoll = plimsoll.as_str();

    let machine = Machine::boot(&world);
    let said = machine.run(&[plimsoll, "install", "--system", "--name", "voyage"]).good();
    assert!(said.contains("enabled it"), "{said}");
    machine.run(&[plimsoll, "up", "--detach"]).good();
    machine.run(&[plimsoll, "scale", "web", "2"]).good();
    let is_back = |status: &plimsoll_api::Status| status.settled && status.services["web"].ready == 2;
    world.until_status("two are ready", is_back);
    let url = world.url();
    assert_eq!(world.get("/").0, 200);
    assert_eq!(machine.run(&["systemctl", "is-active", "voyage.service"]).good(), "active\n");

    // A keeper that dies is started again by systemd, and takes over what runs.
    let (keeper, before) = (machine.main_pid(), crate::look::all_pids(&world.status()));
    machine.run(&["systemctl", "kill", "--kill-who=main", "--signal=KILL", "voyage.service"]).good();
    world.until("another keeper", || Some(machine.main_pid()).filter(|pid| *pid != 0 && *pid != keeper));
    let after = world.until_status("it is as before", is_back);
    assert_eq!(crate::look::all_pids(&after), before, "what ran goes on");

    machine.cut();
    world.until_gone();
    let machine = Machine::boot(&world);
    world.until_status("everything is as it was", is_back);
    assert_eq!((world.url(), world.get("/").0), (url, 200), "it serves where it did");
    assert_eq!(world.ask(world.client.system()).unwrap().unwrap().text, WEB, "the accepted file");
    assert_ne!(machine.main_pid(), 0, "by the unit");

    // In order, and for good.
    machine.run(&["systemctl", "stop", "voyage.service"]).good();
    assert!(world.ask(world.client.status()).unwrap().is_err(), "nobody answers any more");
    let said = machine.run(&[plimsoll, "uninstall", "--system", "--name", "voyage"]).good();
    assert!(said.contains("removed"), "{said}");
    assert_ne!(machine.run(&["systemctl", "is-enabled", "voyage.service"]).code, Some(0));
    machine.cut();
    world.until_gone();
}
