//! A real keeper, real processes.

mod ending;
mod kept;
mod logs;
mod spawning;
mod stopping;
mod takeover;
mod world;
