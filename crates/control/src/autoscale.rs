//! How many replicas a service should run.
//!
//! [`hpa`] is the Kubernetes HorizontalPodAutoscaler, exactly; [`vectors`] puts its test vectors to it.
//!
//! Invariant: no clock, no randomness, no I/O; what is remembered is a value that can be journaled.

pub mod condition;
pub mod history;
pub mod hpa;
pub mod limit;
pub mod metric;
pub mod pods;
pub mod pods_metric;
pub mod policy;
pub mod quantity;
pub mod seen;
pub mod trail;
pub mod vectors;
