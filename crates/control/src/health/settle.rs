//! When a process counts as up that nothing is asked: it has neither a startup nor a readiness probe.
//!
//! A program that can't start (a missing module, a bad setting) works and then ends. One that has started waits: for a
//! moment, for input, for a connection. So a process is looked at a millisecond after its start and then again; it has
//! settled when it and all its descendants wait, and none of them has run for [`QUIET`]. One that is always at work has
//! settled when it has lived for [`LIVED`].
//!
//! Invariant: a process that never waits has not settled before it has lived for [`LIVED`].
//! Invariant: what has settled stays so.

use plimsoll_model::{Instant, Millis};
use serde::{Deserialize, Serialize};

/// Nobody of a process has run for so long: longer than a page from a disk takes, too short to be noticed by a person.
const QUIET: Millis = Millis(5);
/// Who has lived for so long is up, whatever it does (supervisor's `startsecs`).
const LIVED: Millis = Millis(1000);
/// The first look after the start, and the shortest pause between two.
const LOOK_FIRST: Millis = Millis(1);
/// The longest pause between two looks.
const PAUSE_MAX: Millis = Millis(50);

/// What a process and its descendants did when somebody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// When.
    pub at: Instant,
    /// How long all of their threads have run together, in nanoseconds.
    pub ran_ns: u64,
    /// None of their threads runs, wants to run, or waits for a disk.
    pub waits: bool,
}

/// How far a process has settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settle {
    done: bool,
    /// The first of the last looks that all saw the same wait.
    since: Option<Look>,
    /// The last look, or the last time that one was wanted in vain.
    looked_at: Option<Instant>,
}

impl Settle {
    /// What is known of a process that is found running.
    pub(super) fn of_running(was_ready: bool) -> Self {
        Self { done: was_ready, ..Self::default() }
    }

    /// It is up.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// When it is to be looked at again; `None`: never, it has settled.
    #[must_use]
    pub(super) fn again_at(&self, began: Instant) -> Option<Instant> {
        if self.done {
            return None;
        }
        let Some(looked_at) = self.looked_at else { return Some(began.after(LOOK_FIRST)) };
        let age = looked_at.since(began);
        let pause = if self.since.is_some() { QUIET } else { Millis(age.0 / 4).clamp(LOOK_FIRST, PAUSE_MAX) };
        Some(looked_at.after(pause).min(began.after(LIVED)))
    }

    /// Takes in a look, if there was one.
    pub(super) fn take(&mut self, look: Option<Look>, began: Instant, at: Instant) {
        if self.done {
            return;
        }
        let due = self.again_at(began).is_some_and(|due| due <= at);
        if due || look.is_some() {
            self.looked_at = Some(look.map_or(at, |look| look.at));
        }
        if let Some(look) = look {
            let same = self.since.is_some_and(|since| look.waits && since.ran_ns == look.ran_ns);
            if !same {
                self.since = look.waits.then_some(look);
            }
            self.done = self.since.is_some_and(|since| look.at.since(since.at) >= QUIET);
        }
        self.done |= at.since(began) >= LIVED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: Instant = Instant(1_700_000_000_000_000);

    /// Looks whenever one is wanted; when it has settled, in milliseconds after its start.
    fn settles_after(does: impl Fn(u64) -> Option<(u64, bool)>) -> u64 {
        let mut settle = Settle::default();
        let mut at = BEGAN;
        while !settle.is_done() {
            at = settle.again_at(BEGAN).unwrap().max(Instant(at.0 + 1));
            let look = does(at.since(BEGAN).0).map(|(ran_ns, waits)| Look { at, ran_ns, waits });
            settle.take(look, BEGAN, at);
        }
        at.since(BEGAN).0
    }

    #[test]
    fn who_waits_at_once_is_up_after_a_moment() {
        assert_eq!(settles_after(|_| Some((700_000, true))), 6);
    }

    #[test]
    fn who_works_first_is_up_when_it_waits() {
        let took = settles_after(|ms| Some(if ms < 300 { (ms * 1_000_000, false) } else { (300_000_000, true) }));
        assert!((305..=360).contains(&took), "{took}");
    }

    #[test]
    fn who_only_seems_to_wait_is_not_up() {
        // Between two looks it ran, each time.
        assert_eq!(settles_after(|ms| Some((ms * 1_000, true))), 1000);
    }

    #[test]
    fn who_never_waits_or_cannot_be_looked_at_is_up_when_it_has_lived_for_a_second() {
        assert_eq!(settles_after(|ms| Some((ms, false))), 1000);
        assert_eq!(settles_after(|_| None), 1000);
    }

    #[test]
    fn a_busy_start_is_not_looked_at_too_often() {
        let looks = std::cell::Cell::new(0);
        settles_after(|_| {
            looks.set(looks.get() + 1);
            None
        });
        assert!(looks.get() < 50, "{}", looks.get());
    }
}
