//! One request from its head to the end of its answer: what is counted and logged of it.

use crate::{
    access::Line,
    connection::Connection,
    live::{ReplicaLive, ServiceLive, bump},
    table::Route,
};
use http::{HeaderValue, Method, Request, Uri, Version, header::HOST};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

/// A request that is being served. When it is dropped it is counted and logged.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) connection: Arc<Connection>,
    pub(crate) started: Instant,
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) version: Version,
    method: Method,
    uri: Uri,
    host: Option<HeaderValue>,
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
    /// Another visit counts and logs this request.
    silent: bool,
}

impl Visit {
    pub(crate) fn begin<B>(connection: Arc<Connection>, request: &Request<B>) -> Box<Self> {
        connection.watch.request_begins();
        Box::new(Self {
            started: Instant::now(),
            route: None,
            version: request.version(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            host: request.headers().get(HOST).cloned(),
            request_id: HeaderValue::from_static("-"),
            status: 0,
            sent: 0,
            tries: 0,
            replica: None,
            complete: false,
            reason: None,
            silent: false,
            connection,
        })
    }

    /// Takes the request away, for a task that sees to its end; what is left here counts nothing.
    pub(crate) fn take(&mut self) -> Box<Self> {
        let rest = Self {
            connection: Arc::clone(&self.connection),
            started: self.started,
            route: None,
            version: self.version,
            method: Method::GET,
            uri: Uri::default(),
            host: None,
            request_id: self.request_id.clone(),
            status: 0,
            sent: 0,
            tries: 0,
            replica: None,
            complete: false,
            reason: None,
            silent: true,
        };
        Box::new(std::mem::replace(self, rest))
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
            method: self.method.as_str(),
            host: self.uri.authority().map_or_else(
                || self.host.as_ref().map_or(&b""[..], HeaderValue::as_bytes),
                |authority| authority.as_str().as_bytes(),
            ),
            path: self.uri.path_and_query().map_or("", |path| path.as_str()),
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
        if self.silent {
            return;
        }
        self.connection.watch.request_ends();
        let micros = micros(self.started);
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
    pub(crate) fn begin(live: &Arc<ReplicaLive>, service: &Arc<ServiceLive>, worker: usize) -> Self {
        live.in_flight.fetch_add(1, Relaxed);
        service.in_flight.fetch_add(1, Relaxed);
        bump(&live.shards[worker].requests, 1);
        Self { live: Arc::clone(live), service: Arc::clone(service), worker, started: Instant::now() }
    }

    /// The head of the answer is there. Whether it counts as a failure of the replica.
    pub(crate) fn head_came(&self, status: u16) -> bool {
        self.live.note_latency(micros(self.started));
        if status >= 500 {
            bump(&self.live.shards[self.worker].errors, 1);
        }
        if matches!(status, 502..=504) {
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
    pub(crate) fn ended(&self) {
        self.live.shards[self.worker].latency.count(micros(self.started));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.live.in_flight.fetch_sub(1, Relaxed);
        self.service.in_flight.fetch_sub(1, Relaxed);
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
