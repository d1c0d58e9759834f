//! An audit that a promise names, and that was run.

use plimsoll_model::Millis;
use serde::{Deserialize, Serialize};

/// How an audit ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Audited {
    /// It ended by itself, with 0.
    pub well: bool,
    /// How it ended, in words.
    pub ended: String,
    /// What it wrote, the end of it: some thousand bytes at most.
    pub output: String,
    /// How long it ran.
    pub took: Millis,
}
