//! One request from its head to the end of its answer: what is counted and logged of it.

use crate::{
    access::Line,
    connection::Connection,
    live::{ReplicaLive, ServiceLive, bump},
    table::Route,
};
use http::{HeaderValue, Request, Version, header::HOST};
use plimsoll_control::route::again::is_failing;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

/// A request that is being served. When it is dropped it is counted and logged.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) connection: Arc<Connection>,
    pub(crate) started: Instant,
    /// `None`: when it is dropped.
    pub(crate) ended: Option<Instant>,
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) version: Version,
    asked: Asked,
    pub(crate) request_id: HeaderValue,
    /// 0 until there is an answer.
    pub(crate) status: u16,
    /// Bytes of the answer's body.
    pub(crate) sent: u64,
    /// How often it was sent to a replica.
    pub(crate) tries: u32,
    pub(crate) replica: Option<Arc<ReplicaLive>>,
    /// The answer has reached its end.
    pub(crate) complete: bool,
    /// Why it was refused.
    pub(crate) reason: Option<&'static str>,
    /// Its answer has to be at its end until then. `None`: there is no limit.
    pub(crate) end: Option<tokio::time::Instant>,
}

/// What was asked for: method, host and path behind each other, for the log.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    text: Vec<u8>,
    method: usize,
    host: usize,
}

impl Asked {
    pub(crate) fn new(method: &[u8], host: &[u8], path: &[u8]) -> Self {
        let mut text = Vec::with_capacity(method.len() + host.len() + path.len());
        for part in [method, host, path] {
            text.extend_from_slice(part);
        }
        Self { text, method: method.len(), host: method.len() + host.len() }
    }

    fn of<B>(request: &Request<B>) -> Self {
        let host = match (request.uri().authority(), request.headers().get(HOST)) {
            (Some(authority), _) => authority.as_str().as_bytes(),
            (None, host) => host.map_or(&b""[..], HeaderValue::as_bytes),
        };
        let path = request.uri().path_and_query().map_or("", |path| path.as_str());
        Self::new(request.method().as_str().as_bytes(), host, path.as_bytes())
    }
}

impl Visit {
    pub(crate) fn of<B>(connection: Arc<Connection>, request: &Request<B>) -> Box<Self> {
        Self::begin(connection, Asked::of(request), request.version())
    }

    pub(crate) fn begin(connection: Arc<Connection>, asked: Asked, version: Version) -> Box<Self> {
        connection.watch.request_begins();
        Box::new(Self {
            started: Instant::now(),
            ended: None,
            route: None,
            version,
            asked,
            request_id: HeaderValue::from_static("-"),
            status: 0,
            sent: 0,
            tries: 0,
            replica: None,
            complete: false,
            reason: None,
            end: None,
            connection,
        })
    }

    /// It goes this way.
    pub(crate) fn enter(&mut self, route: Arc<Route>) {
        bump(&route.live.shards[self.connection.worker].requests, 1);
        self.route = Some(route);
    }

    pub(crate) fn count_retry(&self) {
        if let Some(route) = &self.route {
            bump(&route.live.shards[self.connection.worker].retries, 1);
        }
    }

    pub(crate) fn count_shed(&self) {
        if let Some(route) = &self.route {
            bump(&route.live.shards[self.connection.worker].shed, 1);
        }
    }

    fn log(&self, micros: u64) {
        let shared = &self.connection.shared;
        if !shared.log.is_on() {
            return;
        }
        shared.log.write(&Line {
            at_us: shared.instant(self.started).0,
            route: self.route.as_ref().map_or("-", |route| route.live.name.as_str()),
            client: self.connection.peer_value.as_bytes(),
            method: &self.asked.text[..self.asked.method],
            host: &self.asked.text[self.asked.method..self.asked.host],
            path: &self.asked.text[self.asked.host..],
            protocol: match self.version {
                Version::HTTP_2 => "HTTP/2",
                Version::HTTP_10 => "HTTP/1.0",
                _ => "HTTP/1.1",
            },
            status: self.status,
            sent: self.sent,
            micros,
            replica: self.replica.as_ref().map(|replica| replica.name.as_str()),
            tries: self.tries,
            request_id: self.request_id.as_bytes(),
            cut: !self.complete,
            reason: self.reason,
        });
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.connection.watch.request_ends();
        let micros = micros(self.started, self.ended.unwrap_or_else(Instant::now));
        if let Some(route) = &self.route {
            let shard = &route.live.shards[self.connection.worker];
            if let Some(class) = shard.statuses.get(usize::from(self.status / 100).wrapping_sub(1)) {
                bump(class, 1);
                shard.latency.count(micros);
            }
        }
        self.log(micros);
    }
}

/// A request that a replica has and has not answered to the end.
#[derive(Debug)]
pub(crate) struct Flight {
    live: Arc<ReplicaLive>,
    service: Arc<ServiceLive>,
    worker: usize,
    started: Instant,
}

impl Flight {
    pub(crate) fn begin(live: &Arc<ReplicaLive>, service: &Arc<ServiceLive>, worker: usize, now: Instant) -> Self {
        live.in_flight.fetch_add(1, Relaxed);
        service.in_flight.fetch_add(1, Relaxed);
        bump(&live.shards[worker].requests, 1);
        Self { live: Arc::clone(live), service: Arc::clone(service), worker, started: now }
    }

    /// The head of the answer is there. Whether it counts as a failure of the replica.
    pub(crate) fn head_came(&self, status: u16, now: Instant) -> bool {
        self.live.note_latency(micros(self.started, now));
        if status >= 500 {
            bump(&self.live.shards[self.worker].errors, 1);
        }
        if is_failing(status) {
            self.live.failures.fetch_add(1, Relaxed);
            return true;
        }
        if self.live.failures.load(Relaxed) != 0 {
            self.live.failures.store(0, Relaxed);
        }
        false
    }

    /// The replica did not answer, or not to the end. How often in a row that was.
    pub(crate) fn failed(&self) -> u32 {
        bump(&self.live.shards[self.worker].errors, 1);
        self.live.failures.fetch_add(1, Relaxed) + 1
    }

    /// The answer has reached its end.
    pub(crate) fn ended(&self, now: Instant) {
        self.live.shards[self.worker].latency.count(micros(self.started, now));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.live.in_flight.fetch_sub(1, Relaxed);
        self.service.in_flight.fetch_sub(1, Relaxed);
    }
}

fn micros(since: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(since).as_micros()).unwrap_or(u64::MAX)
}
