//! How long answers took: a histogram, and the test that tells whether one version is slower than another.
//!
//! Source: the Mann-Whitney U test with correction for ties, as Kayenta uses it: the old version's times are first
//! stretched by a tolerance, so that only a difference that matters can be found.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts by latency, eight buckets to each doubling: no value is off by more than an eighth.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Latencies(BTreeMap<u16, u64>);

/// The bucket of a latency in microseconds.
fn bucket(us: u64) -> u16 {
    let us = us.max(8);
    let doublings = us.ilog2();
    (doublings * 8) as u16 + ((us >> (doublings - 3)) & 7) as u16
}

/// The smallest latency of a bucket, in microseconds.
fn floor(bucket: u16) -> u64 {
    u64::from(8 + bucket % 8) << (bucket / 8 - 3)
}

/// The middle of a bucket.
fn middle(bucket: u16) -> u64 {
    (floor(bucket) + floor(bucket + 1)) / 2
}

impl Latencies {
    /// Counts `count` answers that took `us` microseconds.
    pub fn add(&mut self, us: u64, count: u64) {
        // Above 2^40 µs (12 days) all is the same.
        *self.0.entry(bucket(us.min(1 << 40))).or_default() += count;
    }

    /// Counts all of `other` too.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            *self.0.entry(*bucket).or_default() += count;
        }
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// How many surely took longer than `us` microseconds.
    #[must_use]
    pub fn longer_than(&self, us: u64) -> u64 {
        self.0.iter().filter(|(bucket, _)| floor(**bucket) > us).map(|(_, count)| count).sum()
    }

    /// The latency in microseconds that `percent` of the answers stayed within; None when nothing was counted.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let rank = (self.count() * percent).div_ceil(100).max(1);
        let mut below = 0;
        self.0.iter().find_map(|(bucket, count)| {
            below += count;
            (below >= rank).then(|| floor(bucket + 1))
        })
    }

    /// Buckets and counts, in order, with every latency `percent` of what it was.
    fn stretched(&self, percent: u64) -> Vec<(u16, u64)> {
        let mut all: Vec<(u16, u64)> = Vec::with_capacity(self.0.len());
        for (own, count) in &self.0 {
            let moved = bucket(middle(*own) * percent / 100);
            match all.last_mut().filter(|(last, _)| *last == moved) {
                Some((_, sum)) => *sum += count,
                None => all.push((moved, *count)),
            }
        }
        all
    }
}

/// By how many standard deviations `new` is slower than `old` stretched to `percent`; None when one of them is empty or
/// all values are equal. 3.1 or more happens by chance once in a thousand.
#[must_use]
pub fn slower(new: &Latencies, old: &Latencies, percent: u64) -> Option<f64> {
    let (news, olds) = (new.count() as f64, old.count() as f64);
    if news == 0.0 || olds == 0.0 {
        return None;
    }
    let stretched = old.stretched(percent);
    let (mut mine, mut theirs) = (new.0.iter().peekable(), stretched.iter().peekable());
    let (mut below, mut wins, mut ties) = (0.0, 0.0, 0.0);
    while let Some(next) = mine.peek().map(|one| *one.0).into_iter().chain(theirs.peek().map(|one| one.0)).min() {
        let mine = mine.next_if(|one| *one.0 == next).map_or(0.0, |one| *one.1 as f64);
        let theirs = theirs.next_if(|one| one.0 == next).map_or(0.0, |one| one.1 as f64);
        wins += mine * (below + theirs / 2.0);
        below += theirs;
        let tied = mine + theirs;
        ties += tied * tied * tied - tied;
    }
    let all = news + olds;
    let variance = news * olds / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    (variance > 0.0).then(|| (wins - news * olds / 2.0) / variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(list: &[u64]) -> Latencies {
        let mut latencies = Latencies::default();
        list.iter().for_each(|us| latencies.add(*us, 1));
        latencies
    }

    #[test]
    fn a_bucket_holds_what_falls_into_it() {
        for us in [8, 9, 15, 16, 17, 100, 999, 1000, 1023, 1024, 1_000_000, (1 << 40) - 1] {
            let own = bucket(us);
            assert!(floor(own) <= us && us < floor(own + 1), "{us}");
        }
    }

    #[test]
    fn a_percentile_is_not_below_the_true_one() {
        let latencies = times(&(1..=100).map(|ms| ms * 1000).collect::<Vec<_>>());
        let p95 = latencies.percentile(95).unwrap();
        assert!((95_000..=107_000).contains(&p95), "{p95}");
        assert_eq!(Latencies::default().percentile(95), None);
    }

    #[test]
    fn twice_as_slow_is_found_and_the_same_is_not() {
        let old = times(&(0..200).map(|step| 10_000 + step * 100).collect::<Vec<_>>());
        let new = times(&(0..50).map(|step| 2 * (10_000 + step * 400)).collect::<Vec<_>>());
        assert!(slower(&new, &old, 125).unwrap() > 6.0);
        assert!(slower(&old, &old, 125).unwrap() < -3.0);
        assert_eq!(slower(&new, &Latencies::default(), 125), None);
    }
}
