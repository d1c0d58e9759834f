//! What is decided for a case, with the names of the figures that the vector files use.

use super::super::condition::{Reason, Status};
use super::form::ConditionForm;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What is decided for a case: only the figures that its group speaks of.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Answer {
    /// The number of replicas; −1: nothing may be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) conditions: Option<Vec<ConditionForm>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_utilization_pct: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) utilization_pct: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) raw_average_milli: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage_milli: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stored: Option<Stored>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stored_recommendations: Option<Vec<i32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) change_in_60s: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ready_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unready: Option<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) missing: Option<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ignored: Option<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) requests_milli: Option<BTreeMap<String, i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scaling_active: Option<(Status, Reason)>,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is kept: how many proposals, or which changes and whether each is outdated.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Stored {
    Count(usize),
    Events(Vec<(i32, bool)>),
}
