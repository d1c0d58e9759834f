//! Whether a service has room for one request more: below its limit a replica is chosen, at its limit the request is shed,
//! and where no replica is open it may wait ([`super::hold()`]).
//!
//! Invariant: nothing is shed while a replica is open and there is room.
//! Invariant: no allocation.

use plimsoll_model::route::Limits;

/// What becomes of a request that asks for a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// A replica is chosen for it.
    Choose,
    /// As many are in flight as may be: it is refused at once.
    Full,
    /// No replica is open.
    Nobody,
}

/// How many requests may be in flight to a service of which so many replicas are open.
#[inline]
#[must_use]
pub fn room(limits: &Limits, open: u32) -> u64 {
    u64::from(open).saturating_mul(u64::from(limits.in_flight_max.max(1)))
}

/// Decides about one request: `open` replicas may get it, and `in_flight` requests to the service have no whole answer yet.
#[inline]
#[must_use]
pub fn admit(limits: &Limits, open: u32, in_flight: u32) -> Admission {
    if open == 0 {
        Admission::Nobody
    } else if u64::from(in_flight) >= room(limits, open) {
        Admission::Full
    } else {
        Admission::Choose
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(in_flight_max: u32, open: u32, in_flight: u32, want: Admission) {
        assert_eq!(admit(&Limits { in_flight_max, ..Limits::default() }, open, in_flight), want);
    }

    #[test]
    fn room_grows_with_replicas() {
        check(10, 1, 9, Admission::Choose);
        check(10, 1, 10, Admission::Full);
        check(10, 2, 19, Admission::Choose);
        check(10, 2, 20, Admission::Full);
    }

    #[test]
    fn where_nobody_is_open_nothing_is_shed() {
        check(10, 0, 0, Admission::Nobody);
        check(10, 0, 1000, Admission::Nobody);
    }

    #[test]
    fn a_limit_of_none_is_one() {
        check(0, 1, 0, Admission::Choose);
        check(0, 1, 1, Admission::Full);
    }
}
