//! What end-to-end tests of a system need: real stores, real processes, a client. Only for tests; everything here panics
//! where something is not as it should be.

#![expect(clippy::unwrap_used, reason = "a test fails where it fails")]

pub mod client;
pub mod process;
pub mod stores;
