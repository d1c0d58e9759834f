//! The decisions: pure functions of values, with no clock, no randomness and no I/O.

pub mod account;
pub mod analysis;
pub mod arrival;
pub mod autoscale;
pub mod cluster;
pub mod disk;
pub mod failover;
pub mod health;
pub mod listening;
pub mod order;
pub mod reconcile;
pub mod restart;
pub mod rightsize;
pub mod rollout;
pub mod route;
pub mod table;
pub mod termination;
pub mod upgrade;
