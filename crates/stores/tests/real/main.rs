//! The drivers with the real servers, each test with its own folders, ports and processes.
//!
//! Needs the Debian packages `postgresql`, `redis-server` and `nats-server`; a test that misses one fails and names
//! the command.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod cluster;
mod house;
mod nats;
mod postgres;
mod postgres_faults;
mod redis;
