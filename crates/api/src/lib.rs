//! What can be seen of a running system and asked of it: HTTP with JSON over a Unix socket.
//!
//! The engine serves it, the command line and the console are its clients. Paths are in [`paths`].
//!
//! Invariant: no secret is ever part of an answer.

pub mod audit;
pub mod client;
pub mod explanation;
pub mod offer;
pub mod paths;
pub mod release;
pub mod status;

pub use client::{Client, ClientError};
pub use explanation::{Explained, Explanation};
pub use offer::{Accepted, Change, Offer};
pub use plimsoll_model::Event;
pub use status::Status;
