//! The decisions: pure functions of values, with no clock, no randomness and no I/O.

pub mod autoscale;
pub mod route;
