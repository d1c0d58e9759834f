//! One running system for one test: a folder of its own, the real `plimsoll`, and an end that leaves nothing behind.

use crate::{programs, sweep};
use plimsoll_api::{Client, ClientError, Event, Status};
use plimsoll_wire::place::Place;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// Nothing here takes long on a machine that has time; this only keeps a failed test from waiting for ever.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(25);

/// A user who may do nothing special.
pub(crate) const NOBODY: u32 = 65534;

/// What a command of `plimsoll` came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// It must have succeeded; gives its standard output.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, Some(0), "failed:\n{}{}", self.out, self.err);
        self.out
    }

    /// It must have ended with 1; gives what it said on both streams.
    #[track_caller]
    pub(crate) fn bad(self) -> String {
        assert_eq!(self.code, Some(1), "should have ended with 1:\n{}{}", self.out, self.err);
        self.out + &self.err
    }
}

/// A folder with a `plimsoll.yaml`, and what runs from it.
pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) place: Place,
    pub(crate) client: Client,
    /// Variables of the environment in which commands are run, in place of those of the tests.
    pub(crate) env: Vec<(String, String)>,
    /// A folder that takes the place of `/etc` for what is run.
    pub(crate) etc: Option<PathBuf>,
    user: Option<u32>,
    ran: std::cell::Cell<u32>,
    pub(crate) dir: PathBuf,
    _watchdog: sweep::Watchdog,
    _folder: tempfile::TempDir,
}

impl World {
    /// A fresh folder; nothing runs.
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// As `new`, in a folder below that one.
    fn below(parent: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("plimsoll-e2e-").tempdir_in(parent).unwrap();
        let dir = folder.path().canonicalize().unwrap();
        let watchdog = sweep::Watchdog::new(&dir);
        // Links of its own: a build beside a running test changes nothing in it, and what runs is told by its path.
        programs::put(programs::plimsoll(), &dir.join("plimsoll"));
        programs::put(Path::new(env!("CARGO_BIN_EXE_app-under-test")), &dir.join("app"));
        let place = Place::new(&dir.join(".plimsoll"));
        let client = Client::new(place.api_socket());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (etc, user, ran) = (None, None, std::cell::Cell::new(0));
        Self { runtime, place, client, env: Vec::new(), etc, user, ran, dir, _watchdog: watchdog, _folder: folder }
    }

    /// As `new`, and everything is run by a user without privileges, if we may choose one.
    pub(crate) fn unprivileged() -> Self {
        // Everybody may pass through it, unlike through a person's own.
        let mut world = Self::below(Path::new("/tmp"));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&world.dir, Some(NOBODY), Some(NOBODY)).unwrap();
            world.user = Some(NOBODY);
        }
        world
    }

    /// A world whose system is up and ready.
    #[track_caller]
    pub(crate) fn up(yaml: &str) -> Self {
        let world = Self::new();
        world.write(yaml);
        world.bring_up();
        world
    }

    pub(crate) fn write(&self, yaml: &str) {
        fs::write(self.dir.join("plimsoll.yaml"), yaml).unwrap();
    }

    /// `plimsoll up --detach`; everything must get ready.
    #[track_caller]
    pub(crate) fn bring_up(&self) -> String {
        self.run(&["up", "--detach"]).good()
    }

    /// A system with that file, which is up. `None`: this machine has not the servers that it takes.
    #[track_caller]
    pub(crate) fn with_servers(yaml: &str) -> Option<Self> {
        let world = Self::new();
        world.write(yaml);
        let said = world.run(&["doctor"]);
        if said.code != Some(0) {
            skip(&said.out);
            return None;
        }
        world.bring_up();
        Some(world)
    }

    /// Writes another file and brings it in.
    #[track_caller]
    pub(crate) fn change(&self, yaml: &str) {
        self.write(yaml);
        self.bring_up();
    }

    /// A command that is not started yet, with its output in files: whoever inherits them holds nobody up.
    pub(crate) fn command(&self, words: &[&str]) -> (Command, PathBuf, PathBuf) {
        let number = self.ran.replace(self.ran.get() + 1);
        let logs = self.dir.join("ran");
        fs::create_dir_all(&logs).unwrap();
        let (out, err) = (logs.join(format!("{number}.out")), logs.join(format!("{number}.err")));
        let plimsoll = self.dir.join("plimsoll");
        let mut command = match (self.user, &self.etc) {
            (None, None) => Command::new(plimsoll),
            (None, Some(etc)) => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc && exec \"$@\""]).arg(etc).arg(plimsoll);
                command
            }
            (Some(user), _) => {
                let mut command = Command::new("setpriv");
                let ids = [format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".into()];
                command.args(ids).arg(plimsoll);
                command
            }
        };
        command.args(words).current_dir(&self.dir).stdin(Stdio::null());
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        command.envs(self.env.iter().cloned());
        (command, out, err)
    }

    /// Runs one command of `plimsoll` to its end.
    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        let (mut command, out, err) = self.command(words);
        let code = ended(command.spawn().unwrap(), &format!("plimsoll {}", words.join(" ")), &err);
        let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Ran { code, out: text(&out), err: text(&err) }
    }

    /// The status; the engine may be gone for a moment.
    #[track_caller]
    pub(crate) fn status(&self) -> Status {
        self.until("the engine answers", || self.try_status())
    }

    pub(crate) fn try_status(&self) -> Option<Status> {
        self.ask(self.client.status())?.ok()
    }

    /// Asks the API; `None` if it does not answer for long.
    pub(crate) fn ask<T>(&self, question: impl Future<Output = T>) -> Option<T> {
        self.runtime.block_on(async { tokio::time::timeout(LONG / 2, question).await.ok() })
    }

    /// Looks again and again until there is something.
    #[track_caller]
    pub(crate) fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + LONG;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < until, "{what}: not within {} s", LONG.as_secs());
            thread::sleep(LOOK);
        }
    }

    /// Looks at the status until it is as wanted.
    #[track_caller]
    pub(crate) fn until_status(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        self.until(what, || self.try_status().filter(&wanted))
    }

    /// Waits until everything is as the file says.
    #[track_caller]
    pub(crate) fn settle(&self) -> Status {
        self.until_status("everything is ready", |status| status.settled)
    }

    /// Everything that was told so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.until("events are told", || self.ask(self.client.events_so_far(0))?.ok())
    }

    /// Waits for an event that is meant.
    #[track_caller]
    pub(crate) fn event(&self, what: &str, meant: impl Fn(&Event) -> bool) -> Event {
        self.until(what, || self.events().into_iter().find(|event| meant(event)))
    }

    /// Ends the system, and waits until nothing of it runs.
    #[track_caller]
    pub(crate) fn down(&self) {
        self.run(&["down"]).good();
        self.until_gone();
    }

    /// Nothing that was started from this folder runs any more.
    #[track_caller]
    pub(crate) fn until_gone(&self) {
        let mut left = Vec::new();
        let until = Instant::now() + LONG;
        while Instant::now() < until {
            left = sweep::processes_of(&self.dir);
            if left.is_empty() {
                return;
            }
            thread::sleep(LOOK);
        }
        panic!("still running: {left:?}");
    }

    /// What is told when a test fails.
    fn tell(&self) {
        for words in [&["status"][..], &["events"]] {
            let ran = self.run(words);
            let lines: Vec<&str> = ran.out.lines().collect();
            eprintln!("== plimsoll {words:?}\n{}{}", lines[lines.len().saturating_sub(60)..].join("\n"), ran.err);
        }
        for log in ["keeper", "engine", "gateway"] {
            let text = fs::read(self.place.log(log)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("== {log}.log\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
    }

    /// Whether a keeper may still serve this folder.
    fn is_up(&self) -> bool {
        !matches!(self.ask(self.client.status()), Some(Err(ClientError::NotUp { .. })))
    }
}

/// What a test needs is not here: it says so and tests nothing. Where `scripts/install` has run (`CI`), that is a failure.
#[track_caller]
pub(crate) fn skip(what_lacks: &str) {
    assert!(std::env::var_os("CI").is_none(), "this machine lacks what scripts/install installs: {what_lacks}");
    eprintln!("skipped: {what_lacks}");
}

/// Waits for the end of a command, but not for ever; its code.
#[track_caller]
pub(crate) fn ended(mut child: Child, what: &str, err: &Path) -> Option<i32> {
    let until = Instant::now() + 3 * LONG;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if Instant::now() > until {
            child.kill().ok();
            child.wait().ok();
            panic!("`{what}` did not end:\n{}", fs::read_to_string(err).unwrap());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let failing = thread::panicking();
        if failing {
            // A test that failed tells what was; that itself may fail, too, and must not hide why.
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.tell())).ok();
        }
        if self.is_up() {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.run(&["down"]))).ok();
        }
        let left = sweep::end_all(&self.dir);
        if !failing {
            assert!(left.is_empty(), "the system was ended, and yet these ran: {left:?}");
        }
    }
}
