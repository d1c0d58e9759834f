//! The shared nouns of Plimsoll: values without behaviour of their own.
//!
//! Invariant: nothing here reads a clock, draws a random number or does I/O.
//! Invariant: everything here can be written to the journal and read back by a later version.

pub mod identity;
pub mod instant;
pub mod quantity;
pub mod route;

pub use identity::{EdgeId, OpId, ReplicaId, RevisionId};
pub use instant::Instant;
pub use quantity::{Bytes, MilliCpu, Millis, Ratio};
