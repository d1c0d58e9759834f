//! A whole system, checked: what `plimsoll.yaml` says once an environment is chosen and short forms are written out.

use crate::{
    Millis, Ratio, Service, Store,
    promise::Promise,
    route::{RateLimit, Tls},
    simulation::Simulation,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A system and the promises it makes.
///
/// Invariant (kept by `spec`): every name that is referred to exists; `uses` has no cycle; names are RFC 1123 labels of at
/// most 63 characters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct System {
    /// Its name.
    pub name: String,
    /// The environment whose overlay was laid over the file, if any.
    pub environment: Option<String>,
    /// Where it runs.
    pub target: Target,
    /// Its services, by name.
    pub services: BTreeMap<String, Service>,
    /// Its stores, by name. No name is both a service's and a store's.
    pub stores: BTreeMap<String, Store>,
    /// How it is reached from outside.
    pub ingress: Ingress,
    /// What it promises, by name.
    pub promises: BTreeMap<String, Promise>,
    /// When somebody is to be told, by name.
    pub alerts: BTreeMap<String, Alert>,
    /// What `simulate` imagines around it; without effect on what runs.
    pub simulation: Option<Simulation>,
    /// Settings that are right but not enforced on this machine, or refused: shown by `plan` and `status`.
    pub unenforced: Vec<Unenforced>,
}

/// Where a system runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// As processes on this machine.
    #[default]
    Machine,
    /// On Kubernetes, in that namespace (`None`: the system's name).
    Kubernetes {
        /// The namespace.
        namespace: Option<String>,
    },
}

/// How a system is reached from outside.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ingress {
    /// The ports; empty when the system has no ingress.
    pub listen: Vec<Listen>,
    /// What is served, by host name (`*` is every host).
    pub hosts: BTreeMap<String, IngressHost>,
    /// How long a client may take to send the head of a request. `None`: 10 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<crate::Millis>,
}

/// One port of the ingress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listen {
    /// The address to bind; by default 127.0.0.1.
    pub address: std::net::IpAddr,
    /// The port; 0 lets the kernel choose once, and the choice is kept.
    pub port: u16,
    /// Ends TLS here with that certificate.
    pub tls: Option<Tls>,
}

/// One host of the ingress.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressHost {
    /// Service by path prefix.
    pub paths: BTreeMap<String, String>,
    /// How many requests a client may make.
    pub rate_limit: Option<RateLimit>,
}

/// When somebody is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// What is watched.
    pub when: Condition,
    /// How long it must hold.
    pub hold: Millis,
    /// `critical`, `warning` or `info`.
    pub severity: String,
    /// The only service concerned; `None` is every one.
    pub service: Option<String>,
}

/// A figure above a bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// Share of requests that failed.
    ErrorRate(Ratio),
    /// The 95th percentile of latency.
    LatencyP95(Millis),
    /// Restarts in an hour.
    Restarts(u32),
    /// Seconds that a replica of a store is behind.
    ReplicationLag(Millis),
    /// Share of a processor limit that is used.
    Cpu(Ratio),
    /// Share of a memory limit that is used.
    Memory(Ratio),
    /// Share of the disk that is free lies below this.
    DiskFree(Ratio),
}

/// A setting that is not enforced here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unenforced {
    /// Where it stands: `services.order.image`.
    pub path: String,
    /// Recorded (right, kept for other targets) or refused (known not to work).
    pub class: SettingClass,
    /// Why, for a person.
    pub why: String,
    /// Its line in the file.
    pub line: Option<u32>,
}

/// What becomes of a setting on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SettingClass {
    /// It has its effect.
    Enforced,
    /// It is right, and kept for other targets; without effect here.
    Recorded,
    /// We know that it can't work.
    Refused,
}
