//! How strongly counts speak against "nothing is wrong", at any time and as often as one looks.
//!
//! Source: the sequential probability ratio test (Wald 1945), over several alternatives at once; by Ville's inequality
//! the ratio exceeds 1/α with a probability of at most α if nothing is wrong, however often it is looked at.
//! Only `+ − × ÷`: powers are products, so that the same counts give the same ratio on every machine.

use serde::{Deserialize, Serialize};

/// The ratio is never kept below this, so that a version that turns bad late is still found: at the price of two more
/// decades of evidence for every new beginning.
const FLOOR: f64 = 0.01;
/// Nor above this: it has long spoken.
const CEILING: f64 = 1e12;
/// Alternatives that are weighed at once.
const ALTERNATIVES: usize = 3;

/// Likelihood ratios, one for each alternative; 1 says nothing. Written down bit by bit: a decimal that is read back can be
/// off by the last bit, and a replay would decide otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "[u64; ALTERNATIVES]", into = "[u64; ALTERNATIVES]")]
pub struct Evidence([f64; ALTERNATIVES]);

impl Default for Evidence {
    fn default() -> Self {
        Self([1.0; ALTERNATIVES])
    }
}

impl From<[u64; ALTERNATIVES]> for Evidence {
    /// Bits that no ratio can have (NaN, an infinity, out of range) are read as the nearest that one can.
    fn from(bits: [u64; ALTERNATIVES]) -> Self {
        Self(bits.map(|bits| {
            let ratio = f64::from_bits(bits);
            if ratio.is_nan() { 1.0 } else { ratio.clamp(FLOOR, CEILING) }
        }))
    }
}

impl From<Evidence> for [u64; ALTERNATIVES] {
    fn from(evidence: Evidence) -> Self {
        evidence.0.map(f64::to_bits)
    }
}

impl Evidence {
    /// How much likelier the counts are if something is wrong.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.0.iter().sum::<f64>() / ALTERNATIVES as f64
    }

    /// Takes in events that happen with the chance `fine` if nothing is wrong and `wrong` (by alternative) if something
    /// is: so many `hits` and `misses`. Chances of 0 and 1 say nothing and change nothing.
    pub fn take(&mut self, fine: f64, wrong: [f64; ALTERNATIVES], (hits, misses): (u64, u64)) {
        for (ratio, wrong) in self.0.iter_mut().zip(wrong) {
            let possible = |chance: f64| chance > 0.0 && chance < 1.0;
            if possible(fine) && possible(wrong) {
                let change = power(wrong / fine, hits) * power((1.0 - wrong) / (1.0 - fine), misses);
                *ratio = (*ratio * change).clamp(FLOOR, CEILING);
            }
        }
    }
}

/// `base` to the power of `count`, by squaring; held away from 0 and infinity so that two of them can be multiplied.
fn power(mut base: f64, mut count: u64) -> f64 {
    let held = |number: f64| number.clamp(1e-100, 1e100);
    let mut result = 1.0;
    while count > 0 {
        if count & 1 == 1 {
            result = held(result * base);
        }
        base = held(base * base);
        count >>= 1;
    }
    result
}

/// Takes in errors of the new version beside those of the old one in the same span of time: if both fail equally often,
/// an error is the new one's with the chance of its share of requests.
pub fn compare(evidence: &mut Evidence, (new_requests, old_requests): (u64, u64), errors: (u64, u64)) {
    let (new, old) = (new_requests as f64, old_requests as f64);
    if new_requests == 0 || old_requests == 0 {
        return;
    }
    let share = |times: f64| times * new / (times * new + old);
    evidence.take(share(1.0), [2.0, 5.0, 20.0].map(share), errors);
}

/// Takes in how often something happened that may happen with the chance `most` at most.
pub fn exceed(evidence: &mut Evidence, most: f64, (hits, misses): (u64, u64)) {
    let worse = |times: f64| (most * times).min(1.0 - (1.0 - most) / (times * 2.0));
    evidence.take(most, [1.5, 3.0, 10.0].map(worse), (hits, misses));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_is_the_product() {
        assert!((power(1.5, 7) - 17.085_937_5).abs() < 1e-9);
        assert!((power(0.5, 0) - 1.0).abs() < f64::EPSILON);
        assert!(power(0.5, u64::MAX) > 0.0 && power(2.0, u64::MAX).is_finite());
    }

    #[test]
    fn equal_errors_say_nothing_and_more_errors_speak() {
        let mut same = Evidence::default();
        compare(&mut same, (1000, 1000), (10, 10));
        assert!(same.ratio() < 1.0);
        let mut worse = Evidence::default();
        compare(&mut worse, (1000, 1000), (20, 2));
        assert!(worse.ratio() > 500.0, "{}", worse.ratio());
    }

    #[test]
    fn without_the_other_side_nothing_is_said() {
        let mut evidence = Evidence::default();
        compare(&mut evidence, (100, 0), (50, 0));
        assert_eq!(evidence, Evidence::default());
    }

    #[test]
    fn every_alternative_is_worse_than_the_limit_and_a_chance() {
        for most in [0.0001, 0.01, 0.05, 0.5, 0.9] {
            let mut evidence = Evidence::default();
            exceed(&mut evidence, most, (200, 0));
            assert!(evidence.ratio() > 1000.0, "{most}");
        }
    }
}
