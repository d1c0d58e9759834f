//! What an experiment measured, and the ways in which it is judged.

use super::{LIMITED, LIMITED_TODO};
use crate::proof::{Judgement, Verdict};

/// What was measured, before it is judged.
pub(super) struct Measured {
    text: String,
    margin: Option<f64>,
}

impl Measured {
    /// In words, and how far it is from the bound (a share of it; negative: beyond).
    pub(super) fn new(text: String, margin: Option<f64>) -> Self {
        Self { text, margin }
    }

    pub(super) fn held(self) -> Judgement {
        self.judged(Verdict::Held, String::new(), "")
    }

    pub(super) fn broken(self, why: impl Into<String>) -> Judgement {
        self.judged(Verdict::Broken, why, "")
    }

    pub(super) fn unproven(self, why: impl Into<String>, todo: &str) -> Judgement {
        self.judged(Verdict::Unproven, why, todo)
    }

    /// The service was not whole again in time for all kills.
    pub(super) fn fewer_kills(self, kills: u32, wanted: u32) -> Judgement {
        let why = format!("{kills} of {wanted} kills: the service was not whole again for more");
        self.unproven(why, "see why with `plimsoll events` and `plimsoll status`")
    }

    /// A bad figure that may be the generator's own.
    pub(super) fn limited(self) -> Judgement {
        self.unproven(LIMITED, LIMITED_TODO)
    }

    pub(super) fn nothing_asked(self) -> Judgement {
        self.unproven("nothing was asked", "see the run's figures")
    }

    pub(super) fn judged(self, verdict: Verdict, why: impl Into<String>, todo: &str) -> Judgement {
        Judgement { verdict, measured: self.text, margin: self.margin, why: why.into(), todo: todo.to_owned() }
    }
}
