//! The parts of a case as the files write them, and what they are to the decider.

use super::super::condition::{Condition, ConditionKind, Reason, Status};
use super::super::history::{Event, Recommendation};
use super::super::policy::{
    Behavior, ContainerResource, Custom, Identifier, Metric, Pace, PaceUnit, Resource, Select, Target, Tolerance,
    Written,
};
use super::super::quantity::Milli;
use super::super::seen::{Answer, Container, Phase, Pod, Reading, Ready, Sample, Usage};
use plimsoll_model::{Instant, Millis};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Now, in every case: far enough from zero that the zero time (1e9 s ago) can be told.
pub(super) const NOW: Instant = Instant(2_000_000_000_000_000);

/// The moment `age_s` seconds before now.
pub(super) fn ago(age_s: f64) -> Instant {
    Instant(NOW.0.saturating_sub((age_s * 1e6).round() as u64))
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct PodForm {
    name: String,
    phase: String,
    ready: Option<Answer>,
    start_age_s: Option<f64>,
    ready_since_age_s: Option<f64>,
    deleting: bool,
    #[serde(default)]
    containers: Vec<ContainerForm>,
    #[serde(default)]
    init_containers: Vec<ContainerForm>,
    #[serde(default)]
    pod_requests: BTreeMap<String, i64>,
}

#[derive(Debug, Clone, Deserialize)]
struct ContainerForm {
    name: String,
    #[serde(default)]
    requests: BTreeMap<String, i64>,
    #[serde(default)]
    restart_policy: Option<String>,
}

impl PodForm {
    pub(super) fn pod(self) -> Pod {
        let phase = match self.phase.as_str() {
            "Pending" => Phase::Pending,
            "Running" => Phase::Running,
            "Succeeded" => Phase::Succeeded,
            "Failed" => Phase::Failed,
            _ => Phase::Unknown,
        };
        let kept = self.init_containers.into_iter().filter(|one| one.restart_policy.as_deref() == Some("Always"));
        let containers = self.containers.into_iter().chain(kept);
        Pod {
            name: self.name,
            phase,
            deleting: self.deleting,
            started_at: self.start_age_s.map(ago),
            ready: self.ready.map(|status| Ready { status, since: self.ready_since_age_s.map_or(Instant(0), ago) }),
            containers: containers.map(|one| Container { name: one.name, requests: one.requests }).collect(),
            requests: self.pod_requests,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct SampleForm {
    pod: String,
    age_s: f64,
    window_s: u64,
    value: Option<i64>,
    containers: Option<BTreeMap<String, Option<i64>>>,
}

impl SampleForm {
    pub(super) fn sample(self) -> Sample {
        let usage = match (self.value, self.containers) {
            (Some(value), _) => Usage::Whole(value),
            (None, containers) => Usage::Containers(containers.unwrap_or_default()),
        };
        Sample { pod: self.pod, at: ago(self.age_s), window: Millis::from_secs(self.window_s), usage }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct MetricForm {
    source: String,
    target: Option<TargetForm>,
    resource: Option<String>,
    container: Option<String>,
    samples: Option<Vec<SampleForm>>,
    object_value: Option<i64>,
    series: Option<Vec<i64>>,
    fails: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct TargetForm {
    #[serde(rename = "type")]
    kind: String,
    value: Option<i64>,
}

impl TargetForm {
    fn target(&self) -> Option<Target> {
        let value = self.value?;
        match self.kind.as_str() {
            "utilization" => {
                Some(Target::Utilization { average_utilization: i32::try_from(value).unwrap_or(i32::MAX) })
            }
            "average_value" => Some(Target::AverageValue { average_value: Milli(value) }),
            "value" => Some(Target::Value { value: Milli(value) }),
            _ => None,
        }
    }
}

impl MetricForm {
    /// The metric of a policy, and its reading.
    pub(super) fn split(self) -> (Metric, Reading) {
        let target = self.target.as_ref().and_then(TargetForm::target);
        let missing = target.is_none().then(|| "no target".to_owned());
        // What stands in for a missing target is never looked at: the reading fails first.
        let target = target.unwrap_or(Target::Utilization { average_utilization: 100 });
        let name = self.resource.unwrap_or_default();
        let custom = || Custom { metric: Identifier { name: "vector".to_owned() }, target };
        let metric = match (self.source.as_str(), self.container) {
            ("resource", _) => Metric::Resource { resource: Resource { name, target } },
            ("container_resource", container) => Metric::ContainerResource {
                container_resource: ContainerResource { name, container: container.unwrap_or_default(), target },
            },
            ("pods", _) => Metric::Pods { pods: custom() },
            ("object", _) => Metric::Object { object: custom() },
            ("external", _) => Metric::External { external: custom() },
            (source, _) => Metric::Unknown { name: source.trim_start_matches("unknown:").to_owned() },
        };
        let samples = |samples: Vec<SampleForm>| Reading::Pods(samples.into_iter().map(SampleForm::sample).collect());
        let read = self.samples.map(samples).or(self.object_value.map(Reading::Object));
        let read = read.or(self.series.map(Reading::External));
        let failed = self.fails.or(missing).map(Reading::Failed);
        let none = || Reading::Failed("the case has no reading".to_owned());
        (metric, failed.or(read).unwrap_or_else(none))
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct BehaviorForm {
    up: Option<RulesForm>,
    down: Option<RulesForm>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct RulesForm {
    window_s: Option<i32>,
    select: Option<Select>,
    policies: Option<Vec<PaceForm>>,
    tolerance: Option<f64>,
}

impl RulesForm {
    fn written(self) -> Written {
        Written {
            window_s: self.window_s,
            select_policy: self.select,
            policies: self.policies.map(|policies| policies.into_iter().map(PaceForm::pace).collect()),
            tolerance: self.tolerance,
        }
    }
}

impl BehaviorForm {
    pub(super) fn behavior(self) -> Behavior {
        Behavior {
            scale_up: self.up.unwrap_or_default().written().up(),
            scale_down: self.down.unwrap_or_default().written().down(),
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct PaceForm {
    #[serde(rename = "type")]
    unit: PaceUnit,
    value: i32,
    period_s: i32,
}

impl PaceForm {
    pub(super) fn pace(self) -> Pace {
        Pace { unit: self.unit, value: self.value, period_s: self.period_s }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct EventForm {
    change: i32,
    age_s: f64,
    #[serde(default)]
    outdated: bool,
}

impl EventForm {
    pub(super) fn event(self) -> Event {
        Event { change: self.change, at: ago(self.age_s), outdated: self.outdated }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct RecommendationForm {
    replicas: i32,
    age_s: f64,
}

impl RecommendationForm {
    pub(super) fn recommendation(self) -> Recommendation {
        Recommendation { replicas: self.replicas, at: ago(self.age_s) }
    }
}

/// A condition as the files write it: no message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ConditionForm {
    #[serde(rename = "type")]
    kind: ConditionKind,
    status: Status,
    reason: Reason,
}

impl ConditionForm {
    pub(super) fn of(condition: &Condition) -> Self {
        Self { kind: condition.kind, status: condition.status, reason: condition.reason }
    }

    pub(super) fn condition(self) -> Condition {
        Condition { kind: self.kind, status: self.status, reason: self.reason, message: String::new() }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct GatesForm {
    #[serde(rename = "HPAConfigurableTolerance")]
    pub(super) tolerance: bool,
    #[serde(rename = "HPAScaleToZero")]
    pub(super) zero: bool,
    #[serde(rename = "PodLevelResources")]
    pub(super) pod_level: bool,
}

/// The figures that say whose processor use misleads.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct WarmingForm {
    pub(super) cpu_init_period_s: u64,
    pub(super) initial_readiness_delay_s: u64,
}

/// How near to 1 is near enough.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct TolerancesForm {
    up: f64,
    down: f64,
}

impl TolerancesForm {
    pub(super) fn tolerance(self) -> Tolerance {
        Tolerance { up: self.up, down: self.down }
    }
}
