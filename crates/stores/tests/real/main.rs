//! The drivers with the real servers, each test with its own folders, ports and processes.
//!
//! Needs the Debian packages `postgresql` and `redis-server`; a test that misses one fails and names the command.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod cluster;
mod house;
mod postgres;
mod postgres_faults;
mod redis;
