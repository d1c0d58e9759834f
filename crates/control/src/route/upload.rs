//! How slowly a client may send a request's body: whoever sends a byte now and then holds a connection and a replica for
//! nothing.
//!
//! Only the time in which the gateway waits for the client counts: a replica that takes a body slowly is not the client's fault.
//!
//! Invariant: a client that keeps to the rate is never too slow, however long its body is.

use plimsoll_model::Millis;

/// What a client has to keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// So long it may be waited for in any case.
    pub grace: Millis,
    /// Each of so many bytes gives it one second more. At least 1.
    pub bytes_per_second: u64,
}

/// What was observed of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// How long the gateway has waited for bytes of it, altogether.
    pub waited: Millis,
    /// How many came.
    pub bytes: u64,
}

/// How long it may be waited for a body of which so many bytes came, altogether.
#[must_use]
pub fn patience(policy: &Policy, bytes: u64) -> Millis {
    let earned = bytes.saturating_mul(1000) / policy.bytes_per_second.max(1);
    Millis(policy.grace.0.saturating_add(earned))
}

/// Whether the request is given up.
#[must_use]
pub fn is_too_slow(policy: &Policy, seen: &Seen) -> bool {
    seen.waited > patience(policy, seen.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { grace: Millis(10_000), bytes_per_second: 240 };

    #[track_caller]
    fn check(waited_ms: u64, bytes: u64, want: bool) {
        assert_eq!(is_too_slow(&POLICY, &Seen { waited: Millis(waited_ms), bytes }), want);
    }

    #[test]
    fn the_grace_is_for_everybody() {
        check(10_000, 0, false);
        check(10_001, 0, true);
    }

    #[test]
    fn whoever_keeps_to_the_rate_is_never_too_slow() {
        for seconds in [1, 60, 86_400, 1 << 40] {
            check(seconds * 1000, seconds * 240, false);
            check(10_000 + seconds * 1000 + 1, seconds * 240, true);
        }
        check(u64::MAX, u64::MAX, true);
    }

    #[test]
    fn more_bytes_are_never_slower() {
        for waited in (0..60_000).step_by(500) {
            let slow = |bytes| is_too_slow(&POLICY, &Seen { waited: Millis(waited), bytes });
            assert!((1..20_000).step_by(97).all(|bytes| slow(bytes - 1) || !slow(bytes)), "{waited}");
        }
    }
}
