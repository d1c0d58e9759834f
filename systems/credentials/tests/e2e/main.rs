//! End to end: a real PostgreSQL, a real Redis (single or cluster), the real binary, over HTTP.
//!
//! Each test has stores of its own, on a loopback address of its own (made from the process id), so tests can run side
//! by side without looking for free ports.

#![expect(clippy::unwrap_used, reason = "a test fails where it fails")]

mod accounts;
mod browser;
mod chromium;
mod pages;
mod resilience;
mod traces;
mod usernames;
mod world;
