//! A new program's engine is on trial: if it does not stay, the engine is started from the former program again.
//!
//! The engine knows best whether an upgrade has worked, but one that can't even start can't tell; so the keeper looks at
//! what it sees anyway, how the engine ends.

use crate::{child::ENGINE, keeper::Keeper};
use plimsoll_wire::keeper::Exit;
use rustix::process::Signal;
use std::{path::PathBuf, time::Duration};

/// So many bad ends of the engine are enough.
const FAILURES: u32 = 3;
/// An engine that was not said to be trusted within this hangs; far longer than one needs, also on a busy machine.
pub(crate) const LONGEST: Duration = Duration::from_secs(120);

/// The way back.
#[derive(Debug)]
pub(crate) struct Trial {
    former: PathBuf,
    failures: u32,
}

impl Trial {
    pub(crate) fn of(former: String) -> Self {
        Self { former: former.into(), failures: 0 }
    }
}

impl Keeper {
    /// The engine ended like that.
    pub(crate) fn judge_engine(&mut self, exit: &Exit) {
        let Some(trial) = &mut self.trial else { return };
        // The former engine leaves its place by ending well.
        if exit.code != Some(0) {
            trial.failures += 1;
        }
        if trial.failures >= FAILURES {
            self.go_back();
        }
    }

    /// The time of the trial is over.
    pub(crate) fn end_trial(&mut self) {
        if self.trial.is_none() {
            return;
        }
        self.go_back();
        if let Some(engine) = self.children.get(ENGINE) {
            engine.signal(Signal::KILL, true, &self.cookie);
        }
    }

    /// From now on the engine is of the former program.
    fn go_back(&mut self) {
        let Some(trial) = self.trial.take() else { return };
        self.note(&format!("the new engine does not stay: going back to {}", trial.former.display()));
        self.program = trial.former;
        let wish = self.engine();
        if let Some(child) = self.children.get_mut(ENGINE) {
            child.record.again = Some(Box::new(wish));
        }
    }
}
