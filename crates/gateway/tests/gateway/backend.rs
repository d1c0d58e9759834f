//! Replicas: servers that behave well, and some that don't.

use crate::client::{Head, read_head};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    convert::Infallible,
    future::Future,
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// A server in this process.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    /// Requests that it got.
    pub(crate) requests: Arc<AtomicU64>,
    tasks: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Backend {
    /// Says its name and what it got, as JSON.
    pub(crate) async fn echo(name: &'static str) -> Self {
        Self::http(move |request| echo(name, request)).await
    }

    /// Says `ok` when the gate has a permit, one for each answer.
    pub(crate) async fn gated(gate: &Arc<tokio::sync::Semaphore>) -> Self {
        let gate = Arc::clone(gate);
        Self::http(move |_| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.unwrap().forget();
                Response::new(Full::new(Bytes::from_static(b"ok")))
            }
        })
        .await
    }

    /// Answers each request by `answer`, over HTTP/1.1 or HTTP/2.
    pub(crate) async fn http<F, R>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
        R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        Self::connections(move |stream, requests| {
            let answer = answer.clone();
            async move {
                let service = service_fn(move |request| {
                    requests.fetch_add(1, SeqCst);
                    let answered = answer(request);
                    async move { Ok::<_, Infallible>(answered.await) }
                });
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                // A gateway that hangs up is no failure of the replica.
                let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            }
        })
        .await
    }

    /// Looks after each connection by itself, after reading a head: `answer` gets the stream with the head read.
    pub(crate) async fn raw<F, R>(answer: F) -> Self
    where
        F: Fn(TcpStream, Head) -> R + Clone + Send + 'static,
        R: Future<Output = Option<TcpStream>> + Send + 'static,
    {
        Self::connections(move |mut stream, requests| {
            let answer = answer.clone();
            async move {
                while let Ok(Some(head)) = read_head(&mut stream).await {
                    requests.fetch_add(1, SeqCst);
                    match answer(stream, head).await {
                        Some(next) => stream = next,
                        None => return,
                    }
                }
            }
        })
        .await
    }

    async fn connections<F, R>(serve: F) -> Self
    where
        F: Fn(TcpStream, Arc<AtomicU64>) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicU64::new(0));
        let tasks = Arc::new(Mutex::new(Vec::new()));
        let (counted, all) = (Arc::clone(&requests), Arc::clone(&tasks));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                all.lock().unwrap().push(tokio::spawn(serve(stream, Arc::clone(&counted))).abort_handle());
            }
        });
        tasks.lock().unwrap().push(accepting.abort_handle());
        Self { address, requests, tasks }
    }

    pub(crate) fn count(&self) -> u64 {
        self.requests.load(SeqCst)
    }

    /// Closes its listener and all connections, wherever they are.
    pub(crate) fn die(&self) {
        self.tasks.lock().unwrap().drain(..).for_each(|task| task.abort());
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.die();
    }
}

async fn echo(name: &'static str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let said = serde_json::json!({
        "name": name,
        "method": head.method.as_str(),
        "uri": head.uri.to_string(),
        "headers": headers,
        "length": body.len(),
        "body": String::from_utf8_lossy(&body[..body.len().min(100)]),
    });
    Response::new(Full::new(said.to_string().into()))
}

/// Writes an answer with that body.
pub(crate) async fn write_ok(stream: &mut TcpStream, more: &str, body: &str) -> std::io::Result<()> {
    let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{more}\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await
}

/// A server in a process of its own, which can be killed.
pub(crate) struct Replica {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Replica {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process", "--nocapture", "--test-threads=1"])
            .env("PLIMSOLL_TEST_REPLICA", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let address = output
            .lines()
            .find_map(|line| line.unwrap().split_once("listens at ").map(|(_, address)| address.parse().unwrap()))
            .expect("the replica tells its address");
        Self { address, child }
    }

    pub(crate) fn pidfd(&self) -> std::os::fd::OwnedFd {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process of a [`Replica`]: answers `ok`; ends when its standard input does.
#[expect(clippy::print_stdout, reason = "its address is read from there")]
pub(crate) fn replica_process() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    println!("listens at {}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next() {
                    if line.is_empty()
                        && (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    let mut rest = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut rest);
}
