//! A histogram whose samples fade: each half-life they count half.
//!
//! Source: `util/histogram.go` and `util/decaying_histogram.go` of the Vertical Pod Autoscaler: buckets that grow by 5 %,
//! and instead of old samples becoming lighter, new ones weigh more, until all weights are scaled down together.
//! Invariant: only `+ − × ÷ √`, in a fixed order: the same on every machine.

use plimsoll_model::{Instant, Millis};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Each bucket is wider than the one before by this.
const RATIO: f64 = 1.05;
/// Less than this weight is nothing.
const EPSILON: f64 = 0.0001;
/// New samples may weigh so many doublings more than the reference; then all weights are scaled down.
const DOUBLINGS_MAX: u64 = 100;

/// Where buckets begin.
#[derive(Debug, Clone)]
pub struct Buckets {
    starts: Vec<f64>,
}

impl Buckets {
    /// From 0 on, the first bucket so wide, until one begins at or beyond `most`.
    #[must_use]
    pub fn new(first: f64, most: f64) -> Self {
        let (mut starts, mut width) = (vec![0.0], first);
        while let Some(last) = starts.last().copied().filter(|last| *last < most) {
            starts.push(last + width);
            width *= RATIO;
        }
        Self { starts }
    }

    /// Of processors: the first a thousandth, up to 1000.
    #[must_use]
    pub fn cpu() -> Self {
        Self::new(0.001, 1000.0)
    }

    /// Of bytes: the first 10 MB, up to 1 TB.
    #[must_use]
    pub fn memory() -> Self {
        Self::new(1e7, 1e12)
    }

    fn find(&self, value: f64) -> usize {
        self.starts.partition_point(|start| *start <= value).saturating_sub(1)
    }

    /// The end of a bucket; the last one has none, so its beginning stands for it.
    fn end(&self, bucket: usize) -> f64 {
        let last = self.starts.len().saturating_sub(1);
        self.starts.get(bucket.saturating_add(1).min(last)).copied().unwrap_or(0.0)
    }
}

/// Weights by bucket.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Histogram {
    weights: BTreeMap<usize, f64>,
    /// A sample of this moment weighs what it says.
    reference: Option<Instant>,
}

impl Histogram {
    /// Adds a value with a weight, seen at a moment; the half-life must be the same every time.
    pub fn add(&mut self, buckets: &Buckets, (value, weight): (f64, f64), (at, half_life): (Instant, Millis)) {
        let factor = self.factor(at, half_life);
        *self.weights.entry(buckets.find(value)).or_default() += weight * factor;
    }

    /// Takes a value out again, as it was added.
    pub fn remove(&mut self, buckets: &Buckets, (value, weight): (f64, f64), (at, half_life): (Instant, Millis)) {
        let factor = self.factor(at, half_life);
        let bucket = buckets.find(value);
        if let Some(known) = self.weights.get_mut(&bucket) {
            *known -= weight * factor;
        }
        self.weights.retain(|_, weight| *weight >= EPSILON);
    }

    /// The end of the bucket up to which this share of the weight lies; `None`: there is none.
    #[must_use]
    pub fn percentile(&self, buckets: &Buckets, share: f64) -> Option<f64> {
        let total: f64 = self.weights.values().sum();
        let threshold = share * total;
        let mut sum = 0.0;
        for (bucket, weight) in &self.weights {
            sum += weight;
            if sum >= threshold {
                return Some(buckets.end(*bucket));
            }
        }
        self.weights.last_key_value().map(|(bucket, _)| buckets.end(*bucket))
    }

    /// How much more a sample of this moment weighs than one of the reference.
    fn factor(&mut self, at: Instant, half_life: Millis) -> f64 {
        let half_life_us = half_life.0.max(1) * 1000;
        let reference = *self.reference.get_or_insert(at);
        let ahead = at.0.saturating_sub(reference.0);
        if ahead / half_life_us > DOUBLINGS_MAX {
            let doublings = ahead / half_life_us;
            let scale = 1.0 / power(doublings.saturating_mul(STEPS));
            self.weights.values_mut().for_each(|weight| *weight *= scale);
            self.weights.retain(|_, weight| *weight >= EPSILON);
            self.reference = Some(Instant(reference.0 + doublings * half_life_us));
            return power((ahead % half_life_us) * STEPS / half_life_us);
        }
        if at < reference {
            let behind = reference.0 - at.0;
            return 1.0 / power(steps(behind, half_life_us));
        }
        power(steps(ahead, half_life_us))
    }
}

/// Steps of one doubling.
const STEPS: u64 = 1024;

/// A time in steps; very long ones saturate.
fn steps(us: u64, half_life_us: u64) -> u64 {
    (us / half_life_us).min(1000) * STEPS + (us % half_life_us) * STEPS / half_life_us
}

/// 2 to the `steps / 1024`, by square roots of 2 only.
fn power(steps: u64) -> f64 {
    let (whole, mut rest) = (steps / STEPS, steps % STEPS);
    let mut result = 1.0;
    for _ in 0..whole.min(1000) {
        result *= 2.0;
    }
    let (mut root, mut bit) = (2.0_f64.sqrt(), STEPS / 2);
    while rest > 0 {
        if rest >= bit {
            result *= root;
            rest -= bit;
        }
        root = root.sqrt();
        bit /= 2;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_right_in_between() {
        let root = 2.0_f64.sqrt();
        for (steps, want) in [(0, 1.0), (512, root), (1024, 2.0), (1536, 2.0 * root), (10_240, 1024.0)] {
            assert!((power(steps) - want).abs() < 1e-6, "{steps}: {}", power(steps));
        }
    }

    #[test]
    fn buckets_grow_by_a_twentieth_and_reach_the_most() {
        let buckets = Buckets::memory();
        assert_eq!((buckets.find(0.0), buckets.find(9.99e6), buckets.find(1e7)), (0, 0, 1));
        assert!((buckets.end(1) - 2.05e7).abs() < 1.0);
        // As many as the Vertical Pod Autoscaler has.
        assert_eq!(buckets.starts.len(), 176);
        assert_eq!(buckets.end(10_000), buckets.starts[175]);
    }

    #[test]
    fn a_half_life_counts_half() {
        let (buckets, day) = (Buckets::new(1.0, 100.0), Millis::from_secs(86_400));
        let mut histogram = Histogram::default();
        let at = |days: u64| Instant(days * 86_400_000_000);
        for _ in 0..3 {
            histogram.add(&buckets, (10.0, 1.0), (at(0), day));
        }
        histogram.add(&buckets, (50.0, 1.0), (at(1), day));
        // Three old ones against one that counts double: 3 of 5.
        assert!(histogram.percentile(&buckets, 0.59).unwrap() < 12.0);
        assert!(histogram.percentile(&buckets, 0.61).unwrap() > 50.0);
    }

    #[test]
    fn a_year_later_only_what_is_new_counts() {
        let (buckets, day) = (Buckets::new(1.0, 100.0), Millis::from_secs(86_400));
        let mut histogram = Histogram::default();
        histogram.add(&buckets, (50.0, 1000.0), (Instant(0), day));
        histogram.add(&buckets, (10.0, 1.0), (Instant(365 * 86_400_000_000), day));
        assert!(histogram.percentile(&buckets, 0.99).unwrap() < 12.0);
    }
}
