//! Fixtures of this crate's own tests.

use std::time::Duration;

use crate::proof::{Proof, Verdict};
use crate::report::Report;

/// A proof of little.
pub(crate) fn proof(name: &str, verdict: Verdict) -> Proof {
    Proof {
        promise: name.to_owned(),
        kind: "latency".to_owned(),
        line: None,
        target: "a bound".to_owned(),
        measured: "a figure".to_owned(),
        margin: None,
        requests: 0,
        failed: 0,
        verdict,
        why: String::new(),
        todo: String::new(),
        statement: "Shows one thing; it does not show another.".to_owned(),
        figures: Vec::new(),
        runs: Vec::new(),
        took: Duration::ZERO,
    }
}

/// A report of these.
pub(crate) fn report(proofs: Vec<Proof>) -> Report {
    Report {
        version: 1,
        system: "shop".to_owned(),
        environment: None,
        at: "2026-11-28T12:00:00Z".to_owned(),
        cores: 2,
        seed: 7,
        proofs,
    }
}
