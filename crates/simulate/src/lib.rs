//! An imagined world, seeded and bit-identical, that feeds the same decisions as the engine and the gateway.
//!
//! A [`Plan`] is a system with a scenario; a [`World`] plays it event by event, [`Fluid`] in rates, second by second.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "places in lists are far below 2^32, and times in nanoseconds far below 2^53 for what is reckoned in floats"
)]

mod chart;
mod checkers;
mod course;
mod draws;
mod elementary;
mod fleet;
mod fluid;
mod histogram;
mod line;
mod measured;
mod page;
mod plan;
mod predict;
mod queue;
mod report;
mod swarm;
mod text;
mod times;
mod trace;
mod wheel;
mod world;

pub use course::Course;
pub use draws::Draws;
pub use elementary::{exp, ln};
pub use fleet::{FleetReport, fleet};
pub use fluid::Fluid;
pub use histogram::Histogram;
pub use line::{LoadLine, load_line, load_line_text};
pub use measured::use_measured;
pub use page::page;
pub use plan::{Plan, PlanError, Traces};
pub use predict::{Basis, Prediction, Verdict, predict};
pub use queue::Queue;
pub use report::Report;
pub use swarm::{SwarmReport, swarm};
pub use text::text;
pub use times::TimeTable;
pub use trace::read_trace;
pub use wheel::Wheel;
pub use world::{Figures, Outcome, ServiceFigures, SourceFigures, World};
