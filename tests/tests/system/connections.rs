//! Clients that keep their connections: many that ask one thing after the other, and sockets that stay open.
//!
//! A connection may only end after an answer that said so (`Connection: close`); anything else is a failure.

use crate::world::World;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// What is counted.
#[derive(Default)]
struct Counts {
    stop: AtomicBool,
    answers: AtomicU64,
    renewed: AtomicU64,
    frames: AtomicU64,
    failures: Mutex<BTreeMap<String, u64>>,
    /// Frames of each socket.
    sockets: Vec<AtomicU64>,
}

impl Counts {
    fn fail(&self, what: String) {
        *self.failures.lock().unwrap().entry(what).or_default() += 1;
    }
}

/// Kept connections and sockets, until they are ended.
pub(crate) struct Connections {
    counts: Arc<Counts>,
    thread: thread::JoinHandle<()>,
}

impl Connections {
    /// Opens so many; each client asks for `/` and then pauses, each socket says something and hears it back.
    pub(crate) fn open(world: &World, clients: usize, sockets: usize, pause: Duration) -> Self {
        let address: SocketAddr = world.url().trim_start_matches("http://").parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let counts =
            Arc::new(Counts { sockets: (0..sockets).map(|_| AtomicU64::new(0)).collect(), ..Counts::default() });
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let counts = Arc::clone(&counts);
            let client = async move {
                // Spread over the pause, so that they don't ask in step.
                tokio::time::sleep(pause * u32::try_from(number % 97).unwrap() / 97).await;
                ask_on(&counts, address, pause).await;
            };
            tasks.spawn_on(client, runtime.handle());
        }
        for number in 0..sockets {
            let counts = Arc::clone(&counts);
            let socket = async move {
                if let Err(error) = keep_socket(&counts, number, address, pause).await {
                    counts.fail(format!("a socket was dropped: {error}"));
                }
            };
            tasks.spawn_on(socket, runtime.handle());
        }
        let thread = thread::spawn(move || drop(runtime.block_on(tasks.join_all())));
        Self { counts, thread }
    }

    /// Waits until so many more answers came, and a frame more on each socket.
    #[track_caller]
    pub(crate) fn more(&self, world: &World, count: u64) {
        let wanted = self.counts.answers.load(SeqCst) + count;
        let frames: Vec<u64> = self.counts.sockets.iter().map(|frames| frames.load(SeqCst) + 1).collect();
        world.until("connections go on", || {
            let failures = self.counts.failures.lock().unwrap();
            assert!(failures.is_empty(), "{failures:?}");
            let sockets = self.counts.sockets.iter().zip(&frames).all(|(now, wanted)| now.load(SeqCst) >= *wanted);
            (sockets && self.counts.answers.load(SeqCst) >= wanted).then_some(())
        });
    }

    /// Ends them all; nothing may have failed or been dropped.
    #[track_caller]
    pub(crate) fn end_without_failure(self, world: &World, what: &str) {
        self.counts.stop.store(true, SeqCst);
        world.until("all connections are ended", || self.thread.is_finished().then_some(()));
        let failures = self.counts.failures.lock().unwrap().clone();
        let counts = &self.counts;
        eprintln!(
            "{what}: {} of {} requests failed or connections were dropped; {} connections were told to come back, and \
             did; {} of {} sockets were dropped, over {} frames",
            failures.iter().filter(|(what, _)| !what.contains("socket")).map(|(_, count)| count).sum::<u64>(),
            counts.answers.load(SeqCst),
            counts.renewed.load(SeqCst),
            failures.iter().filter(|(what, _)| what.contains("socket")).map(|(_, count)| count).sum::<u64>(),
            counts.sockets.len(),
            counts.frames.load(SeqCst),
        );
        assert_eq!(failures, BTreeMap::new());
    }

    /// How many connections were told to come back.
    pub(crate) fn renewed(&self) -> u64 {
        self.counts.renewed.load(SeqCst)
    }
}

/// One client: a connection as long as it lasts, then another.
async fn ask_on(counts: &Counts, address: SocketAddr, pause: Duration) {
    while !counts.stop.load(SeqCst) {
        let mut stream = match TcpStream::connect(address).await {
            Ok(stream) => stream,
            Err(error) => return counts.fail(format!("not connected: {error}")),
        };
        loop {
            match one(&mut stream).await {
                Ok(last) => {
                    counts.answers.fetch_add(1, SeqCst);
                    if last {
                        counts.renewed.fetch_add(1, SeqCst);
                        break;
                    }
                }
                Err(why) => return counts.fail(why),
            }
            if counts.stop.load(SeqCst) {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// Asks once; whether the answer is the last one of this connection.
async fn one(stream: &mut TcpStream) -> Result<bool, String> {
    let sent = stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    sent.map_err(|error| format!("a kept connection was closed before a request: {error}"))?;
    let mut answer = Vec::new();
    let (head, length) = loop {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await {
            Ok(0) => return Err(format!("a kept connection was closed without a word, after {} bytes", answer.len())),
            Ok(count) => answer.extend_from_slice(&bytes[..count]),
            Err(error) => return Err(format!("no answer: {error}")),
        }
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            break (head, end + 4 + length.ok_or("an answer without a length")?);
        }
    };
    while answer.len() < length {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => return Err("an answer was cut off".into()),
            Ok(count) => answer.extend_from_slice(&bytes[..count]),
        }
    }
    if !head.starts_with("http/1.1 200") {
        return Err(format!("answered by {}", head.lines().next().unwrap_or_default()));
    }
    Ok(head.lines().any(|line| line.replace(' ', "") == "connection:close"))
}

/// One socket, for as long as the test goes.
async fn keep_socket(counts: &Counts, number: usize, address: SocketAddr, pause: Duration) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let wish = "GET /socket HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(wish.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(std::io::Error::other(String::from_utf8_lossy(&head).into_owned()));
    }
    while !counts.stop.load(SeqCst) {
        let frame = format!("frame {:08} of {number:08}", counts.frames.fetch_add(1, SeqCst));
        stream.write_all(frame.as_bytes()).await?;
        let mut back = vec![0; frame.len()];
        stream.read_exact(&mut back).await?;
        if back != frame.as_bytes() {
            return Err(std::io::Error::other("something else came back"));
        }
        counts.sockets[number].fetch_add(1, SeqCst);
        tokio::time::sleep(pause).await;
    }
    Ok(())
}
