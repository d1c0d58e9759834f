//! A histogram of durations: from 1 µs to 1 h, each to 0.1 % (or coarser where asked).

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};

const MAX_US: u64 = 3_600_000_000;

/// How long requests took. Durations above one hour count as one hour, below 1 µs as 1 µs.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// An empty histogram that keeps each duration to 0.1 %.
    pub fn new() -> Latencies {
        Latencies::with_digits(3)
    }

    /// An empty histogram that keeps each duration to 10 %, in a few kilobytes.
    pub(crate) fn coarse() -> Latencies {
        Latencies::with_digits(1)
    }

    fn with_digits(digits: u8) -> Latencies {
        #[expect(clippy::expect_used, reason = "the bounds are constants that hdrhistogram accepts")]
        Latencies(Histogram::new_with_bounds(1, MAX_US, digits).expect("1 µs to 1 h is a range"))
    }

    /// Counts one duration.
    pub fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(MAX_US).clamp(1, MAX_US);
        self.0.saturating_record(micros);
    }

    /// Counts all that `other` has counted.
    pub fn merge(&mut self, other: &Latencies) {
        // Can't fail: both have the same bounds, and only the precision may differ.
        let merged = self.0.add(&other.0);
        debug_assert!(merged.is_ok(), "the same bounds");
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The duration that a share `quantile` (0.0..=1.0) of all stayed at or below; `None` when there is none.
    pub fn at(&self, quantile: f64) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_micros(self.0.value_at_quantile(quantile)))
    }

    /// The longest; `None` when there is none.
    pub fn max(&self) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_micros(self.0.max()))
    }

    /// How many took longer than `limit` (to the histogram's precision).
    pub fn above(&self, limit: Duration) -> u64 {
        let micros = u64::try_from(limit.as_micros()).unwrap_or(MAX_US).min(MAX_US);
        self.0.len() - self.0.count_between(0, micros)
    }

    /// The usual figures; `None` when there is no duration.
    pub fn summary(&self) -> Option<Summary> {
        let at = |quantile| self.at(quantile);
        Some(Summary {
            count: self.count(),
            min: Duration::from_micros(self.0.min()),
            mean: Duration::from_secs_f64(self.0.mean() / 1e6),
            p50: at(0.5)?,
            p90: at(0.9)?,
            p95: at(0.95)?,
            p99: at(0.99)?,
            p999: at(0.999)?,
            max: self.max()?,
        })
    }
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies::new()
    }
}

impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.summary().serialize(serializer)
    }
}

/// The usual figures of a histogram; in JSON, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many durations.
    pub count: u64,
    /// The shortest.
    #[serde(rename = "min_ms", serialize_with = "as_milliseconds")]
    pub min: Duration,
    /// The mean.
    #[serde(rename = "mean_ms", serialize_with = "as_milliseconds")]
    pub mean: Duration,
    /// Half stayed at or below it.
    #[serde(rename = "p50_ms", serialize_with = "as_milliseconds")]
    pub p50: Duration,
    /// 90 % stayed at or below it.
    #[serde(rename = "p90_ms", serialize_with = "as_milliseconds")]
    pub p90: Duration,
    /// 95 % stayed at or below it.
    #[serde(rename = "p95_ms", serialize_with = "as_milliseconds")]
    pub p95: Duration,
    /// 99 % stayed at or below it.
    #[serde(rename = "p99_ms", serialize_with = "as_milliseconds")]
    pub p99: Duration,
    /// 99.9 % stayed at or below it.
    #[serde(rename = "p999_ms", serialize_with = "as_milliseconds")]
    pub p999: Duration,
    /// The longest.
    #[serde(rename = "max_ms", serialize_with = "as_milliseconds")]
    pub max: Duration,
}

/// Writes a duration as milliseconds, to the microsecond.
pub(crate) fn as_milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e3)
}

/// Writes a duration as seconds, to the microsecond.
pub(crate) fn as_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hundred() -> Latencies {
        let mut latencies = Latencies::new();
        (1..=100).for_each(|ms| latencies.record(Duration::from_millis(ms)));
        latencies
    }

    #[test]
    fn keeps_quantiles_to_a_thousandth() {
        let p95 = hundred().at(0.95).unwrap().as_secs_f64();
        assert!((0.0949..0.0952).contains(&p95), "{p95}");
        assert_eq!(hundred().count(), 100);
    }

    #[test]
    fn counts_those_above_a_limit() {
        assert_eq!(hundred().above(Duration::from_millis(90)), 10);
        assert_eq!(hundred().above(Duration::ZERO), 100);
        assert_eq!(hundred().above(Duration::from_secs(7200)), 0);
    }

    #[test]
    fn has_no_figures_without_a_duration() {
        assert_eq!(Latencies::new().summary(), None);
        assert_eq!(Latencies::new().at(0.5), None);
    }

    #[test]
    fn bounds_what_it_counts() {
        let mut latencies = Latencies::new();
        latencies.record(Duration::ZERO);
        latencies.record(Duration::MAX);
        assert_eq!(latencies.count(), 2);
    }

    #[test]
    fn merges() {
        let mut all = hundred();
        all.merge(&hundred());
        assert_eq!(all.count(), 200);
    }
}
