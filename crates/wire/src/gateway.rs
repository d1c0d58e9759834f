//! What a gateway tells: its figures, to whoever connects to its socket (the engine, `plimsoll status`).
//!
//! A client connects to `Place::gateway_socket(id)` (a `SOCK_SEQPACKET`), sends [`Ask`]s and gets one [`Figures`] for each.
//! Counters only grow; whoever reads them takes differences. They start at zero with each gateway process (`epoch`).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What can be asked of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ask {
    /// All figures, now.
    Figures,
    /// All figures, and the last ejections with a higher number than that.
    Ejections {
        /// The last one that is known; 0 is none.
        after: u64,
    },
    /// Stop accepting, and end when everything that is open has ended (another gateway has taken its place): clients are
    /// told with the next answer, or by GOAWAY, to come back on a new connection; WebSockets and long requests go on.
    Retire {
        /// What is still open after so many milliseconds is closed.
        grace_ms: u64,
    },
}

/// The figures of one gateway.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Figures {
    /// [`crate::VERSION`] of the gateway.
    pub version: u32,
    /// When the gateway started (microseconds since the Unix epoch): other counters, if it changes.
    pub epoch: u64,
    /// The edition of the route table that it serves.
    pub edition: u64,
    /// Connections that clients have open.
    pub connections: u64,
    /// The same by worker: none should have many more than the others.
    pub connections_by_worker: Vec<u64>,
    /// It accepts nothing more, and ends when what is open has ended.
    pub draining: bool,
    /// Whether it accepts from every listener of the table that it serves. `None`: version 1 did not tell.
    pub listening: Option<bool>,
    /// By replica (`web-3`).
    pub replicas: BTreeMap<String, ReplicaFigures>,
    /// By route: `host/prefix` for the ingress, `from->to` for an edge.
    pub routes: BTreeMap<String, RouteFigures>,
    /// By service: requests that wait for a replica now.
    pub held: BTreeMap<String, u64>,
    /// By service: copies of requests that its canary was too slow to take.
    pub copies_dropped: BTreeMap<String, u64>,
    /// How often it was decided that a replica is left out, or is no longer.
    pub ejections: u64,
    /// Those of them that were asked for, oldest first; long ago ones are forgotten.
    pub ejected: Vec<Ejection>,
}

/// A decision about the shares of a service's replicas that left one out, or took one back, with all that led to it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ejection {
    /// Counts up from 1 in each gateway process.
    pub number: u64,
    /// Of which service.
    pub service: String,
    /// What `control::route::weigh` was given: the policy …
    pub policy: Value,
    /// … its memory …
    pub memory: Value,
    /// … and what was seen.
    pub seen: Value,
    /// What it said: the act, complete.
    pub act: String,
    /// Why.
    pub why: String,
}

/// What one replica did for this gateway.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaFigures {
    /// Requests that it has not answered to the end yet.
    pub in_flight: u64,
    /// Requests that it got, copies included.
    pub requests: u64,
    /// Those of them that nobody waited for, and that have ended: copies of what another version was asked, and synthetic
    /// requests.
    pub copies: u64,
    /// What was synthetic of all this: made while a release is judged, and by nobody.
    pub synthetic: SyntheticFigures,
    /// Answers 5xx, and requests that it did not answer (refused, reset, timed out).
    pub errors: u64,
    /// Time until the head of its answers, exponentially weighted, in microseconds.
    pub latency_ewma_us: u64,
    /// Counts of answers by time until the end, in the buckets of [`BUCKETS_US`], the last one beyond them all.
    pub latency: Vec<u64>,
    /// All these times together, in microseconds.
    pub latency_sum_us: u64,
    /// Left out at the moment because it failed too often.
    pub ejected: bool,
    /// Its process is gone, as its pidfd told.
    pub gone: bool,
}

impl ReplicaFigures {
    /// Requests that somebody waited for.
    #[must_use]
    pub const fn asked(&self) -> u64 {
        self.requests.saturating_sub(self.copies)
    }
}

/// What one replica did with synthetic requests; all of it is counted among its figures too.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyntheticFigures {
    /// Requests that have ended.
    pub requests: u64,
    /// Answers 5xx of them, and those that were not answered.
    pub errors: u64,
    /// Counts of answers as in [`ReplicaFigures::latency`]; empty if there were none.
    pub latency: Vec<u64>,
}

/// What one route did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteFigures {
    /// Requests.
    pub requests: u64,
    /// Answers by class: `2xx` … `5xx`.
    pub statuses: BTreeMap<String, u64>,
    /// Tries beyond the first.
    pub retries: u64,
    /// Requests refused because of load or a rate limit.
    pub shed: u64,
    /// Counts of answers by time until the end, in the buckets of [`BUCKETS_US`], the last one beyond them all.
    pub latency: Vec<u64>,
    /// All these times together, in microseconds.
    pub latency_sum_us: u64,
}

/// Upper bounds of the latency buckets, in microseconds.
pub const BUCKETS_US: [u64; 22] = [
    100, 200, 350, 500, 750, 1_000, 2_000, 3_500, 5_000, 7_500, 10_000, 20_000, 35_000, 50_000, 75_000, 100_000,
    200_000, 350_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
];
