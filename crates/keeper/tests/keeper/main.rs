//! A real keeper, real processes.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod ending;
mod kept;
mod logs;
mod spawning;
mod stopping;
mod takeover;
mod upgrade;
mod world;
