//! Experiments, one for each kind of promise.
//!
//! [`prove()`] asks a running system for its promises, tests each for real (load, kills), and gives a [`Report`]: *held*,
//! *broken* or *unproven* for each, with what was measured, how far from the target, out of how many requests, and what
//! the experiment shows and doesn't show. It's written as text ([`table()`]), as JSON ([`Report::json`]) and as one HTML
//! page ([`page()`]).
//!
//! What it never does: call something held that nobody measured; say "0 failed" without the N; hurt a system in
//! production without being told to; decide with anything but the figures (`judge` is pure, and apart from the doing).
//!
//! ```no_run
//! # async fn example() -> Result<(), plimsoll_prove::ProveError> {
//! use plimsoll_prove::{Detail, Options, Verdict, prove, table};
//!
//! let client = plimsoll_api::Client::new(".plimsoll/api.sock");
//! let report = prove(client, Options::default(), |_step| {}).await?;
//! print!("{}", table(&report, Detail::Short));
//! let exit_code = i32::from(report.worst() == Some(Verdict::Broken));
//! # Ok(()) }
//! ```
//!
//! A bad figure that the load generator itself may have caused makes a promise *unproven*, not *broken*.

mod chart;
mod drill;
mod experiments;
mod frozen;
mod judge;
mod lab;
mod page;
mod proof;
mod prove;
mod report;
mod route;
mod sample;
mod session;
mod table;
#[cfg(test)]
mod testing;
mod traffic;
mod visit;
mod writes;

pub use page::page;
pub use proof::{Figure, Proof, Run, Verdict};
pub use prove::{Options, ProveError, Step, prove, prove_until};
pub use report::Report;
pub use sample::{failure_rate_below, requests_for_percentile, requests_for_rate};
pub use session::Session;
pub use table::{Detail, table};
pub use traffic::{Play, Sent, play};
pub use writes::StoreUrl;
