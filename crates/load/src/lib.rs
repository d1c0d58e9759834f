//! Open-loop load, with honest latencies.
//!
//! A [`Plan`] says where requests go, how they arrive and what they are; [`Plan::start`] gives a [`Running`] that can be
//! watched, marked and stopped; its end is a [`Report`].
//!
//! ```no_run
//! # async fn example() -> Result<(), plimsoll_load::PlanError> {
//! use std::time::Duration;
//! use plimsoll_load::{Arrivals, Plan, RequestTemplate, Target};
//!
//! let target = Target::parse("http://127.0.0.1:8080")?;
//! let arrivals = Arrivals::Poisson { rate_per_s: 200.0, seed: 1 };
//! let report = Plan::new(target, arrivals, Duration::from_secs(10), vec![RequestTemplate::get("/")]).run().await?;
//! println!("{report}");
//! # Ok(()) }
//! ```
//!
//! What makes the figures honest:
//! - **Open loop.** A request starts when it's due, whatever became of those before it. (`Arrivals::Closed` is there for
//!   "so many users", and says what it hides.)
//! - **Latency counts from the intended start**, so a stall of 500 ms shows in every request that should have started
//!   during it, not in one. `Report::latency_at` counts a failed request as slower than any answered one.
//! - **Nothing is retried.** The one thing that is done again: when a kept-alive connection turns out to have been closed
//!   by the server *before any byte of a request was written*, the request goes on a new connection (`reconnects` counts
//!   these). A connection that breaks later is a failure of its request.
//! - **The generator confesses.** Requests that it released late (more than 10 ms) are counted, and `limited` says when
//!   they were more than 1 %: then the figures tell of the generator, not of the server. Its own delay of up to 0.2 ms
//!   (requests due within that time are released together) is part of every latency.
//!
//! The time-out also counts from the intended start, and bounds the whole run: it's over at the latest `timeout` after
//! the last arrival. HTTP/1.1 is never pipelined: one request at a time on a connection.
//!
//! The crate decides nothing about what is good enough: that's `prove`.

mod arrivals;
mod connector;
mod draw;
mod failure;
mod lane;
mod latencies;
mod link;
mod once;
mod pacer;
mod plan;
mod prepared;
mod record;
mod report;
mod running;
mod statuses;
mod target;
mod text;
mod ticker;
mod words;
mod worker;

pub use arrivals::Arrivals;
pub use failure::{Cause, Failure};
pub use latencies::{Latencies, Summary};
pub use once::{Answer, OnceError, once};
pub use plan::{Plan, PlanError, RequestTemplate};
pub use report::{Generator, LATE_AFTER, Mark, Report, RequestFigures, Second};
pub use running::{Progress, Running};
pub use statuses::{NoStatuses, Statuses};
pub use target::{Protocol, Target, Trust};
