//! How many replicas a service should run.
//!
//! [`service::decide`] is the one owner of the number: it weighs what Kubernetes' metrics ask for ([`hpa`], exactly as
//! Kubernetes 1.36 does), what [`traffic`] at the gateway asks for, [`schedule`]s, what a person set by hand
//! ([`manual`]) and what former weeks were like ([`prediction`]). [`vectors`] puts Kubernetes' test vectors to [`hpa`].
//!
//! Invariant: no clock, no randomness, no I/O; what is remembered is a value that can be journaled.

pub mod condition;
pub mod history;
pub mod hpa;
pub mod limit;
pub mod manual;
pub mod metric;
pub mod pods;
pub mod pods_metric;
pub mod policy;
pub mod prediction;
pub mod quantity;
pub mod schedule;
pub mod seen;
pub mod service;
pub mod traffic;
pub mod trail;
pub mod vectors;
mod written;

pub use service::{Act, Decision, Memory, Policy, Reason, Seen, decide};
