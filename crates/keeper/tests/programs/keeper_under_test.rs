//! What the tests start: `keeper …` is a keeper, the other words are programs that misbehave on request.

use plimsoll_keeper::{LogCaps, Options, client::Client, run};
use plimsoll_wire::channel::Channel;
use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("keeper") => keeper(&args[2..]),
        Some("hog") => hog(&args[2]),
        Some("flood") => flood(&args[2]),
        Some("engine") => engine(&args[3]),
        other => {
            eprintln!("unknown part: {other:?}");
            ExitCode::from(2)
        }
    }
}

/// `STATE [engine] [take-over] [small-logs]`
fn keeper(args: &[String]) -> ExitCode {
    let has = |word: &str| args.iter().any(|arg| arg == word);
    let log_caps = if has("small-logs") {
        LogCaps { file_bytes: 64 << 10, files: 3, bytes_per_second: 256 << 10 }
    } else {
        LogCaps::default()
    };
    // A test may say what engines are started from.
    let named = std::fs::read_to_string(Path::new(&args[0]).with_file_name("program")).ok().map(PathBuf::from);
    run(Options {
        state: PathBuf::from(&args[0]),
        program: named.unwrap_or_else(|| std::env::current_exe().expect("own path")),
        engine: has("engine"),
        take_over: has("take-over"),
        log_caps,
    })
}

/// Touches so many MiB.
fn hog(mebibytes: &str) -> ExitCode {
    let bytes = mebibytes.parse::<usize>().expect("a number") << 20;
    let memory: Vec<u8> = (0..bytes).map(|place| (place >> 12) as u8 | 1).collect();
    std::thread::sleep(Duration::from_secs(u64::from(memory[bytes / 2]) + 3600));
    ExitCode::SUCCESS
}

/// Writes so many MiB of lines as fast as it can.
fn flood(mebibytes: &str) -> ExitCode {
    let mut line = vec![b'x'; 127];
    line.push(b'\n');
    let chunk = line.repeat(512);
    let mut out = std::io::stdout().lock();
    for _ in 0..mebibytes.parse::<usize>().expect("a number") * 16 {
        if out.write_all(&chunk).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// An engine that only writes down that it was started, and greets the keeper. When it loses the keeper, it starts another
/// if there is a file `revive`.
fn engine(state: &str) -> ExitCode {
    let beside = |name: &str| Path::new(state).with_file_name(name);
    let mut file = OpenOptions::new().append(true).create(true).open(beside("engines")).expect("the file of engines");
    let client = Channel::from_stdin().and_then(|channel| Client::new(channel, "engine"));
    let Ok(mut client) = client else { return ExitCode::FAILURE };
    // In one piece, because we may be killed as soon as it can be read.
    file.write_all(format!("{}\n", std::process::id()).as_bytes()).expect("written");
    while client.event(Duration::from_secs(3600)).is_ok() {}
    if beside("revive").exists() {
        let own = std::env::current_exe().expect("own path");
        let mut keeper = Command::new(own).args(["keeper", state, "engine", "take-over"]).spawn().expect("a keeper");
        let _ = keeper.wait();
    }
    std::thread::sleep(Duration::from_secs(3600));
    ExitCode::SUCCESS
}
