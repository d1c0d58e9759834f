//! Whether a request that failed on one replica is tried on another one.
//!
//! What was never sent costs nothing to try again: a replica that can't be connected to has nothing to do for it. What was
//! sent is sent again only if doing it twice is as doing it once, and only under the allowance of [`super::budget`].
//!
//! Invariant: a request that may have been acted on is sent again only if it is repeatable.
//! Invariant: of one request, at most `tries_max` tries are sent, and at most [`TRIED_MAX`] replicas are tried at all.
//! Invariant: what took too long is not tried again: its client has waited long enough.

use plimsoll_model::route::Resilience;

/// More replicas are not tried for one request.
pub const TRIED_MAX: usize = 8;

/// Bodies of idempotent requests up to this are read first, so that they can be sent again. In bytes.
pub const REPEATABLE_MAX: u64 = 64 * 1024;

/// Whether doing it twice is as doing it once: RFC 9110 §9.2.2. TRACE is not served.
#[inline]
#[must_use]
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE")
}

/// Whether an answer with that status tells of a replica that fails, and not of an application that says no.
#[inline]
#[must_use]
pub fn is_failing(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// How one try ended, if not with an answer for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// No connection stood: nothing of the request went out.
    Unsent,
    /// It may have been acted on, and no answer came: the connection ended, or what came was none.
    Broken,
    /// The answer says that the replica fails ([`is_failing`]).
    Failing,
    /// No answer came in time.
    Late,
    /// It was not the replica's fault, but the client's or the gateway's own.
    Elsewhere,
}

/// What is seen when a try has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// How.
    pub failed: Failed,
    /// How many replicas it was tried on, this one included.
    pub tried: usize,
    /// At how many of them it was sent, this time included unless it was [`Failed::Unsent`].
    pub sent: u32,
    /// It may be sent again although it was sent: it is idempotent, and its body is there.
    pub repeatable: bool,
    /// Nothing of its body is gone.
    pub whole: bool,
    /// Another replica, which was not tried, could take it now.
    pub other: bool,
}

/// Whether it is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It is not: the client gets what there is.
    No,
    /// It is.
    Free,
    /// It is, if one can be taken from the allowance ([`super::budget::take`]).
    Allowed,
}

/// Decides about a request whose try has failed.
#[must_use]
pub fn again(policy: &Resilience, seen: &Seen) -> Again {
    let may_send = seen.repeatable && seen.sent < u32::from(policy.tries_max);
    match seen.failed {
        _ if seen.tried >= TRIED_MAX => Again::No,
        Failed::Unsent if seen.whole => Again::Free,
        Failed::Broken if may_send => Again::Allowed,
        // An answer that is there is thrown away only for somebody who may do better.
        Failed::Failing if may_send && seen.other => Again::Allowed,
        _ => Again::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Seen = Seen { failed: Failed::Broken, tried: 1, sent: 1, repeatable: true, whole: true, other: true };

    #[track_caller]
    fn check(seen: Seen, want: Again) {
        assert_eq!(again(&Resilience::default(), &seen), want);
    }

    #[test]
    fn what_was_never_sent_costs_nothing() {
        let refused = Seen { failed: Failed::Unsent, sent: 0, ..FIRST };
        check(refused, Again::Free);
        check(Seen { repeatable: false, ..refused }, Again::Free);
        check(Seen { tried: 7, ..refused }, Again::Free);
        check(Seen { tried: 8, ..refused }, Again::No);
        check(Seen { whole: false, ..refused }, Again::No);
    }

    #[test]
    fn what_was_sent_is_sent_three_times_at_most() {
        check(FIRST, Again::Allowed);
        check(Seen { tried: 2, sent: 2, ..FIRST }, Again::Allowed);
        check(Seen { tried: 3, sent: 3, ..FIRST }, Again::No);
        check(Seen { repeatable: false, ..FIRST }, Again::No);
    }

    #[test]
    fn an_answer_is_thrown_away_only_if_there_is_somebody_else() {
        check(Seen { failed: Failed::Failing, ..FIRST }, Again::Allowed);
        check(Seen { failed: Failed::Failing, other: false, ..FIRST }, Again::No);
        check(Seen { other: false, ..FIRST }, Again::Allowed);
    }

    #[test]
    fn what_took_too_long_or_is_not_the_replicas_fault_is_not_tried_again() {
        check(Seen { failed: Failed::Late, ..FIRST }, Again::No);
        check(Seen { failed: Failed::Elsewhere, ..FIRST }, Again::No);
    }

    #[test]
    fn methods_that_change_something_each_time_are_not_idempotent() {
        assert!(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"].into_iter().all(is_idempotent));
        assert!(!["POST", "PATCH", "CONNECT", "get", ""].into_iter().any(is_idempotent));
    }

    #[test]
    fn an_error_of_the_application_is_none_of_the_replica() {
        assert!([502, 503, 504].into_iter().all(is_failing));
        assert!(![200, 404, 429, 500, 501, 505].into_iter().any(is_failing));
    }
}
