//! A client of the API: one connection for each request, so that an engine that was started anew is no trouble.

use crate::{
    Accepted, Event, Explanation, Offer, Status,
    audit::Audited,
    paths,
    release::{Ledger, Order},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// A request to the API failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody serves the API there: the system is not up. Start it, or give the right state directory.
    #[error("no system is up at {socket}")]
    NotUp {
        /// The socket.
        socket: PathBuf,
        /// What connecting met.
        #[source]
        why: std::io::Error,
    },
    /// The connection broke: the engine ended in the middle. Ask again; it may or may not have acted.
    #[error("the engine broke off the answer")]
    Broken(#[source] hyper::Error),
    /// The engine refused; the text says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// The answer is not understood: engine and client are of different versions.
    #[error("the engine's answer is not understood")]
    NotUnderstood(#[source] serde_json::Error),
}

/// A client of the engine whose API is served at one socket.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// The answer to a request for a stream; lines come as they happen.
pub struct Lines {
    body: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    /// The next line without its end; `None` at the end of the answer.
    ///
    /// # Errors
    /// The engine ended in the middle.
    pub async fn next(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.rest.extend_from_slice(&data);
                    }
                }
                Some(Err(why)) => return Err(ClientError::Broken(why)),
                None if self.rest.is_empty() => return Ok(None),
                None => return Ok(Some(String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned())),
            }
        }
    }
}

impl Client {
    /// The client of the API at `socket` (`Place::api_socket`). Connects with the first request.
    #[must_use]
    pub fn new(socket: impl AsRef<Path>) -> Self {
        Self { socket: socket.as_ref().into() }
    }

    /// The system that the engine has accepted; a name of `""` when it has none yet.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn system(&self) -> Result<Offer, ClientError> {
        self.ask(Method::GET, paths::SYSTEM, Vec::new()).await
    }

    /// Offers a system.
    ///
    /// # Errors
    /// `Refused` with the reason; then nothing was changed.
    pub async fn offer(&self, offer: &Offer) -> Result<Accepted, ClientError> {
        let body = serde_json::to_vec(offer).map_err(ClientError::NotUnderstood)?;
        self.ask(Method::PUT, paths::SYSTEM, body).await
    }

    /// How the system is.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.ask(Method::GET, paths::STATUS, Vec::new()).await
    }

    /// How the system is once it is ready, or can't get so by itself ([`Status::stuck`]); answered only then.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn arrival(&self) -> Result<Status, ClientError> {
        self.ask(Method::GET, paths::ARRIVAL, Vec::new()).await
    }

    /// Whether anybody listens: the keeper does, also while it has no engine.
    pub async fn is_there(&self) -> bool {
        tokio::net::UnixStream::connect(&self.socket).await.is_ok()
    }

    /// Whether an engine answers; waits for one while somebody listens.
    pub async fn answers(&self) -> bool {
        self.events_so_far(u64::MAX).await.is_ok()
    }

    /// Events with a number above `after`; with `follow` as they happen, without end.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn events(&self, after: u64, follow: bool) -> Result<Lines, ClientError> {
        self.lines(&format!("{}?after={after}&follow={follow}", paths::EVENTS)).await
    }

    /// The last so many events that have happened up to now; with `follow` and those that happen from now on.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn last_events(&self, last: usize, follow: bool) -> Result<Lines, ClientError> {
        self.lines(&format!("{}?last={last}&follow={follow}", paths::EVENTS)).await
    }

    /// Why something was decided: `kind` is `last`, `event`, `service`, `replica` or `store`.
    ///
    /// # Errors
    /// `Refused` if there is no such kind.
    pub async fn explain(&self, kind: &str, name: &str) -> Result<Explanation, ClientError> {
        self.ask(Method::GET, &format!("{}?kind={kind}&name={}", paths::EXPLAIN, percent(name)), Vec::new()).await
    }

    /// Tells that a file was refused before it was offered, with the findings.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn refused(&self, findings: &str) -> Result<(), ClientError> {
        self.send(Method::POST, paths::REFUSED, findings.into()).await.map(drop)
    }

    /// The events above `after` that have happened up to now.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn events_so_far(&self, after: u64) -> Result<Vec<Event>, ClientError> {
        let mut lines = self.events(after, false).await?;
        let mut events = Vec::new();
        while let Some(line) = lines.next().await? {
            events.push(serde_json::from_str(&line).map_err(ClientError::NotUnderstood)?);
        }
        Ok(events)
    }

    /// The last `tail` lines of the logs of a service (or a replica, or all), and what follows with `follow`.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn logs(&self, service: Option<&str>, tail: usize, follow: bool) -> Result<Lines, ClientError> {
        let service = service.map(|name| format!("service={}&", percent(name))).unwrap_or_default();
        self.lines(&format!("{}?{service}tail={tail}&follow={follow}", paths::LOGS)).await
    }

    /// Replaces each replica of a service, one after the other.
    ///
    /// # Errors
    /// `Refused` if there is no such service.
    pub async fn restart(&self, service: &str) -> Result<(), ClientError> {
        self.order(&format!("{}?service={}", paths::RESTART, percent(service))).await.map(drop)
    }

    /// Runs so many replicas of a service; tells in a sentence how long that holds.
    ///
    /// # Errors
    /// `Refused` if there is no such service, or the number is out of bounds.
    pub async fn scale(&self, service: &str, replicas: u32) -> Result<String, ClientError> {
        self.order(&format!("{}?service={}&replicas={replicas}", paths::SCALE, percent(service))).await
    }

    /// Has another member become the primary of a store with standbys: `None` is the one with the most log. Tells in a sentence
    /// where to see it.
    ///
    /// # Errors
    /// `Refused` if there is no such store or member, or it has no standbys.
    pub async fn switch_over(&self, store: &str, member: Option<&str>) -> Result<String, ClientError> {
        let member = member.map(|member| format!("&member={}", percent(member))).unwrap_or_default();
        self.order(&format!("{}?store={}{member}", paths::SWITCHOVER, percent(store))).await
    }

    /// What happened in releases.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn releases(&self) -> Result<Ledger, ClientError> {
        self.ask(Method::GET, paths::RELEASES, Vec::new()).await
    }

    /// Asks something of a release; tells in a sentence what happened.
    ///
    /// # Errors
    /// `Refused` with the reason; then nothing was changed.
    pub async fn release(&self, order: &Order) -> Result<String, ClientError> {
        let body = serde_json::to_vec(order).map_err(ClientError::NotUnderstood)?;
        let answer = self.send(Method::POST, paths::RELEASE, body).await?;
        let said = answer.collect().await.map_err(ClientError::Broken)?.to_bytes();
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// Runs the audit that a promise of invariants names; answered when it has ended.
    ///
    /// # Errors
    /// `Refused` if there is no such promise, or it could not be run.
    pub async fn audit(&self, promise: &str) -> Result<Audited, ClientError> {
        self.ask(Method::POST, &format!("{}?promise={}", paths::AUDIT, percent(promise)), Vec::new()).await
    }

    /// Sends a signal to a replica.
    ///
    /// # Errors
    /// `Refused` if there is no such replica, or it does not run.
    pub async fn signal(&self, replica: &str, signal: i32) -> Result<(), ClientError> {
        self.order(&format!("{}?replica={}&signal={signal}", paths::SIGNAL, percent(replica))).await.map(drop)
    }

    /// Ends the system, and drops its stores' data with `volumes`. Answers when it has begun.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn down(&self, volumes: bool) -> Result<(), ClientError> {
        self.order(&format!("{}?volumes={volumes}", paths::DOWN)).await.map(drop)
    }

    /// Has `program` (an absolute path) take the place of the one that runs; tells the number of the upgrade.
    ///
    /// # Errors
    /// `Refused` with the reason; then nothing was changed.
    pub async fn upgrade(&self, program: &str) -> Result<u64, ClientError> {
        let said = self.order(&format!("{}?program={}", paths::UPGRADE, percent(program))).await?;
        said.trim().parse().map_err(|_| ClientError::Refused(format!("the engine said {said:?}")))
    }

    /// Figures for Prometheus.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let body = self.send(Method::GET, paths::METRICS, Vec::new()).await?;
        let bytes = body.collect().await.map_err(ClientError::Broken)?.to_bytes();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Has something done; tells what the engine says about it, which may be nothing.
    async fn order(&self, path: &str) -> Result<String, ClientError> {
        let body = self.send(Method::POST, path, Vec::new()).await?;
        let said = body.collect().await.map_err(ClientError::Broken)?.to_bytes();
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// Asks for JSON.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Vec<u8>) -> Result<T, ClientError> {
        let answer = self.send(method, path, body).await?;
        let bytes = answer.collect().await.map_err(ClientError::Broken)?.to_bytes();
        serde_json::from_slice(&bytes).map_err(ClientError::NotUnderstood)
    }

    /// Asks for a stream of lines.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn lines(&self, path: &str) -> Result<Lines, ClientError> {
        Ok(Lines { body: self.send(Method::GET, path, Vec::new()).await?, rest: Vec::new() })
    }

    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Incoming, ClientError> {
        let stream = tokio::net::UnixStream::connect(&self.socket)
            .await
            .map_err(|why| ClientError::NotUp { socket: self.socket.clone(), why })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(ClientError::Broken)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "plimsoll")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|why| ClientError::Refused(why.to_string()))?;
        let answer = sender.send_request(request).await.map_err(ClientError::Broken)?;
        if answer.status() == StatusCode::OK {
            return Ok(answer.into_body());
        }
        let text = answer.into_body().collect().await.map_err(ClientError::Broken)?.to_bytes();
        Err(ClientError::Refused(String::from_utf8_lossy(&text).into_owned()))
    }
}

/// As the value of a query: everything that is not plainly itself is percent-encoded.
fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_plain_in_a_query_is_encoded() {
        assert_eq!(percent("/usr/bin/a-b.c_1~"), "/usr/bin/a-b.c_1~");
        assert_eq!(percent("/a b&c=ü%"), "/a%20b%26c%3D%C3%BC%25");
    }
}
