//! The experiments, one for each kind of promise.
//!
//! Each gathers figures and hands them to `judge`; none decides by itself what is good enough.

pub(crate) mod autoscale;
pub(crate) mod availability;
pub(crate) mod concurrency;
pub(crate) mod failover;
pub(crate) mod invariants;
pub(crate) mod latency;
pub(crate) mod releases;
pub(crate) mod rollback;
pub(crate) mod store_failover;
pub(crate) mod survival;
pub(crate) mod throughput;

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_load::Report;
use plimsoll_model::Millis;
use plimsoll_model::promise::Load;

use crate::judge::LatencySeen;
use crate::sample::requests_for_percentile;

/// What the percentiles of a latency promise were in a run.
pub(crate) fn latency_seen(bounds: &BTreeMap<u16, Millis>, report: &Report) -> LatencySeen {
    let at = bounds.keys().map(|tenths| (*tenths, report.latency_at(f64::from(*tenths) / 1000.0)));
    LatencySeen { at: at.collect(), asked: report.asked, limited: report.generator.limited }
}

/// The requests that the highest of some percentiles needs.
pub(crate) fn requests_needed(bounds: &BTreeMap<u16, Millis>) -> u64 {
    bounds.keys().map(|tenths| requests_for_percentile(*tenths)).max().unwrap_or(0)
}

/// Rate and duration for at least `requests` requests: as the promise says, else `usual` a second for `least` or longer,
/// and faster where that would take more than two minutes.
pub(crate) fn pace(load: &Load, usual_per_s: f64, least: Duration, requests: u64) -> (f64, Duration) {
    const LONGEST_S: f64 = 120.0;
    let requests = requests as f64;
    let rate = load.rate.map(|rate| rate.per_second());
    // A little more than needed, since random arrivals may be fewer than expected.
    let spare = 1.1;
    match (rate, load.duration) {
        (Some(rate), Some(duration)) => (rate, duration.as_duration()),
        (None, Some(duration)) => {
            let duration = duration.as_duration();
            (usual_per_s.max((requests * spare / duration.as_secs_f64().max(0.001)).min(1_000.0)), duration)
        }
        (rate, None) => {
            let chosen = rate.unwrap_or_else(|| usual_per_s.max((requests * spare / LONGEST_S).min(1_000.0)));
            let seconds =
                (requests * spare / chosen.max(0.001)).clamp(least.as_secs_f64(), LONGEST_S.max(least.as_secs_f64()));
            (chosen, Duration::from_secs_f64(seconds))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_model::Rate;

    #[track_caller]
    fn check(load: Load, requests: u64, want: (f64, u64)) {
        let (rate, duration) = pace(&load, 100.0, Duration::from_secs(10), requests);
        assert_eq!((rate.round(), duration.as_secs_f64().round() as u64), want);
    }

    #[test]
    fn lasts_as_long_as_it_takes() {
        check(Load::default(), 200, (100.0, 10));
        check(Load::default(), 3_000, (100.0, 33));
        check(Load::default(), 30_000, (275.0, 120));
    }

    #[test]
    fn does_as_the_promise_says() {
        let rate = Some(Rate(50_000));
        check(Load { rate, ..Load::default() }, 1_000, (50.0, 22));
        check(Load { rate, duration: Some(Millis(5_000)), ..Load::default() }, 1_000, (50.0, 5));
        check(Load { duration: Some(Millis(5_000)), ..Load::default() }, 1_000, (220.0, 5));
    }
}
