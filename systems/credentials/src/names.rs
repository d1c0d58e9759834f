//! What a username may be, and which names are the same to the eye.
//!
//! Invariant: [`check`] allocates nothing for a well-formed name.

mod fold;
mod rules;

pub use fold::{Folded, fold};
pub use rules::{Checked, Reason, check};

/// Shortest name in characters.
pub const LENGTH_MIN: usize = 3;
/// Longest name in characters.
pub const LENGTH_MAX: usize = 32;
