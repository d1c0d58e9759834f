//! A promise: a number that can be checked.

use crate::{Millis, Rate, Ratio};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One promise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Promise {
    /// What is promised.
    pub kind: Kind,
    /// How it is asked for; the default is a GET of the route, any 2xx or 3xx being right.
    pub request: Option<Request>,
    /// How it is measured; every part has a default, chosen by the experiment and told in its result.
    pub load: Load,
    /// Its line in the file.
    pub line: Option<u32>,
}

/// How many replicas are killed for a promise of availability or failover that says nothing about it.
pub const KILLS: u32 = 3;

/// The kinds of promise. `prove` has one experiment for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Answers come within a time.
    Latency {
        /// The path, as clients see it.
        route: String,
        /// Bounds by percentile in tenths: 950 is p95.
        percentiles: BTreeMap<u16, Millis>,
    },
    /// So many requests a second are answered rightly.
    Throughput {
        /// The path.
        route: String,
        /// At least.
        rate: Rate,
    },
    /// So many users at once are answered rightly within a time.
    Concurrency {
        /// The path.
        route: String,
        /// At the same instant.
        users: u32,
        /// All of them.
        within: Millis,
        /// The name of a latency promise that must hold meanwhile.
        unhurt: Option<String>,
    },
    /// This share of requests is answered rightly while replicas are killed.
    Availability {
        /// The path; `None` is the first path of the ingress.
        route: Option<String>,
        /// At least.
        ratio: Ratio,
    },
    /// A killed replica is unrouted and replaced.
    Failover {
        /// The service.
        service: String,
        /// From its death until its replacement serves.
        max: Millis,
    },
    /// The primary of a store is killed, and hangs, under writes: another one takes over.
    StoreFailover {
        /// The store.
        store: String,
        /// From the primary's death or hang until the first new write is acknowledged.
        max: Millis,
        /// So many acknowledged writes may be lost, all times together; 0 by default.
        #[serde(default)]
        lost: u32,
    },
    /// Engine and gateway are killed under load and nothing but requests in flight is lost.
    Survival {
        /// The path; `None` is the first path of the ingress.
        route: Option<String>,
    },
    /// A sudden step of load is caught by more replicas, with the objective broken for no longer than a time.
    Autoscale {
        /// The path; `None` is the first path of the ingress.
        route: Option<String>,
        /// So many times the load before; at least 2.
        times: u32,
        /// The objective: in each second, 99 of 100 requests are answered rightly within this.
        latency: Millis,
        /// The objective may be broken for so long, in whole seconds; 0 is allowed.
        max: Millis,
    },
    /// No more than so much data is lost with a store.
    RecoveryPoint {
        /// The store.
        store: String,
        /// At most.
        max: Millis,
    },
    /// A store serves again within a time.
    RecoveryTime {
        /// The store.
        store: String,
        /// At most.
        max: Millis,
    },
    /// A release is taken back within a time.
    Rollback {
        /// The service; `None` is the one behind the first path of the ingress.
        #[serde(default)]
        service: Option<String>,
        /// From the command, or from the verdict on a bad version, until all traffic goes to the old one. At most.
        max: Millis,
        /// Variables that make a version bad on purpose, so that its analysis has to send it back. Empty: a good version
        /// is gone back from by command.
        #[serde(default)]
        bad: BTreeMap<String, String>,
    },
    /// Releases under load cost no request.
    Releases {
        /// The service; `None` is the one behind the first path of the ingress.
        #[serde(default)]
        service: Option<String>,
        /// How many, one after the other.
        count: u32,
    },
    /// The system's own audit finds nothing wrong after kills under load.
    Invariants {
        /// The service beside which the audit runs: in its folder, with its variables.
        service: String,
        /// A command of the shell; 0 is its word for "all is well".
        command: String,
        /// The services whose replicas are killed, in turn; at least one.
        kill: Vec<String>,
        /// The path that is asked for meanwhile; `None` is the first path of the ingress.
        route: Option<String>,
        /// The audit ends within this.
        max: Millis,
    },
    /// It costs no more than so much.
    Cost {
        /// Hundredths of the currency, a month.
        per_month_cents: u64,
        /// `USD`.
        currency: String,
        /// The name of the table of prices.
        prices: String,
    },
}

impl Kind {
    /// The path that it is about; `None`: it is about a service, or about everything.
    #[must_use]
    pub fn route(&self) -> Option<&str> {
        match self {
            Self::Latency { route, .. } | Self::Throughput { route, .. } | Self::Concurrency { route, .. } => {
                Some(route)
            }
            Self::Availability { route, .. }
            | Self::Survival { route }
            | Self::Autoscale { route, .. }
            | Self::Invariants { route, .. } => route.as_deref(),
            Self::Failover { .. }
            | Self::StoreFailover { .. }
            | Self::Releases { .. }
            | Self::Rollback { .. }
            | Self::RecoveryPoint { .. }
            | Self::RecoveryTime { .. }
            | Self::Cost { .. } => None,
        }
    }

    /// The key that stands for it in the file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::Throughput { .. } => "throughput",
            Self::Concurrency { .. } => "concurrency",
            Self::Availability { .. } => "availability",
            Self::Failover { .. } | Self::StoreFailover { .. } => "failover",
            Self::Survival { .. } => "survival",
            Self::Autoscale { .. } => "autoscale",
            Self::RecoveryPoint { .. } => "recoveryPoint",
            Self::RecoveryTime { .. } => "recoveryTime",
            Self::Rollback { .. } => "rollback",
            Self::Releases { .. } => "releases",
            Self::Invariants { .. } => "invariants",
            Self::Cost { .. } => "cost",
        }
    }
}

/// A request to be made many times. Path, header values and body may hold `{n}` (a running number), `{uuid}` and
/// `{random:N}` (a number below N).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    /// Default `GET`.
    pub method: String,
    /// Default: the promise's route.
    pub path: Option<String>,
    /// The `Host` to ask for; default: the first host of the ingress that serves the path.
    pub host: Option<String>,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Option<String>,
    /// Statuses that are right; empty is any 2xx or 3xx.
    pub status: Vec<u16>,
    /// Made before the others, its answer being used by them (`{login.token}`): a sign-in.
    pub login: Option<Box<Login>>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: None,
            host: None,
            headers: BTreeMap::new(),
            body: None,
            status: Vec::new(),
            login: None,
        }
    }
}

/// A sign-in that is made before the requests that need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Login {
    /// The sign-in.
    pub request: Request,
    /// A JSON pointer into its answer (`/token`); what stands there replaces `{login}` in the other requests.
    pub token: String,
    /// So many sign-ins, each with a token of its own, which the requests use in turn; at least 1, the default.
    pub sessions: u32,
}

impl Default for Login {
    fn default() -> Self {
        Self { request: Request::default(), token: String::new(), sessions: 1 }
    }
}

/// How a promise is measured. `None`: the experiment chooses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Load {
    /// Requests a second, open loop.
    pub rate: Option<Rate>,
    /// How long.
    pub duration: Option<Millis>,
    /// Connections at most.
    pub connections: Option<u32>,
    /// Kills, for promises under faults.
    pub kills: Option<u32>,
}
