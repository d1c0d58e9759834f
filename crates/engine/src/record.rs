//! What is remembered: the journal, and the state that follows from it.
//!
//! Invariant: an entry is in the journal before the state here follows it.

use plimsoll_journal::{
    Damage, Durability, Item, Journal, JournalError,
    entry::{Entry, Remembered},
};
use std::path::Path;

/// So many bytes of former generations are kept, so that what happened can be explained.
const KEPT_BYTES: u64 = 16 << 20;

/// The record can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// The journal can't be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An entry of another version of Plimsoll.
    #[error("the journal was written by another version of Plimsoll")]
    NotUnderstood(#[source] serde_json::Error),
}

/// The journal with what follows from it.
pub(crate) struct Record {
    journal: Journal,
    /// What follows from all entries.
    pub(crate) remembered: Remembered,
    /// The last write failed: nothing that must be durable is accepted.
    pub(crate) trouble: Option<String>,
    /// Entries hold in memory that the journal does not have: nothing is appended after such a gap, only all of it written
    /// anew makes it whole.
    behind: bool,
    /// Entries of kinds that only a newer Plimsoll knows, which went back to this one.
    pub(crate) passed_over: usize,
}

impl Record {
    /// Reads what is there; tells what was damaged, for a person.
    ///
    /// # Errors
    /// The folder can't be written to, or another engine has it.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Option<String>), RecordError> {
        let (mut journal, opened) = Journal::open(dir)?;
        journal.keep_bytes(KEPT_BYTES);
        let mut remembered = match &opened.snapshot {
            Some(snapshot) => snapshot.decode::<Remembered>().map_err(RecordError::NotUnderstood)?,
            None => Remembered::default(),
        };
        let mut passed_over = 0;
        for record in &opened.records {
            match record.decode::<Entry>() {
                Ok(entry) => remembered.fold(entry),
                Err(error) if is_newer(&error) => passed_over += 1,
                Err(error) => return Err(RecordError::NotUnderstood(error)),
            }
        }
        let damage = opened.damage.filter(Damage::loses_records).map(|damage| damage.to_string());
        Ok((Self { journal, remembered, trouble: None, behind: false, passed_over }, damage))
    }

    /// Writes an entry down so that it survives our death. A disk that refuses is told in `trouble`; the entry holds in
    /// memory all the same, and is written down with all else once the disk takes it ([`Self::rewrite`]).
    pub(crate) fn note(&mut self, entry: Entry) {
        if !self.behind
            && let Err(error) = self.journal.append(&entry, Durability::OurDeath)
        {
            self.behind = true;
            self.trouble = Some(plimsoll_journal::chain(&error));
        }
        self.remembered.fold(entry);
        self.compact();
    }

    /// Writes an entry down so that it survives power loss.
    ///
    /// # Errors
    /// The disk refused: nothing is remembered of it, and nothing may be answered as done.
    pub(crate) fn commit(&mut self, entry: Entry) -> Result<(), JournalError> {
        // After a sync that failed, another one that succeeds proves nothing: all of it is written anew first.
        if self.is_incomplete() {
            self.rewrite()?;
        }
        if let Err(error) = self.journal.append(&entry, Durability::PowerLoss) {
            self.trouble = Some(plimsoll_journal::chain(&error));
            return Err(error);
        }
        self.trouble = None;
        self.remembered.fold(entry);
        self.compact();
        Ok(())
    }

    /// Writes all that is remembered anew, also what could not be appended.
    ///
    /// # Errors
    /// The disk refuses; what was durable before still is.
    pub(crate) fn rewrite(&mut self) -> Result<(), JournalError> {
        let written = self.journal.snapshot(&self.remembered);
        self.trouble = written.as_ref().err().map(|error| plimsoll_journal::chain(error));
        self.behind &= written.is_err();
        written
    }

    /// The journal has not all that is remembered, or it is not known whether it has.
    fn is_incomplete(&self) -> bool {
        self.behind || self.journal.refused().is_some()
    }

    fn compact(&mut self) {
        // A disk that refuses is asked again by whoever watches it, not with each entry.
        if self.journal.wants_snapshot() && !self.is_incomplete() {
            let _ = self.rewrite();
        }
    }
}

/// What of a journal this program does not understand; `None`: it understands all that can be read.
pub(crate) fn not_understood(dir: &Path) -> Option<String> {
    for item in plimsoll_journal::read(dir) {
        let wrong = match item {
            Ok(Item::Snapshot(snapshot)) => snapshot.decode::<Remembered>().err(),
            Ok(Item::Record(record)) => record.decode::<Entry>().err(),
            // Damage is told by whoever uses the journal.
            Err(_) => None,
        };
        if let Some(error) = wrong {
            return Some(format!("the journal, {}: {error}", dir.display()));
        }
    }
    None
}

/// Whether an entry is of a kind that this program does not know.
fn is_newer(error: &serde_json::Error) -> bool {
    error.is_data() && error.to_string().starts_with("unknown variant")
}
