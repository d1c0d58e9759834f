//! The real `plimsoll` with real processes: what a person does with it, and what befalls it (the fault catalogue).
//!
//! Each test has a folder of its own, ports from the kernel, and leaves nothing behind. None asserts how long something
//! took. `PLIMSOLL_SOAK=N` repeats what is repeated N times as often (`scripts/soak`).

#![expect(clippy::unwrap_used, reason = "a test fails where it fails")]

mod audiences;
mod audits;
mod boot;
mod brokers;
mod changes;
mod connections;
mod crash_points;
mod crashing;
mod daemons;
mod disks;
mod drills;
mod explaining;
mod figures;
mod files;
mod front;
mod full_disks;
mod interrupted;
mod loading;
mod look;
mod machine;
mod misbehaviour;
mod mounts;
mod pairs;
mod people;
mod poolers;
mod pressure;
mod probation;
mod probes;
mod programs;
mod proving;
mod reboot;
mod releases;
mod releases_faults;
mod releases_soak;
mod replicas;
mod scaling;
mod simple;
mod standbys;
mod starting;
mod store_failovers;
mod stores;
mod sweep;
mod synthetic;
mod traffic;
mod upgrading;
mod users;
mod watching;
mod world;

/// How often something is done: `usual` times, or more in a soak.
fn times(usual: usize) -> usize {
    usual * std::env::var("PLIMSOLL_SOAK").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}
