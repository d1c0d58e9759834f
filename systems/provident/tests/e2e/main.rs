//! End to end: a real PostgreSQL and NATS, every role as a process of its own.
//!
//! Each test has stores of its own, on a loopback address of its own, so tests can run side by side without looking for
//! free ports.

#![expect(clippy::unwrap_used, reason = "a test fails where it fails")]

mod claims;
mod fund;
mod portal;
mod world;
