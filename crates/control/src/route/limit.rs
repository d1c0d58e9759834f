//! Rate limits: the generic cell rate algorithm, which is a token bucket that remembers one number.
//!
//! Invariant: in any span of time `t`, at most `requests + t × requests / per` requests are allowed, and a bit less than one
//! more for rounding.

use plimsoll_model::{Instant, route::RateLimit};
use serde::{Deserialize, Serialize};

/// What is remembered of one client: the moment at which its bucket is full again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Memory(pub Instant);

/// Whether a request may go on, and what its client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// It may.
    pub allowed: bool,
    /// How many more may follow at once.
    pub remaining: u32,
    /// Until one more may follow, in microseconds; 0 if one may at once.
    pub retry_after_us: u64,
    /// Until everything may be used again, in microseconds.
    pub reset_after_us: u64,
}

/// Decides about one request at `at`, and remembers it if it is allowed.
#[must_use]
pub fn limit(policy: &RateLimit, memory: &mut Memory, at: Instant) -> Verdict {
    let requests = u64::from(policy.requests.max(1));
    let per_us = policy.per.0.max(1).saturating_mul(1000);
    // At least a microsecond: more than a million requests a second are not told apart.
    let spacing = (per_us / requests).max(1);
    let full = spacing.saturating_mul(requests);
    let used = memory.0.0.saturating_sub(at.0).min(full);
    let after = used + spacing;
    if after > full {
        return Verdict { allowed: false, remaining: 0, retry_after_us: after - full, reset_after_us: used };
    }
    *memory = Memory(Instant(at.0.saturating_add(after)));
    let remaining = u32::try_from((full - after) / spacing).unwrap_or(u32::MAX);
    let retry_after_us = if remaining > 0 { 0 } else { (after + spacing).saturating_sub(full) };
    Verdict { allowed: true, remaining, retry_after_us, reset_after_us: after }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_model::{Millis, route::LimitBy};

    fn policy(requests: u32, per_ms: u64) -> RateLimit {
        RateLimit { requests, per: Millis(per_ms), by: LimitBy::Client }
    }

    #[test]
    fn a_burst_of_the_whole_is_allowed_and_no_more() {
        let mut memory = Memory::default();
        let at = Instant(5_000_000);
        let allowed = (0..20).filter(|_| limit(&policy(10, 1000), &mut memory, at).allowed).count();
        assert_eq!(allowed, 10);
        let refused = limit(&policy(10, 1000), &mut memory, at);
        assert_eq!((refused.allowed, refused.retry_after_us, refused.reset_after_us), (false, 100_000, 1_000_000));
        let later = limit(&policy(10, 1000), &mut memory, Instant(5_100_000));
        assert!(later.allowed && later.remaining == 0);
    }

    #[test]
    fn a_client_that_waits_has_everything_again() {
        let mut memory = Memory::default();
        for _ in 0..10 {
            let _ = limit(&policy(10, 1000), &mut memory, Instant(0));
        }
        assert_eq!(limit(&policy(10, 1000), &mut memory, Instant(9_000_000)).remaining, 9);
    }
}
