//! What a NATS server says of itself at the port of its figures.

use super::session::within;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An answer is not longer than this.
const ANSWER_MAX: u64 = 4 << 20;

/// What it says of itself.
pub(crate) struct Figures {
    /// `2.9.10`.
    pub version: String,
    /// Bytes that it has of the machine.
    pub memory: u64,
    /// Clients that are connected.
    pub connections: u64,
    /// What JetStream keeps. `None`: it is off.
    pub kept: Option<Kept>,
}

/// What JetStream keeps.
pub(crate) struct Kept {
    pub streams: u64,
    pub messages: u64,
    /// Bytes of messages.
    pub bytes: u64,
}

/// Whether it serves, JetStream is there if it was asked for, and all streams on disk could be read. The error is for a person.
pub(crate) async fn health(port: u16) -> Result<(), String> {
    let (status, body) = get(port, "/healthz").await?;
    if status == 200 { Ok(()) } else { Err(format!("it says of its health: {}", body.trim())) }
}

/// Its figures. The error is for a person.
pub(crate) async fn figures(port: u16, jetstream: bool) -> Result<Figures, String> {
    let general = json(port, "/varz").await?;
    let kept = if jetstream {
        let all = json(port, "/jsz").await?;
        Some(Kept {
            streams: number(&all, "streams"),
            messages: number(&all, "messages"),
            bytes: number(&all, "bytes"),
        })
    } else {
        None
    };
    Ok(Figures {
        version: general["version"].as_str().unwrap_or_default().to_owned(),
        memory: number(&general, "mem"),
        connections: number(&general, "connections"),
        kept,
    })
}

fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or(0)
}

async fn json(port: u16, path: &str) -> Result<Value, String> {
    let (status, body) = get(port, path).await?;
    if status != 200 {
        return Err(format!("it answers {status} to {path}"));
    }
    serde_json::from_str(&body).map_err(|_| format!("its answer to {path} is not understood"))
}

/// One request: the status, and the body.
async fn get(port: u16, path: &str) -> Result<(u16, String), String> {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        // By this version of HTTP the body ends with the connection, and comes in one piece.
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = within(async { ask.await.map_err(|error| error.to_string()) }).await?;
    read(&String::from_utf8_lossy(&answer)).ok_or_else(|| "its answer is not HTTP".to_owned())
}

fn read(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        assert_eq!(read("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{}"), Some((200, "{}".to_owned())));
        assert_eq!(read("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Some((503, String::new())));
        assert_eq!(read("INFO {}\r\n"), None);
    }
}
