//! End to end: a real PostgreSQL, a real Redis, every role as a process of its own, over HTTP through the gateway.
//!
//! Each test has stores of its own, on a loopback address of its own, so tests can run side by side without looking for
//! free ports.

#![expect(clippy::unwrap_used, reason = "a test fails where it fails")]

mod attachments;
mod limits;
mod listeners;
mod notifications;
mod sessions;
mod tasks;
mod users;
mod world;
