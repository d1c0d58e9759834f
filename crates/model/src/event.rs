//! What happened, and why: as the journal keeps it and the API tells it.

use crate::Instant;
use serde::{Deserialize, Serialize};

/// One thing that happened or was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Counts up from 1 over the life of the system.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// What it is about: `web`, `web-3`, `orders`, `system`.
    pub subject: String,
    /// A word for what happened, in Kubernetes' manner: `Started`, `Ready`, `BackOff`, `Killing` …
    pub reason: String,
    /// A sentence for a person.
    pub message: String,
    /// Whether a person should look.
    pub warning: bool,
}
