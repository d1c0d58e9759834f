//! Where a request goes. Two layers: [`weigh()`] says a few times a second what share each replica gets and which are left
//! out; [`pick()`] chooses one of them for each request. Beside them: rate limits ([`limit`]), how much may be tried again
//! ([`budget`]), to whom a connection to a store leads ([`members`]), which version a request belongs to ([`mod@version`]),
//! and how slowly a body may come ([`upload`]).
//!
//! Invariant: a replica that was tried, is ejected, is gone or does not serve is never picked.
//! Invariant: ejecting leaves at least half of the serving replicas.

pub mod among;
pub mod budget;
pub mod limit;
pub mod members;
pub mod pick;
pub mod room;
pub mod upload;
pub mod version;
pub mod weigh;

#[cfg(test)]
mod laws;

pub use among::Among;
pub use pick::{Replica, pick, stick};
pub use version::{Version, pick_of};
pub use weigh::{Memory, Seen, SeenReplica, Standing, Weighed, weigh};
