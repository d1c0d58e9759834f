//! How much may be tried again: a share of the requests, and a few a second in any case, so that retries help when one
//! replica fails and never become a storm when all do.
//!
//! Invariant: over any second, retries ≤ `retry_percent` of the requests of that second and the one before + 2 × `retry_floor`.

use plimsoll_model::{Millis, route::Resilience};

/// A thousandth of a retry: what the allowance is counted in.
pub const MILLI: u64 = 1000;

/// What is seen when the allowance is filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What is left of it, in thousandths of a retry.
    pub left: u64,
    /// Requests (not counting retries) since it was last filled up.
    pub requests: u64,
    /// How long ago that was.
    pub elapsed: Millis,
}

/// The allowance before the first request, in thousandths of a retry: what is allowed in any second.
#[must_use]
pub fn start(policy: &Resilience) -> u64 {
    u64::from(policy.retry_floor) * MILLI
}

/// The new allowance, in thousandths of a retry. It never holds more than one second earns at the pace that was seen.
#[must_use]
pub fn refill(policy: &Resilience, seen: Seen) -> u64 {
    let floor = u64::from(policy.retry_floor);
    let percent = u64::from(policy.retry_percent);
    let elapsed = seen.elapsed.0.max(1);
    let earned = floor.saturating_mul(elapsed).saturating_add(seen.requests.saturating_mul(percent * MILLI / 100));
    let a_second = seen.requests.saturating_mul(1000) / elapsed;
    let most = floor.saturating_mul(MILLI).saturating_add(a_second.saturating_mul(percent * MILLI / 100));
    seen.left.saturating_add(earned).min(most)
}

/// What is left when one retry is taken; `None`: there is none to be taken. Both in thousandths of a retry.
#[inline]
#[must_use]
pub fn take(left: u64) -> Option<u64> {
    left.checked_sub(MILLI)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(left: u64, requests: u64, elapsed_ms: u64, want: u64) {
        let seen = Seen { left, requests, elapsed: Millis(elapsed_ms) };
        assert_eq!(refill(&Resilience::default(), seen), want);
    }

    #[test]
    fn the_floor_comes_back_in_a_second() {
        check(0, 0, 1000, 10_000);
        check(0, 0, 100, 1000);
        check(10_000, 0, 5000, 10_000);
    }

    #[test]
    fn requests_earn_their_share() {
        check(0, 1000, 1000, 210_000);
        check(500_000, 1000, 1000, 210_000);
    }
}
