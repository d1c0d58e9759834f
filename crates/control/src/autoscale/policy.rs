//! What a HorizontalPodAutoscaler (`autoscaling/v2`) is told: Kubernetes' names, shape and defaults.
//!
//! Source: the API reference of Kubernetes 1.36. A block pasted from a manifest reads into these types.

use super::quantity::Milli;
use plimsoll_model::Millis;
use serde::{Deserialize, Deserializer, Serialize};

/// The autoscaler of one service: bounds, metrics and behaviour (`spec` of the Kubernetes object).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Never fewer; 0 only makes sense together with [`Controller::scale_to_zero`].
    #[serde(default = "one")]
    pub min_replicas: i32,
    /// Never more; at least `min_replicas`, which `spec` has checked.
    pub max_replicas: i32,
    /// Empty means processor use at 80 %, as Kubernetes fills in.
    #[serde(default)]
    pub metrics: Vec<Metric>,
    /// None when the user gave none: then the older limits hold (window of 300 s, doubling).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
    /// What `kube-controller-manager` is told by flags; not part of the object.
    #[serde(skip)]
    pub controller: Controller,
}

const fn one() -> i32 {
    1
}

impl Policy {
    /// The metrics with Kubernetes' default put in when there are none.
    #[must_use]
    pub fn metrics_or_default(&self) -> std::borrow::Cow<'_, [Metric]> {
        if self.metrics.is_empty() {
            let target = Target::Utilization { average_utilization: 80 };
            let resource = Resource { name: "cpu".to_owned(), target };
            return vec![Metric::Resource { resource }].into();
        }
        self.metrics.as_slice().into()
    }

    /// How far from 1 a ratio may lie without anything being done, in the direction that has it set.
    #[must_use]
    pub fn tolerance(&self) -> Tolerance {
        let mut tolerance = self.controller.tolerance;
        if let Some(behavior) = self.behavior.as_ref().filter(|_| self.controller.configurable_tolerance) {
            tolerance.up = behavior.scale_up.tolerance.unwrap_or(tolerance.up);
            tolerance.down = behavior.scale_down.tolerance.unwrap_or(tolerance.down);
        }
        tolerance
    }
}

/// One figure to hold at a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum Metric {
    /// Use of a resource by whole pods.
    Resource {
        /// Which resource, and its target.
        resource: Resource,
    },
    /// Use of a resource by one container of each pod.
    ContainerResource {
        /// Which resource and container, and the target.
        container_resource: ContainerResource,
    },
    /// A figure that each pod tells.
    Pods {
        /// Which figure, and its target.
        pods: Custom,
    },
    /// A figure of one other object.
    Object {
        /// Which figure, and its target.
        object: Custom,
    },
    /// A figure from outside the cluster.
    External {
        /// Which figure, and its target.
        external: Custom,
    },
    /// A source that this version does not know; it always fails.
    #[serde(skip)]
    Unknown {
        /// As it was written.
        name: String,
    },
}

/// A resource that pods request and use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// `cpu`, `memory` or another.
    pub name: String,
    /// What to hold it at.
    pub target: Target,
}

/// A resource of one named container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerResource {
    /// `cpu`, `memory` or another.
    pub name: String,
    /// The container whose use counts.
    pub container: String,
    /// What to hold it at.
    pub target: Target,
}

/// A figure that is no resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Custom {
    /// What the figure is called; for explanations only, the world looks it up.
    pub metric: Identifier,
    /// What to hold it at.
    pub target: Target,
}

/// The name of a custom figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identifier {
    /// As the metrics source knows it.
    pub name: String,
}

/// What to hold a figure at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum Target {
    /// Percent of what the pods request, averaged over them.
    Utilization {
        /// Percent, above 0.
        average_utilization: i32,
    },
    /// So much for each pod.
    AverageValue {
        /// Above 0.
        average_value: Milli,
    },
    /// So much altogether.
    Value {
        /// Above 0.
        value: Milli,
    },
}

/// How fast the number may move. When any part is given, both directions are filled in field by field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Behavior {
    /// On the way up.
    #[serde(deserialize_with = "up_rules")]
    pub scale_up: Rules,
    /// On the way down. A window of None means [`Controller::downscale_window`].
    #[serde(deserialize_with = "down_rules")]
    pub scale_down: Rules,
}

impl Default for Behavior {
    fn default() -> Self {
        Self { scale_up: Written::default().up(), scale_down: Written::default().down() }
    }
}

/// The rules of one direction, complete.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rules {
    /// How long to look back for a more careful proposal. None: the controller's own window (only on the way down).
    #[serde(rename = "stabilizationWindowSeconds", skip_serializing_if = "Option::is_none")]
    pub window_s: Option<i32>,
    /// Which policy counts when there are several.
    pub select_policy: Select,
    /// At least one.
    pub policies: Vec<Pace>,
    /// Instead of the controller's tolerance in this direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
}

/// Which policy counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Select {
    /// The one that allows the greatest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// One limit on the change within a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// In pods or in percent.
    #[serde(rename = "type")]
    pub unit: PaceUnit,
    /// Above 0.
    pub value: i32,
    /// 1 to 1800 seconds.
    #[serde(rename = "periodSeconds")]
    pub period_s: i32,
}

/// What a pace counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PaceUnit {
    /// Whole pods.
    Pods,
    /// Percent of the number at the start of the period.
    Percent,
}

/// Rules as written: what is missing gets the default of its direction.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Written {
    #[serde(rename = "stabilizationWindowSeconds")]
    pub(super) window_s: Option<i32>,
    pub(super) select_policy: Option<Select>,
    pub(super) policies: Option<Vec<Pace>>,
    #[serde(deserialize_with = "share")]
    pub(super) tolerance: Option<f64>,
}

impl Written {
    /// Up: at once, by 4 pods or doubling every 15 s, whichever is more.
    pub(super) fn up(self) -> Rules {
        let four = Pace { unit: PaceUnit::Pods, value: 4, period_s: 15 };
        let double = Pace { unit: PaceUnit::Percent, value: 100, period_s: 15 };
        Rules { window_s: Some(self.window_s.unwrap_or(0)), ..self.filled(vec![four, double]) }
    }

    /// Down: after the controller's window, any number.
    pub(super) fn down(self) -> Rules {
        self.filled(vec![Pace { unit: PaceUnit::Percent, value: 100, period_s: 15 }])
    }

    fn filled(self, policies: Vec<Pace>) -> Rules {
        Rules {
            window_s: self.window_s,
            select_policy: self.select_policy.unwrap_or(Select::Max),
            policies: self.policies.unwrap_or(policies),
            tolerance: self.tolerance,
        }
    }
}

fn up_rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rules, D::Error> {
    Ok(Option::<Written>::deserialize(deserializer)?.unwrap_or_default().up())
}

fn down_rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rules, D::Error> {
    Ok(Option::<Written>::deserialize(deserializer)?.unwrap_or_default().down())
}

/// A tolerance: a plain number, or a quantity in quotes.
fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Share {
        Number(f64),
        Text(String),
    }
    Ok(match Option::<Share>::deserialize(deserializer)? {
        None => None,
        Some(Share::Number(number)) => Some(number),
        Some(Share::Text(text)) => Some(match text.parse::<f64>() {
            Ok(number) if number.is_finite() => number,
            _ => text.parse::<Milli>().map_err(serde::de::Error::custom)?.0 as f64 / 1000.0,
        }),
    })
}

/// How far from 1 a ratio may lie without anything being done; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tolerance {
    /// Above 1.
    pub up: f64,
    /// Below 1.
    pub down: f64,
}

impl Tolerance {
    /// Whether `ratio` is near enough to 1, in binary floating point exactly as Kubernetes computes it.
    #[must_use]
    pub fn holds(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }
}

/// The flags and feature gates of `kube-controller-manager` 1.36 that change a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Controller {
    /// Every how long an autoscaler is looked at.
    pub period: Millis,
    /// `--horizontal-pod-autoscaler-tolerance`, both directions.
    pub tolerance: Tolerance,
    /// `--horizontal-pod-autoscaler-downscale-stabilization`.
    pub downscale_window: Millis,
    /// `--horizontal-pod-autoscaler-cpu-initialization-period`.
    pub cpu_initialization: Millis,
    /// `--horizontal-pod-autoscaler-initial-readiness-delay`.
    pub initial_readiness: Millis,
    /// Without behaviour, at most so many times the current number at once, or 4 if that is more.
    pub scale_up_factor: f64,
    /// Gate `HPAConfigurableTolerance` (on since 1.35).
    pub configurable_tolerance: bool,
    /// Gate `HPAScaleToZero` (alpha, off).
    pub scale_to_zero: bool,
    /// Gate `PodLevelResources`.
    pub pod_level_resources: bool,
}

impl Default for Controller {
    fn default() -> Self {
        Self {
            period: Millis::from_secs(15),
            tolerance: Tolerance { up: 0.1, down: 0.1 },
            downscale_window: Millis::from_secs(300),
            cpu_initialization: Millis::from_secs(300),
            initial_readiness: Millis::from_secs(30),
            scale_up_factor: 2.0,
            configurable_tolerance: true,
            scale_to_zero: false,
            pod_level_resources: true,
        }
    }
}
