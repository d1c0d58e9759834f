//! A system that is offered to the engine, and what becomes of it.

use plimsoll_model::System;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A checked system, with what the engine needs to know of where it comes from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Offer {
    /// The system.
    pub system: System,
    /// The file's text, as it was read.
    pub text: String,
    /// The file's path.
    pub file: String,
    /// The file's folder: what relative paths start from.
    pub folder: String,
    /// Variables of the caller's environment that services inherit (`PATH`, `HOME`, `LANG` …).
    pub environment: BTreeMap<String, String>,
    /// Only these services change: of others, what is accepted already stays. Empty: all of it is meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Secrets from the caller's environment. Kept in memory only: never journaled, never answered.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
}

/// What the engine did with an offer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Accepted {
    /// What will be changed; empty when everything is as it should be.
    pub changes: Vec<Change>,
    /// The number of the last event before: what follows belongs to this offer.
    pub after: u64,
}

/// One thing that will be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// A service or store, or `ingress`.
    pub name: String,
    /// `added`, `changed` or `removed`.
    pub what: String,
}
