//! How much a sample says: bounds on a failure rate, and how many requests a percentile needs.
//!
//! Invariant: everything here is a pure function of counts.

/// Observations that must lie beyond a percentile before it's more than the luck of a few.
const BEYOND: f64 = 10.0;

/// The rate that the true failure rate lies below with 95 % confidence, when `failed` of `asked` failed (the Poisson
/// bound; with no failure it's the rule of three, `3 / asked`). 1.0 when nothing was asked.
pub fn failure_rate_below(failed: u64, asked: u64) -> f64 {
    if asked == 0 {
        return 1.0;
    }
    // Looks for the mean at which so few failures would be seen only once in 20 times.
    let (mut low, mut high) = (failed as f64, failed as f64 + 10.0 + 5.0 * (failed as f64).sqrt());
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if at_most(failed, middle) > 0.05 { low = middle } else { high = middle }
    }
    (high / asked as f64).min(1.0)
}

/// The probability of at most `count` events where `mean` are expected (Poisson).
fn at_most(count: u64, mean: f64) -> f64 {
    // In logarithms, so that large means don't vanish.
    let mut term_ln = -mean;
    let mut sum = term_ln.exp();
    for k in 1..=count {
        term_ln += mean.ln() - (k as f64).ln();
        sum += term_ln.exp();
    }
    sum
}

/// How many requests without a failure show that the failure rate is below `rate`, with 95 % confidence.
pub fn requests_for_rate(rate: f64) -> u64 {
    if rate <= 0.0 { u64::MAX } else { (3.0 / rate - 1e-9).ceil() as u64 }
}

/// How many requests a percentile needs (in tenths: 950 is p95), so that ten lie beyond it.
pub fn requests_for_percentile(tenths: u16) -> u64 {
    let beyond = f64::from(1000_u16.saturating_sub(tenths).max(1)) / 1000.0;
    // The tiny subtraction undoes what binary fractions add to whole results.
    (BEYOND / beyond - 1e-9).ceil() as u64
}

/// A percentile as people write it: `p95`, `p99.9`.
pub(crate) fn percentile_name(tenths: u16) -> String {
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("p{whole}"),
        (whole, rest) => format!("p{whole}.{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(failed: u64, asked: u64, want: f64) {
        let got = failure_rate_below(failed, asked);
        assert!((got - want).abs() <= want * 0.002, "{failed} of {asked}: {got}, not {want}");
    }

    #[test]
    fn no_failure_is_the_rule_of_three() {
        check(0, 1000, 2.9957 / 1000.0);
    }

    #[test]
    fn failures_widen_the_bound_as_the_tables_say() {
        check(1, 1000, 4.7439 / 1000.0);
        check(5, 1000, 10.5130 / 1000.0);
        check(100, 100_000, 118.08 / 100_000.0);
    }

    #[test]
    fn many_failures_are_no_trouble() {
        let bound = failure_rate_below(50_000, 100_000);
        assert!((0.5..0.51).contains(&bound), "{bound}");
        assert_eq!(failure_rate_below(10, 10), 1.0);
        assert_eq!(failure_rate_below(0, 0), 1.0);
    }

    #[test]
    fn a_percentile_needs_ten_beyond_it() {
        assert_eq!([500, 950, 990, 999].map(requests_for_percentile), [20, 200, 1_000, 10_000]);
    }

    #[test]
    fn a_rate_needs_three_over_it() {
        assert_eq!(requests_for_rate(0.001), 3_000);
        assert_eq!(requests_for_rate(0.0), u64::MAX);
    }

    #[test]
    fn percentiles_are_named_as_people_write_them() {
        assert_eq!([950, 999].map(percentile_name), ["p95", "p99.9"]);
    }
}
