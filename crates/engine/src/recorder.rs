//! The flight recorder of this engine. It is opened when there is something to record: opening it waits for the disk
//! several times, and a system that starts, without autoscaling, has nothing to record.

use plimsoll_control::{
    account::{Autoscale, Rollout},
    autoscale, rollout,
};
use plimsoll_journal::{JournalError, flight::Flight};
use std::path::Path;

/// The recorder, as far as it is needed.
#[derive(Default)]
pub(crate) enum Recorder {
    /// Nothing was recorded yet.
    #[default]
    Unopened,
    /// It is written to.
    Open(Box<Flight>),
    /// It can't be written to; not tried again before the disk takes what is written again.
    Failed,
}

impl Recorder {
    /// Keeps one look of an autoscaler; after a failure, which is told once, none.
    ///
    /// # Errors
    /// The disk refuses: this look and all further ones are lost.
    pub(crate) fn look(
        &mut self,
        folder: &Path,
        service: &str,
        asked: &Autoscale,
        said: (&autoscale::Decision, &autoscale::Memory),
    ) -> Result<(), JournalError> {
        self.keep(folder, |flight| flight.look(service, asked, said))
    }

    /// Keeps one decision about a release, as [`Self::look`].
    ///
    /// # Errors
    /// As [`Self::look`].
    pub(crate) fn release(
        &mut self,
        folder: &Path,
        service: &str,
        asked: &Rollout,
        said: (&rollout::Decision, &rollout::Memory),
    ) -> Result<(), JournalError> {
        self.keep(folder, |flight| flight.release(service, asked, said))
    }

    /// The disk takes what is written again: so may this.
    pub(crate) fn try_again(&mut self) {
        if matches!(self, Self::Failed) {
            *self = Self::Unopened;
        }
    }

    fn keep(
        &mut self,
        folder: &Path,
        write: impl FnOnce(&mut Flight) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let kept = match self {
            Self::Failed => return Ok(()),
            Self::Open(flight) => write(flight),
            Self::Unopened => Flight::open(folder).and_then(|mut flight| {
                let kept = write(&mut flight);
                *self = Self::Open(Box::new(flight));
                kept
            }),
        };
        if kept.is_err() {
            *self = Self::Failed;
        }
        kept
    }
}
