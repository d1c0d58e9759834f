//! Child processes that die with the test, whatever happens to it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Generous: these machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A number that no other store of this process has.
pub fn own_number() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An address in 127.64.0.0/10 that no other test process uses.
pub fn own_address() -> Ipv4Addr {
    let id = std::process::id();
    let [_, high, middle, low] = id.to_be_bytes();
    Ipv4Addr::new(127, 64 + (high & 63), middle, low)
}

/// A command that is killed when the test's thread ends; as `user` if we are root and one is given.
pub fn command(program: &str, user: Option<&str>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if let Some(user) = user.filter(|_| is_root()) {
        command.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".into()]);
    }
    command.arg(program).stdin(Stdio::null());
    command
}

/// Do the tests run as root?
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[derive(Default)]
struct Lines {
    kept: VecDeque<String>,
    ended: bool,
}

/// A running child; killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<(Mutex<Lines>, Condvar)>,
}

impl Process {
    /// Starts a command, and keeps what it prints.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let child = command.stdout(writer.try_clone().unwrap()).stderr(writer).spawn();
        let child = child.unwrap_or_else(|why| panic!("cannot start {name}: {why}"));
        // The command holds the pipe's other end until it is dropped or told otherwise.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let lines = Arc::<(Mutex<Lines>, Condvar)>::default();
        let sink = Arc::clone(&lines);
        std::thread::spawn(move || collect(reader, &sink));
        Self { name: name.into(), child, lines }
    }

    /// Waits until `find` finds something in what was printed.
    ///
    /// # Panics
    /// It never does.
    pub fn wait_for<T>(&self, mut find: impl FnMut(&str) -> Option<T>) -> T {
        let (lock, changed) = &*self.lines;
        let deadline = Instant::now() + PATIENCE;
        let mut lines = lock.lock().unwrap();
        loop {
            if let Some(found) = lines.kept.iter().find_map(|line| find(line)) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !lines.ended, "{} never said it:\n{}", self.name, text(&lines));
            lines = changed.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// What it printed so far.
    pub fn printed(&self) -> String {
        text(&self.lines.0.lock().unwrap())
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// SIGINT: PostgreSQL's fast shutdown, which does not wait for its clients.
    pub fn interrupt(&self) {
        self.signal(rustix::process::Signal::INT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// It does not.
    pub fn wait(&mut self) -> ExitStatus {
        if let Some(status) = self.child.try_wait().unwrap() {
            return status;
        }
        let ended = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()).unwrap();
        let limit = Timespec::try_from(PATIENCE).unwrap();
        retry_on_intr(|| poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&limit))).unwrap();
        let status = self.child.try_wait().unwrap();
        status.unwrap_or_else(|| panic!("{} does not end:\n{}", self.name, self.printed()))
    }

    /// Waits until it has ended and everything it printed was read.
    ///
    /// # Panics
    /// It does not end.
    pub fn finish(&mut self) -> String {
        self.wait();
        let (lock, changed) = &*self.lines;
        let lines = lock.lock().unwrap();
        let (lines, late) = changed.wait_timeout_while(lines, PATIENCE, |lines| !lines.ended).unwrap();
        assert!(!late.timed_out(), "{} left its output open", self.name);
        text(&lines)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}", self.name, self.printed());
        }
    }
}

fn text(lines: &Lines) -> String {
    lines.kept.iter().map(|line| format!("{line}\n")).collect()
}

fn collect(reader: impl Read, sink: &(Mutex<Lines>, Condvar)) {
    for line in BufReader::new(reader).lines() {
        let Ok(line) = line else { break };
        let mut lines = sink.0.lock().unwrap();
        lines.kept.push_back(line);
        if lines.kept.len() > 4000 {
            lines.kept.pop_front();
        }
        sink.1.notify_all();
    }
    sink.0.lock().unwrap().ended = true;
    sink.1.notify_all();
}

/// Runs to the end and returns what was printed.
///
/// # Panics
/// It fails.
pub fn run(name: &str, command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|why| panic!("cannot run {name}: {why}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed: {text}");
    text
}
