//! The shared nouns of Plimsoll: values without behaviour of their own.
//!
//! Invariant: nothing here reads a clock, draws a random number or does I/O.
//! Invariant: everything here can be written to the journal and read back by a later version.

pub mod audience;
pub mod autoscaling;
pub mod event;
pub mod identity;
pub mod instant;
pub mod probe;
pub mod promise;
pub mod quantity;
pub mod rollout;
pub mod route;
pub mod service;
pub mod simulation;
pub mod store;
pub mod synthetic;
pub mod system;

pub use event::Event;
pub use identity::{EdgeId, OpId, ReplicaId, RevisionId};
pub use instant::Instant;
pub use quantity::{Amount, Bytes, MilliCpu, Millis, Rate, Ratio};
pub use service::Service;
pub use store::Store;
pub use system::System;
