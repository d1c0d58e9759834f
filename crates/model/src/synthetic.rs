//! Requests that nobody made: asked of both versions of a service while a release is judged, where its users ask too few.

use crate::RevisionId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is asked, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Synthetic {
    /// So many a second of each version, 1..=1000. Default 20.
    pub requests_per_second: u32,
    /// Path and query of each request, in turn; each begins with `/`. Default `/` alone; never empty.
    pub paths: Vec<String>,
    /// Headers of each request. `host` is the service's name if it is not among them.
    pub headers: BTreeMap<String, String>,
}

impl Default for Synthetic {
    fn default() -> Self {
        Self { requests_per_second: 20, paths: vec!["/".into()], headers: BTreeMap::new() }
    }
}

/// Synthetic requests that are to be made now, as a gateway is told of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asking {
    /// The versions that are asked, each as often as the other.
    pub versions: [RevisionId; 2],
    /// What, and how often.
    pub traffic: Synthetic,
}
