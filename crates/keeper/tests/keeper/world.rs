//! A keeper of one's own, for one test: started in a fresh directory, stopped with all that it started.

use plimsoll_keeper::client::Client;
use plimsoll_wire::{
    keeper::{Answer, Ask, Event, Exit, Process, Refusal, Spawn},
    place::Place,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
    process::{Pid, PidfdFlags, pidfd_open},
};
use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_keeper-under-test");
/// A user who may do nothing special.
const NOBODY: u32 = 65534;
/// Nothing here takes long; this only keeps a failed test from waiting for ever.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A keeper and an engine's connection to it.
pub(crate) struct World {
    pub(crate) keeper: Child,
    pub(crate) client: Client,
    pub(crate) place: Place,
    /// Ends that were told while something else was waited for.
    ends: Vec<(String, Exit)>,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    /// A keeper without an engine.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// A keeper with these words of the program under test.
    pub(crate) fn with(words: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(&folder.path().join("state"));
        let keeper = start(&place, words);
        let client = connect(&place);
        Self { keeper, client, place, ends: Vec::new(), folder }
    }

    /// A keeper that runs as a user without privileges, if we may choose one.
    pub(crate) fn unprivileged() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(&folder.path().join("state"));
        // Where the program lies may be closed to that user.
        let program = folder.path().join("program");
        copy_program(&program);
        let mut command = command(&program, &place, &[]);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            command.uid(NOBODY).gid(NOBODY);
        }
        let keeper = command.spawn().unwrap();
        let client = connect(&place);
        Self { keeper, client, place, ends: Vec::new(), folder }
    }

    /// Kills the keeper, and has another one take over.
    pub(crate) fn replace_keeper(&mut self, words: &[&str]) {
        self.kill_keeper();
        self.keeper = start(&self.place, words);
        self.client = connect(&self.place);
    }

    /// Has another keeper take over from one that was killed.
    pub(crate) fn replace_keeper_after_death(&mut self) {
        self.keeper = start(&self.place, &[]);
        self.client = connect(&self.place);
    }

    /// `kill -9` of the keeper alone.
    pub(crate) fn kill_keeper(&mut self) {
        self.keeper.kill().unwrap();
        self.keeper.wait().unwrap();
    }

    pub(crate) fn ask(&mut self, ask: Ask) -> Answer {
        self.client.ask(ask).unwrap()
    }

    #[track_caller]
    pub(crate) fn spawn(&mut self, spawn: Spawn) -> Process {
        match self.ask(Ask::Spawn(Box::new(spawn))) {
            Answer::Spawned(process) => process,
            other => panic!("not started: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn refusal(&mut self, spawn: Spawn) -> Refusal {
        match self.ask(Ask::Spawn(Box::new(spawn))) {
            Answer::Refused(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) fn signal(&mut self, id: &str, signal: i32) {
        assert_eq!(self.ask(Ask::Signal { id: id.into(), signal, whole: false }), Answer::Done);
    }

    /// Waits for an event that is meant.
    #[track_caller]
    pub(crate) fn event<T>(&mut self, what: &str, mut meant: impl FnMut(&Event) -> Option<T>) -> T {
        let until = Instant::now() + LONG;
        while let Some((event, _)) = self.client.event(until.saturating_duration_since(Instant::now())).unwrap() {
            if let Some(found) = meant(&event) {
                return found;
            }
            if let Event::Exited { id, exit } = event {
                self.ends.push((id, exit));
            }
        }
        panic!("{what} was not told");
    }

    /// Waits for the end of a process to be told.
    #[track_caller]
    pub(crate) fn exit(&mut self, wanted: &str) -> Exit {
        if let Some(place) = self.ends.iter().position(|(id, _)| id == wanted) {
            return self.ends.remove(place).1;
        }
        self.event(&format!("the end of {wanted}"), |event| match event {
            Event::Exited { id, exit } if id == wanted => Some(exit.clone()),
            _ => None,
        })
    }

    #[track_caller]
    pub(crate) fn process(&mut self, id: &str) -> Option<Process> {
        match self.ask(Ask::List) {
            Answer::Inventory(inventory) => inventory.processes.into_iter().find(|process| process.id == id),
            other => panic!("no inventory: {other:?}"),
        }
    }

    /// The most memory that the keeper itself ever had, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.keeper.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak.unwrap().parse().unwrap()
    }

    /// The text of a log, with the times cut off.
    pub(crate) fn log(&self, name: &str) -> String {
        let text = fs::read_to_string(self.place.log(name)).unwrap_or_default();
        text.lines().map(|line| line.split_once(' ').map_or(line, |(_, rest)| rest).to_owned() + "\n").collect()
    }

    /// A file that processes of this world can write to.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.keeper.try_wait().ok().flatten().is_some() {
            if !self.place.inventory().exists() {
                return;
            }
            // Another one may run already, which an engine has started: then ours is refused.
            self.keeper = start(&self.place, &[]);
        }
        if let Ok(mut client) = Client::connect(&self.place.keeper_socket(), "test") {
            let _ = client.ask(Ask::Stop { grace_ms: 0 });
        } else if let Some(client) = try_connect(&self.place) {
            let _ = { client }.ask(Ask::Stop { grace_ms: 0 });
        }
        if ends_within(&mut self.keeper, LONG).is_none() {
            let _ = self.keeper.kill();
            let _ = self.keeper.wait();
            eprintln!("the keeper did not stop");
        }
    }
}

/// How a child of ours ended, as the kernel tells. `None`: it has not, after `limit`.
pub(crate) fn ends_within(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    if let Some(status) = child.try_wait().unwrap() {
        return Some(status);
    }
    let ended = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).unwrap();
    let limit = Timespec::try_from(limit).unwrap();
    retry_on_intr(|| poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&limit))).unwrap();
    child.try_wait().unwrap()
}

/// A process that is none of the keeper's.
pub(crate) struct Stranger(pub(crate) Child);

impl Stranger {
    /// A process that carries such a mark.
    pub(crate) fn marked(mark: &str) -> Self {
        Self(Command::new("sleep").arg("10000").env("PLIMSOLL_PROCESS", mark).spawn().unwrap())
    }

    #[track_caller]
    pub(crate) fn assert_untouched(&mut self) {
        assert_eq!(self.0.try_wait().unwrap(), None, "a stranger was signalled");
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a keeper, without waiting for it.
pub(crate) fn start(place: &Place, words: &[&str]) -> Child {
    command(Path::new(PROGRAM), place, words).spawn().unwrap()
}

fn command(program: &Path, place: &Place, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.arg("keeper").arg(&place.state).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Connects as an engine, as soon as the keeper listens.
#[track_caller]
pub(crate) fn connect(place: &Place) -> Client {
    try_connect(place).unwrap_or_else(|| {
        let log = fs::read_to_string(place.log("keeper")).unwrap_or_default();
        panic!("no keeper listens at {}: {log}", place.keeper_socket().display())
    })
}

fn try_connect(place: &Place) -> Option<Client> {
    let until = Instant::now() + LONG;
    while Instant::now() < until {
        if let Ok(client) = Client::connect(&place.keeper_socket(), "engine") {
            return Some(client);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    None
}

/// `sh -c script`, with a log of the same name.
pub(crate) fn shell(id: &str, script: &str) -> Spawn {
    Spawn {
        id: id.into(),
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        log: Some(id.into()),
        ..Spawn::default()
    }
}

/// One of the test's own programs.
pub(crate) fn program(id: &str, words: &[&str]) -> Spawn {
    Spawn { program: PROGRAM.into(), args: words.iter().map(|word| (*word).to_owned()).collect(), ..shell(id, "") }
}

/// Copies the program under test. By another process: were the copy open for writing here, a process that another test
/// starts meanwhile would have it open too, and it could not be executed.
pub(crate) fn copy_program(to: &Path) {
    assert!(Command::new("cp").arg(PROGRAM).arg(to).status().unwrap().success());
}

/// Writes a text that is to be executed, for the same reason by another process.
pub(crate) fn write_program(to: &Path, text: &str) {
    let script = "printf '%s' \"$1\" > \"$2\"";
    let written = Command::new("sh").args(["-c", script, "sh", text]).arg(to).status().unwrap();
    assert!(written.success());
}

/// Waits until that is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < until, "never so: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process with that pid runs (not dead and waiting to be reaped).
pub(crate) fn is_alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

/// The state letter of a process.
pub(crate) fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Pids that a script has written to a file, one a line, once there are so many.
#[track_caller]
pub(crate) fn pids(file: &Path, count: usize) -> Vec<i32> {
    let read = || -> Vec<i32> {
        let text = fs::read_to_string(file).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter_map(|line| line.parse().ok()).collect()
    };
    eventually(&format!("{count} pids in {}", file.display()), || read().len() >= count);
    read()
}
