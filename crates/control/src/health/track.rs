//! The attempts of one probe: when the next one is due, and what a run of equal results amounts to.

use plimsoll_model::{Instant, Millis, probe::Probe};
use serde::{Deserialize, Serialize};

/// What is remembered of one probe of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Track {
    /// The last result that counted.
    last: Option<bool>,
    /// How many equal results that counted came in a row.
    run: u32,
    /// When the next attempt that counts is due; `None` before the first look.
    due: Option<Instant>,
    /// When the last attempt was asked for.
    attempted_at: Option<Instant>,
    /// The last attempt counts if it fails.
    counts: bool,
    /// When the last outcome that was taken in ended.
    outcome_at: Option<Instant>,
}

/// An attempt that is asked for now, and when to ask again if there is none.
pub(super) struct Next {
    pub(super) attempt: bool,
    pub(super) again_at: Instant,
}

impl Track {
    /// Asks for an attempt if one is due. `early`: attempts that do not count are wanted as well.
    pub(super) fn next(&mut self, probe: &Probe, began: Instant, at: Instant, early: bool) -> Next {
        let base = began.after(probe.initial_delay);
        let due = *self.due.get_or_insert_with(|| tick_after(at, base.after(period(probe)), probe));
        let at_latest = if early && self.last != Some(true) { self.early_at(probe, base).min(due) } else { due };
        if at < at_latest {
            return Next { attempt: false, again_at: at_latest };
        }
        self.attempted_at = Some(at);
        self.counts = due <= at;
        let due = tick_after(at, due, probe);
        self.due = Some(due);
        let again_at = if early { self.early_at(probe, base).min(due) } else { due };
        Next { attempt: true, again_at }
    }

    /// Lets ticks go by, as a probe does that another one holds back.
    pub(super) fn hold(&mut self, probe: &Probe, began: Instant, at: Instant) {
        let first = began.after(probe.initial_delay).after(period(probe));
        self.due = Some(tick_after(at, self.due.unwrap_or(first), probe));
    }

    /// Takes in an outcome. `Some`: the threshold of equal results is reached, and this is what holds now.
    pub(super) fn take(&mut self, probe: &Probe, passed: bool, ended_at: Instant) -> Option<bool> {
        let is_ours = self.attempted_at.is_some_and(|asked| ended_at >= asked);
        if !is_ours || self.outcome_at.is_some_and(|known| ended_at <= known) {
            return None;
        }
        self.outcome_at = Some(ended_at);
        if !self.counts {
            if !passed {
                return None;
            }
            self.due = Some(ended_at.after(period(probe)));
        }
        self.run = if self.last == Some(passed) { self.run.saturating_add(1) } else { 1 };
        self.last = Some(passed);
        let threshold = if passed { probe.success_threshold } else { probe.failure_threshold };
        (self.run >= threshold).then_some(passed)
    }

    /// How many equal results that counted came in a row, and which.
    pub(super) fn run(&self) -> (u32, Option<bool>) {
        (self.run, self.last)
    }

    /// A quarter of the age it had at the last attempt after that one; at least 1 ms, at most a period.
    fn early_at(&self, probe: &Probe, base: Instant) -> Instant {
        let Some(last) = self.attempted_at else { return base };
        let quarter = last.0.saturating_sub(base.0) / 4;
        Instant(last.0.saturating_add(quarter.clamp(1000, period(probe).0.saturating_mul(1000))))
    }
}

/// Never 0, so that time goes on whatever is written.
fn period(probe: &Probe) -> Millis {
    Millis(probe.period.0.max(1))
}

/// The first tick later than `at`, ticks being whole periods from `due`.
fn tick_after(at: Instant, due: Instant, probe: &Probe) -> Instant {
    if due > at {
        return due;
    }
    let missed = at.since(due).0 / period(probe).0;
    due.after(Millis(period(probe).0.saturating_mul(missed + 1)))
}
