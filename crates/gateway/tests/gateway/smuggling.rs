//! Requests that are meant to be read in one way by the gateway and in another by who is behind it. Each is refused, and its
//! connection ends, or replica and client agree with the gateway on what was asked, one answer for each request.

mod corpus;
mod fuzz;

use crate::{backend::Backend, client::Client, world::World};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What follows each payload on the same connection.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
/// What a payload tries to get past the gateway.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\nX: ";

/// A replica that writes down each request that came to its end, as it reads it: by rules of its own, as simple as they are.
struct Recorder {
    backend: Backend,
    /// Method and path.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        let backend = Backend::raw(move |mut stream, head| {
            let record = Arc::clone(&record);
            async move {
                let mut body = Vec::new();
                if let Some(length) = head.header("content-length") {
                    body.resize(length.parse().expect("the gateway writes plain numbers"), 0);
                    stream.read_exact(&mut body).await.ok()?;
                } else if head.header("transfer-encoding").is_some() {
                    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
                    while !body.ends_with(b"0\r\n\r\n") {
                        body.push(stream.read_u8().await.ok()?);
                    }
                }
                let asked: Vec<&str> = head.text.split(' ').take(2).collect();
                record.lock().unwrap().push(asked.join(" "));
                crate::backend::write_ok(&mut stream, "", "ok").await.ok()?;
                Some(stream)
            }
        })
        .await;
        Self { backend, seen }
    }

    /// What was seen since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// The statuses of all answers on one connection that sends `bytes`.
async fn statuses(address: SocketAddr, bytes: &[u8]) -> Vec<u16> {
    let mut client = Client::connect(address).await;
    // It may hang up before all of it is written.
    let _ = client.stream.write_all(bytes).await;
    let text = client.rest().await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused() {
    let recorder = Recorder::start().await;
    let (_world, address) = World::serving(&[&recorder.backend]).await;
    let payloads = corpus::refused();
    assert!(payloads.len() >= 150, "{}", payloads.len());
    for payload in &payloads {
        let mut bytes = payload.clone();
        bytes.extend_from_slice(NEXT.as_bytes());
        let shown = payload.escape_ascii();
        let statuses = statuses(address, &bytes).await;
        assert!(matches!(statuses[..], [400 | 405 | 413 | 501]), "{shown}: {statuses:?}");
        assert_eq!(recorder.take(), Vec::<String>::new(), "{shown}");
    }
}

#[tokio::test]
async fn what_can_be_read_in_one_way_only_is_one_request_for_everybody() {
    let recorder = Recorder::start().await;
    let (_world, address) = World::serving(&[&recorder.backend]).await;
    for (payload, want) in corpus::exact() {
        let statuses = statuses(address, format!("{payload}{NEXT}").as_bytes()).await;
        let answers = statuses.iter().filter(|status| **status != 100).count();
        assert_eq!(recorder.take(), [want, "GET /next"], "{payload:?}");
        assert_eq!(answers, 2, "{payload:?}: {statuses:?}");
    }
}
