//! How a system is, now. Figures are observed at the moment of asking, never remembered.

use crate::release::ReleaseStatus;
use plimsoll_model::{
    Instant, Millis, ReplicaId, RevisionId,
    promise::Promise,
    system::{Target, Unenforced},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole system.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Its name.
    pub system: String,
    /// The environment that was chosen.
    pub environment: Option<String>,
    /// Where it runs.
    pub target: Target,
    /// When this was looked at.
    pub at: Instant,
    /// Everything that is wanted is there and ready.
    pub settled: bool,
    /// What keeps it from getting ready, a sentence for each replica that crashes or has failed; while anything may still get
    /// ready by itself, nothing. What crashes is started again all the same.
    pub stuck: Vec<String>,
    /// The system is being ended.
    pub ending: bool,
    /// Plimsoll's own processes: `keeper`, `engine`, `gateway`; gateways that an upgrade has replaced and that still serve
    /// what is open are `gateway-1` …
    pub processes: BTreeMap<String, OwnProcess>,
    /// Its services, by name.
    pub services: BTreeMap<String, ServiceStatus>,
    /// Its stores, by name.
    pub stores: BTreeMap<String, StoreStatus>,
    /// Where it can be reached from outside.
    pub ingress: Vec<IngressStatus>,
    /// What it promises.
    pub promises: BTreeMap<String, Promise>,
    /// Settings that are not enforced here.
    pub unenforced: Vec<Unenforced>,
    /// Plimsoll's own upgrade, the one that goes on or the last one. `None`: there was none.
    pub upgrade: Option<UpgradeStatus>,
    /// What a person should know: a damaged journal, a taken-over keeper …
    pub warnings: Vec<String>,
}

/// How an upgrade of Plimsoll itself goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpgradeStatus {
    /// Its number, from 1.
    pub attempt: u64,
    /// The program that takes over; empty when it is over.
    pub to: String,
    /// It goes on.
    pub under_way: bool,
    /// It is complete: everything runs the program that was asked for.
    pub done: bool,
    /// What is waited for now, or how it went.
    pub message: String,
}

/// One of Plimsoll's own processes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnProcess {
    /// Its pid.
    pub pid: i32,
    /// How often it was started again.
    pub respawns: u64,
    /// The program's path; it ends in ` (deleted)` if there is another file by now, or none.
    pub program: Option<String>,
    /// Proportional share of memory, in bytes.
    pub memory_pss: Option<u64>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// How many replicas are wanted.
    pub wanted: u32,
    /// How many serve.
    pub ready: u32,
    /// The version that is wanted.
    pub revision: RevisionId,
    /// What it waits for before it starts.
    pub waiting_on: Vec<String>,
    /// Its replicas.
    pub replicas: Vec<ReplicaStatus>,
    /// Where it can be reached inside: for each caller.
    pub edges: BTreeMap<String, String>,
    /// Requests a second over the last seconds, all gateways together.
    pub requests_per_second: f64,
    /// A sentence about a release that is under way, or the last one.
    pub release: Option<String>,
    /// A release that is under way or on probation, or a version of the file that is not to run; `None`: neither.
    pub releasing: Option<ReleaseStatus>,
    /// A sentence about its autoscaler: number, bounds, what decided, Kubernetes' conditions. `None`: it has none.
    pub autoscaling: Option<String>,
    /// What a replica should request, by what its replicas used. `None`: nothing is known yet.
    pub sizes: Option<SizesStatus>,
}

/// What a replica should request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SizesStatus {
    /// Thousandths of a processor. `None`: nothing is known, or it is not to be recommended.
    pub cpu: Option<SizeStatus>,
    /// Bytes. `None` likewise.
    pub memory: Option<SizeStatus>,
    /// How many samples it rests on: one a minute of each replica.
    pub samples: u64,
    /// How long a time they span.
    pub span: Millis,
}

/// One resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SizeStatus {
    /// What the file requests (or else limits it to); `None`: nothing.
    pub requested: Option<u64>,
    /// Fewer would be too few.
    pub lower: u64,
    /// What is recommended.
    pub target: u64,
    /// More would be wasted; without history it has no end.
    pub upper: u64,
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaStatus {
    /// Its identity.
    pub id: ReplicaId,
    /// The version that it runs.
    pub revision: RevisionId,
    /// `Starting`, `Ready`, `Unready`, `BackOff`, `Stopping`, `Done`, `Failed`.
    pub phase: String,
    /// Its pid, while it runs.
    pub pid: Option<i32>,
    /// Where it listens.
    pub address: Option<String>,
    /// How often it was started again.
    pub restarts: u32,
    /// When its process started.
    pub started_at: Option<Instant>,
    /// How long it took from start to ready, the first time.
    pub start_took: Option<Millis>,
    /// Memory in bytes (of its control group, or of its processes).
    pub memory: Option<u64>,
    /// Processor time used, in microseconds.
    pub cpu_us: Option<u64>,
    /// Requests in flight, all gateways together.
    pub in_flight: u64,
    /// How it ended the last time.
    pub last_exit: Option<String>,
    /// Why it is in this phase.
    pub reason: String,
    /// Limits that this machine can't enforce.
    pub unenforced: Vec<String>,
}

/// One store.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StoreStatus {
    /// `postgres`, `redis` …
    pub engine: String,
    /// `Preparing`, `Starting`, `Forming`, `Ready`, `Failed`, `Stopping`.
    pub phase: String,
    /// It can be used.
    pub ready: bool,
    /// Why it is in this phase.
    pub reason: String,
    /// Its address without its password.
    pub address: String,
    /// Its members.
    pub members: Vec<MemberStatus>,
    /// It already was there: used, not owned.
    pub external: bool,
}

/// One member of a store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MemberStatus {
    /// Its name: `orders-1`.
    pub name: String,
    /// Its pid, while it runs.
    pub pid: Option<i32>,
    /// Its port.
    pub port: u16,
    /// `primary`, `replica`, `master` …
    pub role: String,
    /// How often it was started again.
    pub restarts: u32,
    /// What is to be told about it.
    pub detail: String,
}

/// One port of the ingress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressStatus {
    /// `http://127.0.0.1:8080`.
    pub url: String,
    /// The hosts that are served there.
    pub hosts: Vec<String>,
    /// Why it is not served, if it isn't.
    pub problem: Option<String>,
}
