//! The route table: everything a gateway needs in order to serve, as one immutable value.
//!
//! The engine makes it, the keeper keeps its last edition (as JSON in a memfd named [`ROUTES`]), every gateway takes it
//! from there, so that a gateway can start and serve with no engine alive.

use crate::{EdgeId, Millis, ReplicaId, RevisionId, audience::Canary, synthetic::Asking};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr};

/// The name under which the keeper keeps the last edition of the table.
pub const ROUTES: &str = "routes";

/// One edition of all routes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteTable {
    /// Grows by one with each edition; a gateway never goes back to a lower one.
    pub edition: u64,
    /// The listeners to serve; one that is missing here is no longer served (its connections are drained).
    pub listeners: Vec<Listener>,
    /// What the ingress listeners serve, by host.
    pub hosts: Vec<Host>,
    /// Where each service can be reached.
    pub services: BTreeMap<String, Backend>,
    /// Who is reached through the listeners of stores with standbys, by store.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stores: BTreeMap<String, Members>,
    /// How long a client may take to send the head of a request to an ingress listener. `None`: as long as the gateway thinks
    /// right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Millis>,
}

/// The members of a store that may be reached now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Members {
    /// The primary. `None`: there is none now, and whoever comes waits.
    pub primary: Option<SocketAddr>,
    /// Standbys that are not far behind. Empty: the primary serves reads too.
    pub standbys: Vec<SocketAddr>,
}

/// A socket that the keeper owns and gateways accept from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// The name under which the keeper keeps the socket.
    pub name: String,
    /// What comes in there.
    pub entry: Entry,
}

/// Who calls through a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Entry {
    /// Clients from outside; routed by host and path.
    Ingress {
        /// PEM files of certificate chain and key, where the listener ends TLS.
        tls: Option<Tls>,
    },
    /// One service calling another: everything goes to `to`.
    Edge(EdgeId),
    /// Whoever uses a store with standbys: bytes are led on to its primary.
    Store(String),
    /// As `Store`, for reads: to a standby that is not far behind.
    Reads(String),
}

/// A certificate, by its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// PEM file of the chain, the host's own certificate first.
    pub certificate: String,
    /// PEM file of the private key.
    pub key: String,
}

/// The paths of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// A name, `*.name` for one label before it, or `*` for every host. Lower case, no port.
    pub name: String,
    /// The longest path that fits wins; paths fit by whole segments, as Kubernetes' `pathType: Prefix`.
    pub paths: Vec<Path>,
    /// How many requests a client may make; `None` is no limit.
    pub rate_limit: Option<RateLimit>,
}

/// One path of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Path {
    /// Begins with `/`.
    pub prefix: String,
    /// The service that answers.
    pub service: String,
}

/// A token bucket: GCRA with a burst of `requests`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// So many requests (at least 1) …
    pub requests: u32,
    /// … in so long (at least 1 ms).
    pub per: Millis,
    /// What is counted apart.
    pub by: LimitBy,
}

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LimitBy {
    /// Each client address for itself (an IPv6 client by its /64).
    Client,
    /// Each value of this request header for itself.
    Header(String),
    /// Everybody together.
    Everyone,
}

/// A service, as a gateway sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// Every replica that may be sent requests, and those that are being drained.
    pub replicas: Vec<Endpoint>,
    /// What is spoken to the replicas.
    pub protocol: Protocol,
    /// Time-outs and limits.
    pub limits: Limits,
    /// A cookie that keeps a client on its replica, where asked for.
    pub sticky: Option<Sticky>,
    /// Retries, and when a replica is left out for a while.
    pub resilience: Resilience,
    /// The canary among the replicas, where others than by its share see it.
    #[serde(default)]
    pub canary: Option<Canary>,
    /// What two versions among the replicas are asked beside what users ask; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<Asking>,
}

/// The protocol towards replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Protocol {
    /// HTTP/1.1 (and whatever it is upgraded to).
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge (gRPC).
    H2c,
}

/// One replica, as a gateway sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its identity; live figures (in-flight, latency) belong to it across editions.
    pub id: ReplicaId,
    /// The version that it runs.
    pub revision: RevisionId,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether new requests may go there; `false` while it is drained.
    pub serving: bool,
    /// Relative share of new requests, 0..=1000; 1000 is a full one. 0 gets none.
    pub weight: u16,
    /// The keeper's id of the process, whose pidfd tells of its death: the kept descriptor is `pidfd/<process>`.
    pub process: String,
}

/// Time-outs and limits of a service. None of them but `total` can be switched off; each has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Until a connection to a replica stands. Default 1 s.
    pub connect: Millis,
    /// Until the head of the answer is there, retries included. Default 60 s.
    pub response: Millis,
    /// Without a byte in either direction, while no answer is waited for (that is `response`'s). Default 300 s.
    pub idle: Millis,
    /// From the head of the request to the end of the answer: waiting for a replica, retries and both bodies included. `None`,
    /// the default, is no limit: downloads and streams of events may take for ever. An answer 101 (WebSocket) is its own end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Millis>,
    /// The largest request body, in bytes. Default 64 MiB.
    pub body_bytes_max: u64,
    /// How long a request waits for a replica to become ready before it gets 503. Default 10 s.
    pub hold: Millis,
    /// How many requests wait so. Default 1,000; one more gets 503 at once.
    pub held_max: u32,
    /// How many requests may be in flight for each serving replica; one more is shed with 503. Default 1,024.
    pub in_flight_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Millis(1000),
            response: Millis::from_secs(60),
            idle: Millis::from_secs(300),
            total: None,
            body_bytes_max: 64 << 20,
            hold: Millis::from_secs(10),
            held_max: 1000,
            in_flight_max: 1024,
        }
    }
}

/// Keeps a client on its replica by a cookie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: String,
}

/// Retries, and when a replica is left out for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resilience {
    /// Tries of one request in all; each on another replica. Default 3; 1 is none.
    pub tries_max: u8,
    /// Retries that are allowed for each 100 requests. Default 20.
    pub retry_percent: u8,
    /// Retries a second that are always allowed. Default 10.
    pub retry_floor: u16,
    /// Failures in a row (refused, reset, 502, 503, 504) after which a replica is left out. Default 5.
    pub eject_after: u16,
    /// How long it is left out the first time; doubles up to 10 times as long. Default 5 s.
    pub eject_for: Millis,
    /// How long a new replica takes to reach its full share. Default 1 s; 0 is at once.
    pub slow_start: Millis,
}

impl Default for Resilience {
    fn default() -> Self {
        Self {
            tries_max: 3,
            retry_percent: 20,
            retry_floor: 10,
            eject_after: 5,
            eject_for: Millis::from_secs(5),
            slow_start: Millis::from_secs(1),
        }
    }
}
