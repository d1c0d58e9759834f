//! What a world tells the autoscaler: the pods and the readings of each metric.

use plimsoll_model::{Instant, Millis};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything one decision is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Now.
    pub at: Instant,
    /// How many were last asked for, including what was asked but is not yet there.
    /// None when that cannot be read: then nothing is done.
    pub spec_replicas: Option<i32>,
    /// How many there are.
    pub status_replicas: i32,
    /// What is wrong with the way the pods are found.
    pub selector: Selector,
    /// Every pod that the selector finds.
    pub pods: Vec<Pod>,
    /// One reading for each metric of the policy, in its order; a missing one counts as failed.
    pub readings: Vec<Reading>,
    /// Whether the arithmetic is wanted, line by line; off it costs nothing.
    pub explain: bool,
}

/// Whether the pods of an autoscaler can be told from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Selector {
    /// They can.
    #[default]
    Clear,
    /// The selector is empty or cannot be read.
    Invalid,
    /// Another autoscaler's selector finds the same pods.
    Ambiguous,
}

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Phase {
    /// Not started.
    Pending,
    /// Started.
    #[default]
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Not known.
    Unknown,
}

/// The answer of the Ready condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It takes requests.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    Unknown,
}

/// The Ready condition of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// What it says.
    pub status: Answer,
    /// Since when.
    pub since: Instant,
}

/// One pod, or one replica on this machine.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pod {
    /// Unique among the pods.
    pub name: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// Whether it has been told to go.
    pub deleting: bool,
    /// When it was started; None: not yet.
    pub started_at: Option<Instant>,
    /// None: it has no Ready condition yet.
    pub ready: Option<Ready>,
    /// What its containers, and the init containers that keep running, ask for.
    pub containers: Vec<Container>,
    /// What the pod as a whole asks for, in thousandths by resource; used where the gate is on.
    pub requests: BTreeMap<String, i64>,
}

/// One container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Container {
    /// Unique within the pod.
    pub name: String,
    /// In thousandths by resource.
    pub requests: BTreeMap<String, i64>,
}

/// What a metrics source said about one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reading {
    /// A sample of each pod that has one.
    Pods(Vec<Sample>),
    /// One figure, in thousandths.
    Object(i64),
    /// The figures of several series, in thousandths; they are added.
    External(Vec<i64>),
    /// The source gave an error.
    Failed(String),
}

/// What one pod used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The pod.
    pub pod: String,
    /// When it was taken.
    pub at: Instant,
    /// Over how long.
    pub window: Millis,
    /// The figure.
    pub usage: Usage,
}

/// A figure for a pod, in thousandths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Usage {
    /// For the pod as a whole.
    Whole(i64),
    /// For each container; None: the container is there, its figure is not.
    Containers(BTreeMap<String, Option<i64>>),
}
