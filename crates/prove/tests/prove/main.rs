//! Experiments on a toy system with real processes. They assert on verdicts that no busy machine can change.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

mod held;
mod not_held;
mod requests;
mod toy;

use std::time::Duration;

use plimsoll_model::promise::Load;
use plimsoll_model::{Millis, Rate};
use plimsoll_prove::{Options, Proof, ProveError, Report, prove};

use crate::toy::Toy;

/// Proves all promises of a toy.
fn run(toy: &Toy, options: Options) -> Result<Report, ProveError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(prove(toy.client(), options, |_| {}))
}

/// Proves the only promise of a toy.
fn prove_one(toy: &Toy) -> Proof {
    let options = Options { headroom: false, seed: Some(1), ..Options::default() };
    let mut report = run(toy, options).unwrap();
    assert_eq!(report.proofs.len(), 1);
    report.proofs.remove(0)
}

/// So many requests a second, for so long.
fn load(rate: u64, ms: u64) -> Load {
    Load { rate: Some(Rate(rate * 1000)), duration: Some(Millis(ms)), connections: None, kills: Some(2) }
}

/// Enough for any busy machine.
const LONG: Millis = Millis(9_000);

/// For what never comes, so that a test needn't wait as long as a person would.
const SHORT: Duration = Duration::from_secs(1);
