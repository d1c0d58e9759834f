//! Where a request goes. Two layers: [`weigh()`] says a few times a second what share each replica gets and which are left
//! out; [`pick()`] chooses one of them for each request. Around them: whether there is room for a request ([`admit`]), whether
//! it waits where nobody can take it ([`hold()`]), and whether it is tried on another replica when one failed ([`again()`]), under
//! an allowance ([`budget`]). Beside them: rate limits ([`limit`]), what an answer tells of a replica ([`noted`]), to whom
//! a connection to a store leads ([`members`]), which version a request belongs to ([`mod@version`]), and how slowly a body may
//! come ([`upload`]).
//!
//! Invariant: a replica that was tried, is ejected, is gone or does not serve is never picked.
//! Invariant: nothing is shed while there is room, and retries stay under their allowance.
//! Invariant: ejecting leaves at least half of the serving replicas.

pub mod admission;
pub mod again;
pub mod among;
pub mod budget;
pub mod hold;
pub mod limit;
pub mod members;
pub mod noted;
pub mod pick;
pub mod room;
pub mod upload;
pub mod version;
pub mod weigh;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod laws_passage;

pub use admission::{Admission, admit};
pub use again::{Again, Failed, again};
pub use among::Among;
pub use hold::{Hold, hold};
pub use pick::{Replica, pick, stick};
pub use version::{Version, pick_of};
pub use weigh::{Memory, Seen, SeenReplica, Standing, Weighed, weigh};
