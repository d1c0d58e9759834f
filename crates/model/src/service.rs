//! A service: one kind of process, run as one or more replicas.

use crate::{
    Bytes, MilliCpu, Millis,
    autoscaling::{Autoscaling, Vertical},
    probe::{Handler, Probes},
    rollout::Rollout,
    route::{Limits, Protocol, Resilience, Sticky},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A service, with every default filled in.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// Program and arguments; variables (`$(PORT)`) are not yet replaced. Empty only if the service has just an image.
    pub command: Vec<String>,
    /// What runs where containers do.
    pub image: Option<String>,
    /// How what runs is made.
    pub build: Option<Build>,
    /// Working directory, relative to the file's folder; `None` is that folder.
    pub dir: Option<String>,
    /// The container's port. Here each replica gets a port of its own, told in `PORT`. `None`: it takes no requests.
    pub port: Option<u16>,
    /// What is spoken at that port.
    pub protocol: Protocol,
    /// Environment; values may hold variables (`$(PORT)`, `$(secret:NAME)`).
    pub env: BTreeMap<String, String>,
    /// Stores and services that must be ready first, and whose address it is told.
    pub uses: Vec<Link>,
    /// Services whose address it is told without waiting for them.
    pub calls: Vec<Link>,
    /// Startup, liveness and readiness.
    pub probes: Probes,
    /// Requests and limits.
    pub resources: Resources,
    /// How many replicas, when no autoscaling owns that number.
    pub replicas: u32,
    /// Who owns the number of replicas, if not `replicas`.
    pub autoscaling: Option<Autoscaling>,
    /// What recommends requests, where the file speaks of it; without it they are recommended all the same.
    pub vertical: Option<Vertical>,
    /// How a new version comes in.
    pub rollout: Rollout,
    /// Who it runs as, and what it may do.
    pub security: Security,
    /// How long it may take to end after SIGTERM. Default 30 s.
    pub termination_grace: Millis,
    /// Run before SIGTERM, within the same grace.
    pub pre_stop: Option<Handler>,
    /// What happens when it ends: `Always` (default), `OnFailure`, `Never`.
    pub restart: RestartPolicy,
    /// The gateway's time-outs and limits towards it.
    pub limits: Limits,
    /// Retries and ejection towards it.
    pub resilience: Resilience,
    /// Keeps a client on its replica.
    pub sticky: Option<Sticky>,
}

/// How what runs is made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Build {
    /// A command of the shell, run in the file's folder before the service starts.
    pub command: Option<String>,
    /// What it is made of, from the file's folder: files, and folders with all that is in them. Watched by `up --watch`.
    /// Empty: the file's folder.
    pub sources: Vec<String>,
    /// A folder for an image build.
    pub context: Option<String>,
    /// The Dockerfile in it.
    pub dockerfile: Option<String>,
}

/// A store or service that another one reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// Its name.
    pub to: String,
    /// The environment variable that tells its address: `ORDERS_URL` by default.
    pub variable: String,
}

/// Requests and limits of one replica. `None`: not said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// Processor at rest.
    pub cpu_request: Option<MilliCpu>,
    /// Memory at rest.
    pub memory_request: Option<Bytes>,
    /// Most processor.
    pub cpu_limit: Option<MilliCpu>,
    /// Most memory; the kernel kills above it.
    pub memory_limit: Option<Bytes>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
    /// Limits of the kernel on each of its processes.
    #[serde(skip_serializing_if = "Ulimits::is_empty")]
    pub ulimits: Ulimits,
}

/// Limits of the kernel on one process (`setrlimit`), as Compose's `ulimits` names them. `None`: as those of whoever runs
/// Plimsoll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ulimits {
    /// Bytes of a core file; 0: none is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core: Option<Ulimit>,
    /// Bytes of a file that it writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fsize: Option<Ulimit>,
    /// Bytes of memory that it keeps from being swapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memlock: Option<Ulimit>,
    /// Open files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nofile: Option<Ulimit>,
    /// Processes and threads of its user, on the whole machine; the kernel does not count those of root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nproc: Option<Ulimit>,
    /// Bytes of its stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<Ulimit>,
}

impl Ulimits {
    /// Nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One limit of the kernel. `u64::MAX` is none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ulimit {
    /// What holds; the process may raise it up to `hard`.
    pub soft: u64,
    /// What it may never be raised above, but by root.
    pub hard: u64,
}

/// Who a process runs as, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Security {
    /// Numeric user id.
    pub run_as_user: Option<u32>,
    /// Numeric group id.
    pub run_as_group: Option<u32>,
    /// Refuse to run as root.
    pub run_as_non_root: bool,
    /// `false` (`Some(false)`) forbids new privileges by `execve`.
    pub allow_privilege_escalation: Option<bool>,
    /// The root file system may not be written to. Recorded on this machine.
    pub read_only_root_filesystem: bool,
}

/// What happens when a process ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// It is started again.
    #[default]
    Always,
    /// It is started again unless it ended with code 0.
    OnFailure,
    /// It stays ended.
    Never,
}
