//! Whole worlds: against closed forms, twice with one seed, under faults, in releases, in swarms.

#![expect(clippy::unwrap_used, reason = "a test fails where it fails")]

mod canary;
mod mishaps;
mod predictions;
mod queues;
mod rates;
mod releases;
mod repeats;
mod scaling;
mod scene;
mod storm;
mod swarms;
mod synthetic;
