//! How many replicas a service has, when load decides: `autoscaling/v2` of Kubernetes, and our own traffic signals.

use crate::{Bytes, MilliCpu, Millis, Rate, Ratio};
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
    /// Other bounds at certain hours (ours). Where several hold, the highest floor and the highest ceiling count.
    #[serde(default)]
    pub schedules: Vec<Schedule>,
    /// A floor from the shape of former weeks (ours). `None`: nothing is foreseen.
    #[serde(default)]
    pub prediction: Option<Prediction>,
    /// How long bounds that a person sets by `plimsoll scale` hold (ours). Default 1 h.
    #[serde(default = "an_hour")]
    pub manual_for: Millis,
}

const fn an_hour() -> Millis {
    Millis::from_secs(3600)
}

impl Default for Autoscaling {
    /// One replica, always, and nothing that would change it.
    fn default() -> Self {
        Self {
            min_replicas: 1,
            max_replicas: 1,
            metrics: Vec::new(),
            behavior: None,
            requests_per_second: None,
            concurrency: None,
            schedules: Vec::new(),
            prediction: None,
            manual_for: an_hour(),
        }
    }
}

impl Autoscaling {
    /// How many there are until it has looked for the first time: the fewest, but it may not begin switched off.
    #[must_use]
    pub fn at_first(&self) -> u32 {
        self.min_replicas.max(1)
    }

    /// As one machine acts on it: a metric that nothing there measures takes no part, instead of failing at every look
    /// and by that keeping the number from ever shrinking. `takes_requests`: gateways see the requests of this service.
    #[must_use]
    pub fn on_a_machine(&self, takes_requests: bool) -> Self {
        let measured = |metric: &&Metric| metric.is_measured_on_a_machine(takes_requests);
        Self { metrics: self.metrics.iter().filter(measured).cloned().collect(), ..self.clone() }
    }
}

/// A time in which other bounds hold, again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// When it begins: a cron expression of five fields, minute first.
    pub start: String,
    /// How long it holds from then on; above zero.
    pub hold: Millis,
    /// The name of its time zone in the IANA database; `UTC` by default.
    pub timezone: String,
    /// Not fewer meanwhile. `None`: the usual bound.
    pub min_replicas: Option<u32>,
    /// Not more meanwhile. `None`: the usual bound.
    pub max_replicas: Option<u32>,
}

/// How a floor is read from former weeks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prediction {
    /// How many weeks back are looked at: 2 to 8. Default 4.
    pub weeks: u8,
    /// How long before the need its replicas are to be there; at most 6 h. Default 10 min.
    pub ahead: Millis,
}

impl Default for Prediction {
    fn default() -> Self {
        Self { weeks: 4, ahead: Millis::from_secs(600) }
    }
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
    /// A metric of a service of the same file, or of its ingress; in thousandths.
    Object {
        /// Of what.
        of: Described,
        /// The metric's name.
        name: String,
        /// `Value` target.
        value_milli: Option<i64>,
        /// `AverageValue` target.
        average_milli: Option<i64>,
    },
    /// A metric from outside, or of an object that is not in the file; in thousandths.
    External {
        /// The metric's name.
        name: String,
        /// `Value` target.
        value_milli: Option<i64>,
        /// `AverageValue` target.
        average_milli: Option<i64>,
    },
}

/// What an object's metric is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Described {
    /// The service of that name.
    Service(String),
    /// All that comes in by the ingress.
    Ingress,
}

impl Described {
    /// The service's name; "" for the ingress, of which there is one.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Service(name) => name,
            Self::Ingress => "",
        }
    }
}

/// The names that metrics adapters commonly give to requests a second of a pod, which gateways measure.
const REQUESTS: [&str; 4] = ["http_requests_per_second", "requests_per_second", "http_requests", "requests-per-second"];

impl Metric {
    /// Whether one machine alone knows its figures: what processes use, and (where it `takes_requests` through gateways)
    /// the requests a second of each replica, or of a service or the ingress of the file, under their usual names.
    #[must_use]
    pub fn is_measured_on_a_machine(&self, takes_requests: bool) -> bool {
        match self {
            Self::Utilization { .. } | Self::AverageCpu(_) | Self::AverageMemory(_) => true,
            Self::Pods { name, .. } => takes_requests && REQUESTS.contains(&name.as_str()),
            Self::Object { name, .. } => REQUESTS.contains(&name.as_str()),
            Self::External { .. } => false,
        }
    }
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

/// What may change a service's requests: a VerticalPodAutoscaler.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Vertical {
    /// When requests are changed.
    pub mode: VerticalMode,
    /// Nothing is recommended for its container.
    pub off: bool,
    /// The resources that it controls (`cpu`, `memory`); empty is both.
    pub controlled: Vec<String>,
    /// Never less processor.
    pub cpu_min: Option<MilliCpu>,
    /// Never more processor.
    pub cpu_max: Option<MilliCpu>,
    /// Never less memory.
    pub memory_min: Option<Bytes>,
    /// Never more memory.
    pub memory_max: Option<Bytes>,
}

impl Vertical {
    /// Whether it says anything about a resource.
    #[must_use]
    pub fn controls(&self, resource: &str) -> bool {
        !self.off && (self.controlled.is_empty() || self.controlled.iter().any(|name| name == resource))
    }
}

/// When requests are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum VerticalMode {
    /// Never: it only recommends.
    Off,
    /// When a replica is made.
    Initial,
    /// By replacing replicas.
    Recreate,
    /// As it thinks best.
    #[default]
    Auto,
}
