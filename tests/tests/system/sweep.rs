//! What runs from a folder, by looking at every process there is; and its end, whatever becomes of the test.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A process that has to do with the folder: its program, its working directory or a word of its command lies there.
pub(crate) fn processes_of(dir: &Path) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if pid == std::process::id().cast_signed() {
            continue;
        }
        let proc = entry.path();
        let words = String::from_utf8_lossy(&fs::read(proc.join("cmdline")).unwrap_or_default()).replace('\0', " ");
        let there =
            |link| fs::read_link(proc.join(link)).is_ok_and(|target: std::path::PathBuf| target.starts_with(dir));
        if there("exe") || there("cwd") || words.contains(&*dir.to_string_lossy()) {
            found.push((pid, words));
        }
    }
    found
}

/// Kills whatever is left of a system that was ended; tells what that was.
pub(crate) fn end_all(dir: &Path) -> Vec<(i32, String)> {
    // What was asked to end may need a moment.
    let until = Instant::now() + Duration::from_secs(10);
    while !processes_of(dir).is_empty() && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
    let left = processes_of(dir);
    for _ in 0..100 {
        let now = processes_of(dir);
        if now.is_empty() {
            break;
        }
        // Whoever starts others again comes first: the keeper before what it looks after.
        for (pid, _) in &now {
            signal(*pid, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(20));
    }
    left
}

/// Sends a signal; a process that is gone is no trouble.
pub(crate) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        kill_process(pid, signal).ok();
    }
}

/// The variables with which a process was started.
pub(crate) fn environment(pid: i32) -> Vec<String> {
    let text = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    text.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Whether a process is there and no zombie.
pub(crate) fn lives(pid: i32) -> bool {
    state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

/// The letter of its state in `/proc`.
pub(crate) fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Waits for the end of the test's process, however it comes, and then ends what it left behind.
const WATCH: &str = r#"
cat >/dev/null
[ -e "$FOLDER" ] || exit 0
timeout 60 "$FOLDER/plimsoll" down --state "$FOLDER/.plimsoll"
for round in 1 2 3 4 5; do
  for process in /proc/[0-9]*; do
    case "$(readlink "$process/exe")" in "$FOLDER"/*) kill -9 "${process#/proc/}" ;; esac
  done
  sleep 0.2
done
rm -rf "$FOLDER"
"#;

/// Ends what a test that was killed has left behind: it would not do so itself.
pub(crate) struct Watchdog(Child);

impl Watchdog {
    pub(crate) fn new(dir: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCH]).env("FOLDER", dir).current_dir("/").process_group(0);
        // Its input ends when this process does; nobody else has the other end.
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(shell.spawn().unwrap())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // The whole group: the shell waits for another process.
        if let Some(group) = Pid::from_raw(self.0.id().cast_signed()) {
            rustix::process::kill_process_group(group, Signal::KILL).ok();
        }
        self.0.wait().ok();
    }
}
