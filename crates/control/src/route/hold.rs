//! Whether a request waits for a replica when none can take it: for how long, and how many do.
//!
//! Invariant: at most `held_max` requests of a service wait at a time.
//! Invariant: what is held is answered or refused within `hold`, however often it is woken for nothing.
//! Invariant: what was sent already waits no longer than for its answer.

use plimsoll_model::{Millis, route::Limits};

/// What is seen of a request that finds no replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// How many others of its service wait.
    pub held: u32,
    /// How long it has waited for a replica so far, altogether.
    pub waited: Millis,
    /// How long until its answer is due, if a replica had it already; `None`: none had.
    pub left: Option<Millis>,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It waits for so long at most, and goes on once a replica may take it.
    For(Millis),
    /// Too many wait: it is refused at once.
    Full,
    /// It has waited for long enough, or had its answer to be there by now: it is refused.
    Over,
}

/// Decides about a request that finds no replica.
#[must_use]
pub fn hold(limits: &Limits, seen: &Seen) -> Hold {
    let rest = limits.hold.0.saturating_sub(seen.waited.0);
    let most = seen.left.map_or(rest, |left| left.0.min(rest));
    match () {
        () if most == 0 => Hold::Over,
        () if seen.held >= limits.held_max => Hold::Full,
        () => Hold::For(Millis(most)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Seen = Seen { held: 0, waited: Millis(0), left: None };

    #[track_caller]
    fn check(seen: Seen, want: Hold) {
        assert_eq!(hold(&Limits { hold: Millis(10_000), held_max: 1000, ..Limits::default() }, &seen), want);
    }

    #[test]
    fn the_last_place_is_taken_and_no_more() {
        check(NEW, Hold::For(Millis(10_000)));
        check(Seen { held: 999, ..NEW }, Hold::For(Millis(10_000)));
        check(Seen { held: 1000, ..NEW }, Hold::Full);
    }

    #[test]
    fn what_has_waited_waits_for_the_rest() {
        check(Seen { waited: Millis(9_000), ..NEW }, Hold::For(Millis(1_000)));
        check(Seen { waited: Millis(10_000), ..NEW }, Hold::Over);
        check(Seen { waited: Millis(12_000), held: 1000, ..NEW }, Hold::Over);
    }

    #[test]
    fn what_a_replica_had_waits_no_longer_than_for_its_answer() {
        check(Seen { left: Some(Millis(300)), ..NEW }, Hold::For(Millis(300)));
        check(Seen { left: Some(Millis(60_000)), ..NEW }, Hold::For(Millis(10_000)));
        check(Seen { left: Some(Millis(0)), ..NEW }, Hold::Over);
    }
}
