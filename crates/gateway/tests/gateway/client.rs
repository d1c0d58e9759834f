//! Clients: one that speaks byte by byte, and one that is a plain HTTP client.

use crate::world::PATIENCE;
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

/// The head of a message, as text.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// With its line ends, without the empty line.
    pub(crate) text: String,
}

impl Head {
    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Reads a head byte by byte, so that nothing behind it is taken. `None`: the other end is gone.
pub(crate) async fn read_head(stream: &mut TcpStream) -> io::Result<Option<Head>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return if bytes.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        bytes.push(byte[0]);
    }
    bytes.truncate(bytes.len() - 4);
    Ok(Some(Head { text: String::from_utf8_lossy(&bytes).into_owned() }))
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// A header as the replica got it.
    pub(crate) fn echoed(&self, name: &str) -> Option<String> {
        let said = self.json();
        let headers = said["headers"].as_array().unwrap().iter();
        let found: Vec<_> = headers.filter(|pair| pair[0] == name).collect();
        assert!(found.len() <= 1, "{name} came {} times", found.len());
        found.first().map(|pair| pair[1].as_str().unwrap().to_owned())
    }
}

/// A connection of a client.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.unwrap().unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    pub(crate) async fn write(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(text.as_ref())).await.expect("the gateway reads")
    }

    /// Reads a whole answer.
    ///
    /// # Errors
    /// The connection ended before that.
    pub(crate) async fn read(&mut self) -> io::Result<Answer> {
        timeout(PATIENCE, self.read_answer(true)).await.expect("an answer")
    }

    /// Reads the answer to a HEAD request.
    pub(crate) async fn read_bodiless(&mut self) -> io::Result<Answer> {
        timeout(PATIENCE, self.read_answer(false)).await.expect("an answer")
    }

    async fn read_answer(&mut self, with_body: bool) -> io::Result<Answer> {
        let head = read_head(&mut self.stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut body = Vec::new();
        if !with_body || head.status() == 204 || head.status() == 304 || head.status() == 101 {
            return Ok(Answer { head, body });
        }
        if let Some(length) = head.header("content-length") {
            body.resize(length.parse().unwrap(), 0);
            self.stream.read_exact(&mut body).await?;
        } else if head.header("transfer-encoding").is_some() {
            self.read_chunks(&mut body).await?;
        } else {
            self.stream.read_to_end(&mut body).await?;
        }
        Ok(Answer { head, body })
    }

    async fn read_chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let size = usize::from_str_radix(&self.read_line().await?, 16).unwrap();
            let from = body.len();
            body.resize(from + size, 0);
            self.stream.read_exact(&mut body[from..]).await?;
            self.read_line().await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn read_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.stream.read_u8().await?);
        }
        line.truncate(line.len() - 2);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Waits until the gateway closes; what came before.
    pub(crate) async fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        timeout(PATIENCE, self.stream.read_to_end(&mut bytes)).await.expect("the gateway closes")?;
        Ok(bytes)
    }

    pub(crate) async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.write(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await?;
        self.read().await
    }
}

/// One GET on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    Client::connect(address).await.get(path).await.unwrap()
}

/// One request on a connection of its own: head lines and body as they are given.
pub(crate) async fn send(address: SocketAddr, text: impl AsRef<[u8]>) -> Answer {
    let mut client = Client::connect(address).await;
    client.write(text).await.unwrap();
    client.read().await.unwrap()
}

/// Clients that send one request after the other until they are stopped.
pub(crate) struct Load {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
    pub(crate) answers: Arc<AtomicU64>,
    failures: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Load {
    /// `clients` connections, each sending `request` again and again.
    pub(crate) fn start(address: SocketAddr, clients: usize, request: &'static str) -> Self {
        let mut load =
            Self { tasks: JoinSet::new(), stop: Arc::default(), answers: Arc::default(), failures: Arc::default() };
        for _ in 0..clients {
            let (stop, answers, failures) =
                (Arc::clone(&load.stop), Arc::clone(&load.answers), Arc::clone(&load.failures));
            load.tasks.spawn(async move {
                let mut client = Client::connect(address).await;
                while !stop.load(SeqCst) {
                    let answered = match client.write(request).await {
                        Ok(()) => client.read().await,
                        Err(error) => Err(error),
                    };
                    answers.fetch_add(1, SeqCst);
                    match answered {
                        Ok(answer) if answer.status() == 200 => {}
                        Ok(answer) => failures.lock().unwrap().push(format!("{answer:?}")),
                        Err(error) => {
                            failures.lock().unwrap().push(error.to_string());
                            client = Client::connect(address).await;
                        }
                    }
                }
            });
        }
        load
    }

    /// Waits until so many more requests were answered.
    pub(crate) async fn more(&self, count: u64) {
        let want = self.answers.load(SeqCst) + count;
        crate::world::until("load goes on", || self.answers.load(SeqCst) >= want).await;
    }

    /// Ends it; how many were answered, and what failed.
    pub(crate) async fn stop(mut self) -> (u64, Vec<String>) {
        self.stop.store(true, SeqCst);
        while self.tasks.join_next().await.is_some() {}
        (self.answers.load(SeqCst), std::mem::take(&mut self.failures.lock().unwrap()))
    }
}
