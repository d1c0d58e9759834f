//! A scenario: what the simulator imagines around a system (traffic, how long work takes, machines, faults).
//!
//! Nothing here has an effect on a system that runs.

use crate::{Bytes, MilliCpu, Millis, Rate, Ratio};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A scenario, with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Simulation {
    /// How long is imagined. Default 10 min.
    pub duration: Millis,
    /// What is not counted at the beginning. Default 0.
    pub warm_up: Millis,
    /// Who asks for what, by a name.
    pub traffic: BTreeMap<String, Traffic>,
    /// How work is done, by service or store. One that is missing has the defaults of [`Work`].
    pub work: BTreeMap<String, Work>,
    /// Machines, by the name of their pool. Empty: there is always room, all in one place.
    pub nodes: BTreeMap<String, Nodes>,
    /// How long messages travel.
    pub network: Network,
    /// How late the autoscaler sees what is used.
    pub metrics: Metrics,
    /// What requested resources cost; `None`: costs are not predicted.
    pub prices: Option<Prices>,
    /// New versions that come in.
    pub releases: Vec<Release>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

impl Default for Simulation {
    fn default() -> Self {
        Self {
            duration: Millis::from_secs(600),
            warm_up: Millis(0),
            traffic: BTreeMap::new(),
            work: BTreeMap::new(),
            nodes: BTreeMap::new(),
            network: Network::default(),
            metrics: Metrics::default(),
            prices: None,
            releases: Vec::new(),
            faults: Vec::new(),
        }
    }
}

/// One stream of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// The path, as clients see it.
    pub route: String,
    /// Who asks, and how often.
    pub arrivals: Arrivals,
    /// How many clients share an open stream; a limit by client counts each of them. Default 1,000.
    pub clients: u32,
    /// How often a client asks again at once after a failure. Default 0.
    pub retries: u8,
    /// The course of a day; `None`: it is always the same.
    pub daily: Option<Daily>,
    /// Times of more.
    pub spikes: Vec<Spike>,
    /// Where they are; `None`: beside the gateway.
    pub region: Option<String>,
    /// How long the service that is asked works for such a request; `None`: as [`Work`] says.
    pub time: Option<Times>,
    /// What it calls for such a request; `None`: as [`Work`] says.
    pub calls: Option<BTreeMap<String, u32>>,
}

/// Who asks, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Arrivals {
    /// An open stream: so many a second on average, each independent of the others.
    Rate(Rate),
    /// People who wait for an answer, think, and ask again.
    Users {
        /// How many.
        count: u32,
        /// How long they think, on average (exponential).
        think: Millis,
        /// After so long on average another one comes in their place, without a cookie; `None`: never.
        session: Option<Millis>,
    },
    /// An open stream whose rate is written in a file (`seconds,requests a second` lines, or an access log).
    Trace(String),
}

/// A rate that goes up and down once a day, as a cosine does: drawn with straight lines, minute by minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Daily {
    /// What is left of it at the quietest time, as a share.
    pub low: Ratio,
    /// When it is highest, in minutes since midnight; the simulation begins at midnight.
    pub peak_min: u32,
}

/// A time of more (or less) traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spike {
    /// From when on.
    pub at: Millis,
    /// For how long.
    pub lasts: Millis,
    /// How many times as much, in thousandths.
    pub times_milli: u64,
}

/// How a service or store does its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Work {
    /// How long one request takes when nothing else is there, without what it calls.
    pub time: Times,
    /// How much of that is processor time. Default all.
    pub cpu: Ratio,
    /// How many it works on at once; more wait. `None`: one for each processor of its limit (or request), at least 1;
    /// for a store 16.
    pub workers: Option<u32>,
    /// A request that calls others keeps its worker meanwhile. Default false.
    pub blocking: bool,
    /// How many wait at most; one more is refused. Default 4,096.
    pub queue: u32,
    /// From the start of a process until it can answer. Default 1 s.
    pub start: Millis,
    /// Share of requests that end in an error. Default none.
    pub errors: Ratio,
    /// Which services and stores it calls for each request, one after another, and how often.
    pub calls: BTreeMap<String, u32>,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            time: Times::Exponential { mean_us: 1000 },
            cpu: Ratio::ONE,
            workers: None,
            blocking: false,
            queue: 4096,
            start: Millis(1000),
            errors: Ratio(0),
            calls: BTreeMap::new(),
        }
    }
}

/// How long something takes, from one time to the next. All in microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Times {
    /// Always the same.
    Always {
        /// So long.
        us: u64,
    },
    /// Exponential.
    Exponential {
        /// The mean.
        mean_us: u64,
    },
    /// By percentiles in thousandths of a percent (50,000 is p50), growing, with straight lines between; from 0 to the first.
    Points(Vec<(u32, u64)>),
}

/// Machines of one kind in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Nodes {
    /// How many.
    pub count: u32,
    /// Processors of each.
    pub cpu: MilliCpu,
    /// Memory of each.
    pub memory: Bytes,
    /// The zone they are in.
    pub zone: String,
    /// The region that zone is in.
    pub region: String,
}

/// How long a message travels, one way, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Network {
    /// Within a zone. Default 0.
    pub local_us: u64,
    /// Between zones of a region. Default 0.
    pub zones_us: u64,
    /// Between regions. Default 0.
    pub regions_us: u64,
}

/// How late an autoscaler sees what replicas use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metrics {
    /// How often it is read. Default 5 s, as the engine does.
    pub every: Millis,
    /// Over how long it is averaged. Default 15 s.
    pub window: Millis,
    /// How long it takes until the autoscaler can see it. Default 0.
    pub delay: Millis,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { every: Millis::from_secs(5), window: Millis::from_secs(15), delay: Millis(0) }
    }
}

/// What requested resources cost in a month of 730 hours, in hundredths of a currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prices {
    /// One processor.
    pub cpu_cents: u64,
    /// One GiB of memory.
    pub memory_cents: u64,
    /// `USD`.
    pub currency: String,
}

/// A new version of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// When it is asked for.
    pub at: Millis,
    /// Of which service.
    pub service: String,
    /// Share of its requests that end in an error.
    pub errors: Ratio,
    /// How long its work takes, in thousandths of the former version's.
    pub times_milli: u64,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// From when on.
    pub at: Millis,
    /// Until it is over; without meaning for a crash of a service, which is over at once.
    pub lasts: Millis,
    /// What.
    pub kind: FaultKind,
    /// Which service, store or zone.
    pub of: String,
    /// How many replicas of it; those that were started first. Without meaning for a zone. Default 1.
    pub count: u32,
    /// How many times as long work takes, in thousandths (`slow` only).
    pub times_milli: u64,
}

/// The ways in which things go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultKind {
    /// Processes end; a store is away until it is over.
    Crash,
    /// Processes run and answer nothing.
    Hang,
    /// Work takes longer.
    Slow,
    /// The machines of a zone are gone.
    Zone,
    /// A zone can't be reached; what runs there runs on.
    Partition,
    /// What is sent to replicas, and what they answer, arrives only when it is over.
    Clog,
}
