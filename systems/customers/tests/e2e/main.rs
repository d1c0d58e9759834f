//! End to end: a real PostgreSQL, a real Redis, the real binary, over HTTP.
//!
//! Each test has stores of its own, on a loopback address of its own, so tests can run side by side without looking for
//! free ports.

#![expect(clippy::unwrap_used, reason = "a test fails where it fails")]

mod audit;
mod cache;
mod customers;
mod sessions;
mod world;
