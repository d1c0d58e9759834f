//! What a run has shown.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::failure::Failure;
use crate::latencies::{Latencies, as_milliseconds, as_seconds};
use crate::record::Record;

/// A start later than this after the intended instant is the generator's own delay, and counted as such.
pub const LATE_AFTER: Duration = Duration::from_millis(10);

/// What a run has shown. Everything but `warm_up_asked` and `warm_up_failed` is without the warm-up.
///
/// Invariant: `asked == right + failed`; `by_status` sums to `answered`; `by_cause` sums to `failed`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Requests that came due.
    pub asked: u64,
    /// Of these, handed to a connection.
    pub sent: u64,
    /// Of these, answered wholly, with whatever status.
    pub answered: u64,
    /// Requests answered with an expected status in time.
    pub right: u64,
    /// Requests that were not: no answer, not in time, or with another status.
    pub failed: u64,
    /// Whole answers, by their status.
    pub by_status: BTreeMap<u16, u64>,
    /// Failures, by their cause in words.
    pub by_cause: BTreeMap<String, u64>,
    /// Failures one by one in order of their intended start, up to the plan's bound; `failed` is the exact count.
    pub failures: Vec<Failure>,
    /// From the **intended** start to the end of the answer, of right answers: a stall of the server shows in every
    /// request that should have started during it. See `latency_at` for quantiles that count failures too.
    pub latency: Latencies,
    /// From the moment when a request was handed to a connection, of right answers. Hides stalls: only for comparison.
    pub service: Latencies,
    /// Right answers a second, over the time until the last had come: a queue that grows is no throughput.
    pub rate_per_s: f64,
    /// How long requests arrived.
    #[serde(rename = "duration_s", serialize_with = "as_seconds")]
    pub duration: Duration,
    /// From the end of the warm-up to the last end of a request.
    #[serde(rename = "ended_after_s", serialize_with = "as_seconds")]
    pub ended_after: Duration,
    /// By kind of request, in the plan's order.
    pub by_request: Vec<RequestFigures>,
    /// By second of the intended start (longer steps in runs of more than an hour); seconds without a request are absent.
    pub series: Vec<Second>,
    /// Moments that the caller marked.
    pub marks: Vec<Mark>,
    /// How well the generator itself did.
    pub generator: Generator,
    /// Requests of the warm-up.
    pub warm_up_asked: u64,
    /// Of these, failed.
    pub warm_up_failed: u64,
    /// The plan's seed.
    pub seed: u64,
}

/// Figures of one kind of request.
#[derive(Debug, Clone, Serialize)]
pub struct RequestFigures {
    /// Method and path, as in the plan.
    pub name: String,
    /// Requests that came due.
    pub asked: u64,
    /// Of these, not answered rightly.
    pub failed: u64,
    /// From the intended start, of right answers.
    pub latency: Latencies,
}

/// Figures of the requests that should have started in one second.
#[derive(Debug, Clone, Serialize)]
pub struct Second {
    /// When it begins, from the end of the warm-up.
    #[serde(rename = "at_s", serialize_with = "as_seconds")]
    pub at: Duration,
    /// Requests that came due.
    pub asked: u64,
    /// Of these, not answered rightly.
    pub failed: u64,
    /// The median of right answers (to 10 %); 0 when there are none.
    #[serde(rename = "p50_ms", serialize_with = "as_milliseconds")]
    pub p50: Duration,
    /// 99 % of right answers stayed at or below it (to 10 %); 0 when there are none.
    #[serde(rename = "p99_ms", serialize_with = "as_milliseconds")]
    pub p99: Duration,
    /// The longest right answer (to 10 %); 0 when there are none.
    #[serde(rename = "max_ms", serialize_with = "as_milliseconds")]
    pub max: Duration,
}

/// A moment that the caller marked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// When, from the end of the warm-up (0 during it).
    #[serde(rename = "at_s", serialize_with = "as_seconds")]
    pub at: Duration,
    /// What happened then.
    pub label: String,
}

/// How well the generator itself did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Generator {
    /// Requests released more than `LATE_AFTER` after their intended start, because the generator got no CPU in time.
    pub late: u64,
    /// The latest release.
    #[serde(rename = "late_most_ms", serialize_with = "as_milliseconds")]
    pub late_most: Duration,
    /// Requests that waited because all `connections_max` connections were busy (a slow server, or too few connections).
    pub waited_for_connection: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Of these, in place of one that the server had closed while it was idle.
    pub reconnects: u64,
    /// CPU time that the workers used.
    #[serde(rename = "cpu_s", serialize_with = "as_seconds")]
    pub cpu: Duration,
    /// Whether the measurement is limited by the generator: more than 1 % of requests were late.
    pub limited: bool,
}

/// What the report needs to know of its plan.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) names: Vec<String>,
    pub(crate) seed: u64,
    pub(crate) step: Duration,
    pub(crate) duration: Duration,
    pub(crate) marks: Vec<Mark>,
}

impl Report {
    pub(crate) fn new(mut record: Record, frame: Frame) -> Report {
        // They were listed as they ended.
        record.failures.sort_by_key(|failure| (failure.at, failure.number));
        let mut latency = Latencies::new();
        record.by_template.iter().for_each(|tally| latency.merge(&tally.latency));
        let asked: u64 = record.by_template.iter().map(|tally| tally.asked).sum();
        let failed: u64 = record.by_template.iter().map(|tally| tally.failed).sum();
        let figures = frame.names.into_iter().zip(record.by_template).map(|(name, tally)| RequestFigures {
            name,
            asked: tally.asked,
            failed: tally.failed,
            latency: tally.latency,
        });
        let series = record.series.iter().map(|(second, moment)| Second {
            at: frame.step.saturating_mul(u32::try_from(*second).unwrap_or(u32::MAX)),
            asked: moment.asked,
            failed: moment.failed,
            p50: moment.latency.at(0.5).unwrap_or_default(),
            p99: moment.latency.at(0.99).unwrap_or_default(),
            max: moment.latency.max().unwrap_or_default(),
        });
        let over = frame.duration.max(record.last_end);
        let right = asked - failed;
        Report {
            asked,
            sent: record.sent,
            answered: record.answered,
            right,
            failed,
            by_status: record.by_status,
            by_cause: record.by_cause,
            failures: record.failures,
            latency,
            service: record.service,
            rate_per_s: if over.is_zero() { 0.0 } else { right as f64 / over.as_secs_f64() },
            duration: frame.duration,
            ended_after: record.last_end,
            by_request: figures.collect(),
            series: series.collect(),
            marks: frame.marks,
            generator: Generator {
                late: record.late,
                late_most: record.late_most,
                waited_for_connection: record.waited_for_connection,
                connections: record.connections,
                reconnects: record.reconnects,
                cpu: record.cpu,
                limited: record.late.saturating_mul(100) > asked + record.warm_up_asked,
            },
            warm_up_asked: record.warm_up_asked,
            warm_up_failed: record.warm_up_failed,
            seed: frame.seed,
        }
    }

    /// The latency that a share `quantile` (0.0..=1.0) of **all asked requests** stayed at or below, a failed request
    /// counting as slower than any other. `None`: so many failed (or none was asked) that there is no such latency.
    pub fn latency_at(&self, quantile: f64) -> Option<Duration> {
        quantile_of_all(&self.latency, self.asked, quantile)
    }
}

impl RequestFigures {
    /// As `Report::latency_at`, for this kind of request.
    pub fn latency_at(&self, quantile: f64) -> Option<Duration> {
        quantile_of_all(&self.latency, self.asked, quantile)
    }
}

fn quantile_of_all(right: &Latencies, asked: u64, quantile: f64) -> Option<Duration> {
    let rank = (quantile.clamp(0.0, 1.0) * asked as f64).max(1.0);
    let share = rank / right.count() as f64;
    // Rounding in the last place must not turn "all of them" into "more than all".
    if share.is_finite() && share <= 1.0 + 1e-12 { right.at(share.min(1.0)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(count: u64) -> Latencies {
        let mut latencies = Latencies::new();
        (1..=count).for_each(|ms| latencies.record(Duration::from_millis(ms)));
        latencies
    }

    #[track_caller]
    fn check(right_count: u64, asked: u64, quantile: f64, want_ms: Option<u64>) {
        let got = quantile_of_all(&right(right_count), asked, quantile);
        let got = got.map(|latency| (latency.as_secs_f64() * 1000.0).round() as u64);
        assert_eq!(got, want_ms);
    }

    #[test]
    fn a_failure_is_slower_than_any_answer() {
        check(95, 100, 0.95, Some(95));
        check(94, 100, 0.95, None);
        check(50, 100, 0.25, Some(25));
    }

    #[test]
    fn without_failures_it_is_the_plain_quantile() {
        check(100, 100, 0.95, Some(95));
        check(100, 100, 1.0, Some(100));
        check(100, 100, 0.0, Some(1));
    }

    #[test]
    fn nothing_asked_has_no_latency() {
        check(0, 0, 0.5, None);
        check(0, 10, 0.5, None);
    }
}
