//! A person scales by hand while an autoscaler owns the number: its bounds move, for a time.
//!
//! Invariant: after it has expired nothing of it is left.

use plimsoll_model::Instant;
use serde::{Deserialize, Serialize};

/// Bounds set by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manual {
    /// Not fewer.
    pub min_replicas: u32,
    /// Not more.
    pub max_replicas: u32,
    /// When it ends; then the autoscaler's own bounds hold again.
    pub until: Instant,
    /// Who.
    pub by: String,
    /// Why, in their words; may be empty.
    pub why: String,
}

impl Manual {
    /// `scale SERVICE=replicas` under an autoscaler with the bounds `min..=max` that now has `current`: up raises the
    /// floor, down lowers the ceiling, so that the autoscaler may still go further in the direction that was meant.
    #[must_use]
    pub fn scale(replicas: u32, current: u32, (min, max): (u32, u32), until: Instant) -> Self {
        let (min_replicas, max_replicas) =
            if replicas >= current { (replicas, max.max(replicas)) } else { (min.min(replicas), replicas) };
        Self { min_replicas, max_replicas, until, by: String::new(), why: String::new() }
    }
}
