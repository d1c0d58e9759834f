//! What an autoscaler says about itself: Kubernetes' conditions and reasons.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing that holds or does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What is spoken of.
    #[serde(rename = "type")]
    pub kind: ConditionKind,
    /// Whether it holds.
    pub status: Status,
    /// Why.
    pub reason: Reason,
    /// For a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What a condition speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConditionKind {
    /// Whether the number can be read and written, and is not held back.
    AbleToScale,
    /// Whether there are metrics to go by.
    ScalingActive,
    /// Whether a limit cut the answer.
    ScalingLimited,
    /// Whether the autoscaler itself went to zero (gate `HPAScaleToZero`).
    ScaledToZero,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It does.
    True,
    /// It does not.
    False,
}

/// Kubernetes' reasons, by its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are Kubernetes' own and say what they mean")]
pub enum Reason {
    FailedGetScale,
    SucceededGetScale,
    ScalingDisabled,
    InvalidSelector,
    AmbiguousSelector,
    FailedGetResourceMetric,
    FailedGetContainerResourceMetric,
    FailedGetPodsMetric,
    FailedGetObjectMetric,
    FailedGetExternalMetric,
    InvalidMetricSourceType,
    ValidMetricFound,
    ReadyForNewScale,
    ScaleDownStabilized,
    ScaleUpStabilized,
    ScaleUpLimit,
    ScaleDownLimit,
    TooManyReplicas,
    TooFewReplicas,
    DesiredWithinRange,
    SucceededRescale,
    FailedUpdateScale,
    ScaledToZero,
    NotScaledToZero,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Puts a condition in, or changes the one of its kind where it stands.
pub(super) fn set(conditions: &mut Vec<Condition>, condition: Condition) {
    match conditions.iter_mut().find(|other| other.kind == condition.kind) {
        Some(place) => *place = condition,
        None => conditions.push(condition),
    }
}
