//! How many replicas a service has, when load decides: `autoscaling/v2` of Kubernetes, and our own traffic signals.

use crate::{MilliCpu, Millis, Rate, Ratio};
use serde::{Deserialize, Serialize};

/// The owner of a service's number of replicas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// At least so many; 0 only with a traffic signal or an external one.
    pub min_replicas: u32,
    /// At most so many.
    pub max_replicas: u32,
    /// The largest proposal of all metrics wins. Never empty unless a traffic signal is given.
    pub metrics: Vec<Metric>,
    /// Stabilisation and rates; `None` is Kubernetes' behaviour without `behavior`.
    pub behavior: Option<Behavior>,
    /// Requests per second and replica, measured at the gateway (ours).
    pub requests_per_second: Option<Rate>,
    /// Requests in flight for each replica, measured at the gateway (ours).
    pub concurrency: Option<u32>,
}

/// One metric and its target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Metric {
    /// Processor or memory, as a share of the request.
    Utilization {
        /// `cpu` or `memory`.
        resource: String,
        /// 70 % is 700,000 millionths.
        target: Ratio,
    },
    /// Processor, averaged over the replicas.
    AverageCpu(MilliCpu),
    /// Memory, averaged over the replicas, in bytes.
    AverageMemory(u64),
    /// A metric of each replica, averaged; in thousandths.
    Pods {
        /// The metric's name.
        name: String,
        /// Average target.
        average_milli: i64,
    },
    /// A metric of one object or from outside; in thousandths.
    External {
        /// The metric's name.
        name: String,
        /// `Value` target.
        value_milli: Option<i64>,
        /// `AverageValue` target.
        average_milli: Option<i64>,
    },
}

/// `behavior` of `autoscaling/v2`. A direction that is `None` gets Kubernetes' defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Behavior {
    /// Growing.
    pub scale_up: Option<Rules>,
    /// Shrinking.
    pub scale_down: Option<Rules>,
}

/// The rules of one direction.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rules {
    /// Stabilisation window; `None` is the direction's default (0 s up, 300 s down).
    pub stabilization: Option<Millis>,
    /// `Max` (default), `Min` or `Disabled`.
    pub select: Option<Select>,
    /// Rates; empty is the direction's default.
    pub policies: Vec<RatePolicy>,
    /// Tolerance; `None` is 10 %.
    pub tolerance: Option<Ratio>,
}

/// Which of several rates holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Select {
    /// The one that allows most change.
    Max,
    /// The one that allows least.
    Min,
    /// None: no change in this direction.
    Disabled,
}

/// At most so much change in so long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RatePolicy {
    /// `Pods` or `Percent`.
    pub kind: RateKind,
    /// Replicas, or percent of them.
    pub value: u32,
    /// 1 s to 30 min.
    pub period: Millis,
}

/// What a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RateKind {
    /// Replicas.
    Pods,
    /// Percent of the replicas at the period's start.
    Percent,
}
