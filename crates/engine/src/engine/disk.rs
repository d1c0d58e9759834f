//! A disk that refuses what is decided: told, tried again, and told when it takes it.

use super::{Engine, turning::Wake};
use plimsoll_control::disk::{self, News, Seen};
use plimsoll_model::Instant;

impl Engine {
    /// Decides about the disk, and does it.
    pub(super) fn watch_disk(&mut self, now: Instant, wake: &mut Wake) {
        let mut decision = disk::decide(&mut self.disk, &Seen { at: now, refuses: self.record.trouble.is_some() });
        if decision.write && self.record.rewrite().is_ok() {
            decision = disk::decide(&mut self.disk, &Seen { at: now, refuses: false });
        }
        wake.at(decision.again_at);
        match decision.news {
            Some(News::Refuses) => {
                let why = self.record.trouble.clone().unwrap_or_default();
                let message = format!("what is decided can't be written down, and changes are refused: {why}");
                self.tell("system", "DiskRefuses", &message, true);
            }
            Some(News::Takes) => {
                self.recorder.try_again();
                let message = "what is decided is written down again, with all that could not be meanwhile";
                self.tell("system", "DiskRecovered", message, false);
            }
            None => {}
        }
    }
}
