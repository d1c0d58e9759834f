//! From the text of plimsoll.yaml to a checked System, with diagnostics.
//!
//! Invariant: [`check`] is a function of its [`Input`]: it reads no file but the time-zone database, no clock and no
//! environment.
//! Invariant: no input makes it panic, and its time and memory are bounded ([`source::BYTES_MAX`]).
//! Invariant: every key of the file has its effect, or stands among the unenforced settings, or is an error.

mod alert;
mod autoscaling;
mod backup;
mod behavior;
mod budgets;
mod canary;
mod contract;
pub mod diagnostic;
mod env;
mod environment;
mod failover;
mod format;
mod hours;
mod ingress;
mod invariants;
mod links;
pub mod machine;
mod metrics;
mod node;
mod overlay;
mod parse;
pub mod plan;
mod probe;
mod promise;
mod quantity;
mod reading;
mod references;
mod release_promises;
pub mod render;
mod request;
mod resources;
mod rollout;
pub mod rules;
mod schema;
mod section;
mod security;
mod service;
mod setting;
mod simulation;
pub mod source;
mod store;
mod suggest;
mod synthetic;
mod system;
mod traffic;
mod traps;
mod ulimits;
mod use_cycle;
mod values;
mod variables;
mod vertical;

pub use diagnostic::{Diagnostic, Note, Severity, Span};
pub use environment::{Checked, Input, check};
pub use format::fmt;
pub use machine::Machine;
pub use plan::{Plan, plan};
pub use render::{render_json, render_sarif, render_text};
pub use schema::schema;
pub use setting::Setting;
pub use source::{Source, read};

/// A length of time as it is written in the file: `30s`, `1h30m`. `None`: it is none.
#[must_use]
pub fn duration(text: &str) -> Option<plimsoll_model::Millis> {
    quantity::duration(text)
}
