//! Counts of times, from which percentiles are read: 64 buckets to each doubling, so that none is off by more than 1.6 %.

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// Buckets of one doubling.
const PER_DOUBLING: u64 = 64;
/// Below so many nanoseconds all is the same.
const LEAST_NS: u64 = 64;
/// Up to 2^42 ns: 73 minutes.
const BUCKETS: usize = ((42 - 6) * PER_DOUBLING + 1) as usize;

/// A histogram of times.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum_ns: u64,
    max_ns: u64,
}

#[inline]
fn bucket(ns: u64) -> usize {
    let ns = ns.max(LEAST_NS);
    let doublings = ns.ilog2();
    let within = (ns >> (doublings - 6)) & (PER_DOUBLING - 1);
    ((u64::from(doublings - 6) * PER_DOUBLING + within) as usize).min(BUCKETS - 1)
}

/// The smallest time of a bucket.
fn floor(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    (PER_DOUBLING + bucket % PER_DOUBLING) << (bucket / PER_DOUBLING)
}

impl Histogram {
    /// Counts one time in nanoseconds.
    #[inline]
    pub fn add(&mut self, ns: u64) {
        self.add_many(ns, 1);
    }

    /// Counts a time `count` times.
    #[inline]
    pub fn add_many(&mut self, ns: u64, count: u64) {
        self.add_to(bucket(ns), ns, count);
    }

    /// Counts one time here and there.
    #[inline]
    pub(crate) fn add_to_both(&mut self, other: &mut Self, ns: u64) {
        let bucket = bucket(ns);
        self.add_to(bucket, ns, 1);
        other.add_to(bucket, ns, 1);
    }

    #[inline]
    fn add_to(&mut self, bucket: usize, ns: u64, count: u64) {
        if self.counts.is_empty() {
            self.counts = vec![0; BUCKETS];
        }
        self.counts[bucket] += count;
        self.count += count;
        self.sum_ns = self.sum_ns.saturating_add(ns.saturating_mul(count));
        self.max_ns = self.max_ns.max(ns);
    }

    /// Forgets everything; keeps its memory.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        (self.count, self.sum_ns, self.max_ns) = (0, 0, 0);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean in nanoseconds; 0 of nothing.
    #[must_use]
    pub fn mean_ns(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_ns as f64 / self.count as f64 }
    }

    /// The longest, in nanoseconds.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The time that `per_mille` of a thousand stayed within, in nanoseconds; `None` of nothing.
    #[must_use]
    pub fn percentile_ns(&self, per_mille: u64) -> Option<u64> {
        let rank = (self.count * per_mille).div_ceil(1000).max(1);
        let mut below = 0;
        for (bucket, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            if below + count >= rank {
                let (from, to) = (floor(bucket), floor(bucket + 1));
                return Some((from + (to - from) * (rank - below) / count).min(self.max_ns));
            }
            below += count;
        }
        None
    }
}

/// As a summary, in milliseconds.
impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ms = |per_mille| self.percentile_ns(per_mille).map(|ns| (ns / 1000) as f64 / 1e3);
        let mut out = serializer.serialize_struct("Histogram", 7)?;
        out.serialize_field("count", &self.count)?;
        out.serialize_field("meanMs", &((self.mean_ns() / 1e3).round() / 1e3))?;
        out.serialize_field("p50Ms", &ms(500))?;
        out.serialize_field("p95Ms", &ms(950))?;
        out.serialize_field("p99Ms", &ms(990))?;
        out.serialize_field("p999Ms", &ms(999))?;
        out.serialize_field("maxMs", &((self.max_ns / 1000) as f64 / 1e3))?;
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_met_to_two_percent() {
        let mut histogram = Histogram::default();
        (1..=10_000).for_each(|us| histogram.add(us * 1000));
        for (per_mille, want) in [(500, 5e6), (950, 9.5e6), (999, 9.99e6), (1000, 1e7)] {
            let got = histogram.percentile_ns(per_mille).unwrap() as f64;
            assert!((got / want - 1.0).abs() < 0.02, "{per_mille}: {got}");
        }
        assert_eq!(Histogram::default().percentile_ns(500), None);
    }

    #[test]
    fn a_bucket_holds_what_falls_into_it() {
        for ns in [64, 65, 127, 128, 1000, 999_999, 1 << 30, (1 << 41) + 12_345] {
            let own = bucket(ns);
            assert!(floor(own) <= ns && ns < floor(own + 1), "{ns}");
        }
    }
}
