//! Why something was decided.

use crate::Event;
use serde::{Deserialize, Serialize};

/// What is known of the decisions about something.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Explanation {
    /// The last decisions about it, oldest first. Empty: nothing that is still kept was about it.
    pub decisions: Vec<Explained>,
    /// How its autoscaler looked last, and what it said; its event has the number 0. `None`: no look is kept.
    pub now: Option<Explained>,
    /// What of the journal could not be read.
    pub gaps: Vec<String>,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The event that told of it.
    pub event: Event,
    /// The decider; empty: nothing was decided, something happened.
    pub by: String,
    /// What was decided.
    pub act: String,
    /// The arithmetic, line by line.
    pub steps: Vec<String>,
    /// What would have changed it.
    pub otherwise: Vec<String>,
    /// What was wanted.
    pub policy: serde_json::Value,
    /// What the decider remembered.
    pub memory: serde_json::Value,
    /// What it saw.
    pub seen: serde_json::Value,
}
