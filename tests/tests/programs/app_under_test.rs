//! A service for tests: a small HTTP server that behaves well, or misbehaves as its words and requests say.
//!
//! Words: `--ignore-term`, `--idle MS` (closes connections that are idle for so long), `--slow MS` (each answer), `--late MS`
//! (listens only then), `--fail PERCENT` (so many answers are 500, evenly spread, but not those of `/ready`), `--leak MB`
//! (each of those answers keeps so much memory), `--quiet`, and those of `work.rs`; or instead of serving: `crash`, `flood`,
//! `once`, `daemon`, `linger`, `spin`, `grpc` (see `grpc.rs`).

mod grpc;
mod work;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    process::{Command, ExitCode, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

/// How often an idle connection looks whether it should end.
const LOOK: Duration = Duration::from_millis(20);
/// How long connections get to finish after SIGTERM.
const DRAIN: Duration = Duration::from_secs(20);

/// What requests may change, and what is counted.
#[derive(Default)]
struct App {
    name: String,
    idle: Option<Duration>,
    draining: AtomicBool,
    unready: AtomicBool,
    slow_ms: AtomicU64,
    fail_percent: u64,
    leak_mb: u64,
    answered: AtomicU64,
    open: AtomicU64,
    work: work::Work,
    memory: Mutex<Vec<u8>>,
    files: Mutex<Vec<File>>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("crash") => {
            say("crashing at once");
            ExitCode::from(3)
        }
        Some("once") => {
            say("done");
            ExitCode::SUCCESS
        }
        Some("flood") => flood(),
        Some("daemon") => {
            // The second fork: whoever started us sees us end, and what we started lives on alone.
            spawn_alone("linger").map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
        }
        Some("spin") => loop {
            std::hint::spin_loop();
        },
        Some("grpc") => {
            let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(0);
            grpc::serve(port).map_or(ExitCode::from(4), |()| ExitCode::SUCCESS)
        }
        Some("linger") => loop {
            thread::sleep(Duration::from_secs(3600));
        },
        _ => serve(&words),
    }
}

/// A line on standard output; a log that nobody reads is no trouble.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).ok();
}

fn flood() -> ExitCode {
    let line = [b'x'; 999].as_slice();
    let chunk = [line, b"\n"].concat().repeat(64);
    let mut out = io::stdout().lock();
    while out.write_all(&chunk).is_ok() {}
    ExitCode::FAILURE
}

/// Starts this program with one word, in a process group of its own.
fn spawn_alone(word: &str) -> io::Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command.arg(word).process_group(0).stdin(Stdio::null());
    command.spawn().map(drop)
}

fn number_after(words: &[String], flag: &str) -> Option<u64> {
    let at = words.iter().position(|word| word == flag)?;
    words.get(at + 1)?.parse().ok()
}

/// As `--fail`, by `APP_FAILS`: another version without another file.
fn fails_by_environment() -> Option<u64> {
    std::env::var("APP_FAILS").ok()?.parse().ok()
}

fn serve(words: &[String]) -> ExitCode {
    let has = |flag: &str| words.iter().any(|word| word == flag);
    let app = Arc::new(App {
        name: std::env::var("PLIMSOLL_REPLICA").unwrap_or_default(),
        idle: number_after(words, "--idle").map(Duration::from_millis),
        slow_ms: AtomicU64::new(number_after(words, "--slow").unwrap_or(0)),
        work: work::Work::new(words),
        fail_percent: number_after(words, "--fail").or_else(fails_by_environment).unwrap_or(0),
        leak_mb: number_after(words, "--leak").unwrap_or(0),
        ..App::default()
    });
    thread::sleep(Duration::from_millis(number_after(words, "--late").unwrap_or(0)));
    let port = std::env::var("PORT").ok().and_then(|port| port.parse::<u16>().ok()).unwrap_or(0);
    let listener = match TcpListener::bind(("127.0.0.1", port)) {
        Ok(listener) => listener,
        Err(error) => {
            say(&format!("cannot listen on {port}: {error}"));
            return ExitCode::from(4);
        }
    };
    watch_for_term(app.clone(), port, has("--ignore-term"));
    if !has("--quiet") {
        say(&format!("{} listens on {port} as process {}", app.name, std::process::id()));
    }
    for stream in listener.incoming() {
        if app.draining.load(SeqCst) {
            break;
        }
        let Ok(stream) = stream else { continue };
        app.open.fetch_add(1, SeqCst);
        let app = app.clone();
        thread::spawn(move || {
            app.talk(&stream).ok();
            app.open.fetch_sub(1, SeqCst);
        });
    }
    drop(listener);
    let until = Instant::now() + DRAIN;
    while app.open.load(SeqCst) > 0 && Instant::now() < until {
        thread::sleep(LOOK);
    }
    say("ended as asked");
    ExitCode::SUCCESS
}

/// Waits for SIGTERM in a thread of its own; then nothing more is accepted, and what is open is finished.
fn watch_for_term(app: Arc<App>, port: u16, ignore: bool) {
    thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let Ok(mut term) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
                return;
            };
            while term.recv().await.is_some() {
                if ignore {
                    say("SIGTERM is ignored");
                    continue;
                }
                app.draining.store(true, SeqCst);
                // Wakes the loop that accepts.
                TcpStream::connect(("127.0.0.1", port)).ok();
            }
        });
    });
}

impl App {
    /// Serves one connection to its end.
    fn talk(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        let mut kept = false;
        while self.wait_for_request(&reader, stream, kept)? {
            kept = true;
            let Some((target, length)) = head(&mut reader)? else { return Ok(()) };
            if target == "/socket" {
                return echo(reader, stream);
            }
            io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
            thread::sleep(Duration::from_millis(self.slow_ms.load(SeqCst)));
            if target == "/truncate" {
                return (&mut &*stream).write_all(b"HTTP/1.1 200 X\r\ncontent-length: 1000\r\n\r\nnot all");
            }
            let Some((status, body)) = self.answer(&target) else { return Ok(()) };
            let last = self.draining.load(SeqCst);
            let close = if last { "connection: close\r\n" } else { "" };
            let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{close}\r\n{body}", body.len());
            (&mut &*stream).write_all(text.as_bytes())?;
            if last {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether another request comes; not if a kept connection is idle for too long, or we are to end.
    fn wait_for_request(&self, reader: &BufReader<&TcpStream>, stream: &TcpStream, kept: bool) -> io::Result<bool> {
        let since = Instant::now();
        stream.set_read_timeout(Some(LOOK))?;
        loop {
            if !reader.buffer().is_empty() {
                break;
            }
            match stream.peek(&mut [0]) {
                Ok(0) => return Ok(false),
                Ok(_) => break,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
            let too_long = kept && self.idle.is_some_and(|idle| since.elapsed() >= idle);
            if too_long || self.draining.load(SeqCst) {
                return Ok(false);
            }
        }
        stream.set_read_timeout(None)?;
        Ok(true)
    }

    /// What a path does; `None` closes the connection without an answer.
    fn answer(&self, target: &str) -> Option<(u16, String)> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (_, value) = query.split_once('=').unwrap_or(("", ""));
        let number: u64 = value.parse().unwrap_or(0);
        if let Some(answer) = self.work.answer(path, number) {
            return Some(answer);
        }
        match path {
            "/ready" if self.unready.load(SeqCst) => return Some((503, "not ready".into())),
            "/ready" => {}
            _ if self.fails() => return Some((500, "as asked".into())),
            _ if self.leak_mb > 0 => self.grow(self.leak_mb),
            "/get-unready" => self.unready.store(true, SeqCst),
            "/get-ready" => self.unready.store(false, SeqCst),
            "/slow" => thread::sleep(Duration::from_millis(number)),
            "/slower" => self.slow_ms.store(number, SeqCst),
            "/hang" => loop {
                thread::sleep(Duration::from_secs(3600));
            },
            "/drop" => return None,
            "/exit" => leave(i32::try_from(number).unwrap_or(1)),
            "/alloc" => self.grow(number),
            "/files" => self.open_files(number),
            "/spin" => spin(),
            "/daemons" => return Some((200, format!("{}\n", daemons(number)))),
            "/orphans" => orphans(number),
            "/say" => say(value),
            "/env" => return Some((200, std::env::var(value).unwrap_or_default())),
            "/large" => return Some((200, "x".repeat(usize::try_from(number).unwrap_or(0)))),
            _ => {}
        }
        Some((200, format!("{} {} {path}\n", self.name, std::process::id())))
    }

    /// Whether this answer is one of those that are to fail.
    fn fails(&self) -> bool {
        let before = self.answered.fetch_add(1, SeqCst);
        (before + 1) * self.fail_percent / 100 > before * self.fail_percent / 100
    }

    /// Takes memory and writes to it.
    fn grow(&self, megabytes: u64) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..megabytes {
            let length = memory.len() + (1 << 20);
            memory.resize(length, 1);
        }
    }

    fn open_files(&self, count: u64) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.clear();
        files.extend((0..count).map_while(|_| File::open("/dev/null").ok()));
    }
}

/// Agrees to speak another protocol, which says everything back.
fn echo(mut reader: BufReader<&TcpStream>, mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")?;
    let mut bytes = [0; 4096];
    loop {
        let length = reader.read(&mut bytes)?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&bytes[..length])?;
    }
}

/// The target and the length of the body of a request; `None` when the connection ended.
fn head(reader: &mut impl BufRead) -> io::Result<Option<(String, u64)>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let Some(target) = line.split(' ').nth(1).map(str::to_owned) else { return Ok(None) };
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.split_once(':') else { return Ok(Some((target, length))) };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
}

/// Keeps a processor busy from now on.
fn spin() {
    thread::spawn(|| {
        let mut count = 0_u64;
        while count < u64::MAX {
            count = std::hint::black_box(count + 1);
        }
    });
}

#[expect(clippy::exit, reason = "ending in the middle of everything is what is asked for")]
fn leave(code: i32) -> ! {
    say(&format!("leaving with {code}"));
    std::process::exit(code)
}

/// Starts daemons that fork twice; how many were started.
fn daemons(count: u64) -> usize {
    let start = |_| {
        let mut child = Command::new("/proc/self/exe").arg("daemon").process_group(0).spawn().ok()?;
        child.wait().ok().filter(std::process::ExitStatus::success)
    };
    (0..count).filter_map(start).count()
}

/// Leaves so many short-lived orphans to whoever reaps them.
fn orphans(count: u64) {
    let script = format!("i=0; while [ $i -lt {count} ]; do ( : & ); i=$((i+1)); done");
    Command::new("sh").arg("-c").arg(script).status().ok();
}
