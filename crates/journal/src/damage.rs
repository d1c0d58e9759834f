//! What was found wrong with a journal, and where.

use crate::Sequence;
use std::{fmt, path::PathBuf};

/// One place where a journal is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file. If it had to be repaired, what it held is beside it, under the same name with `.damaged` added.
    pub file: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// The last record before it that is good; 0 when there is none.
    pub sequence: Sequence,
    /// What is wrong.
    pub what: What,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The end of the last log is no whole record and nothing good follows: a write that was cut short, the usual trace of
    /// a crash or power loss. It was never acknowledged as durable, unless the disk lied or a bit flipped in it.
    TornTail,
    /// A record is not what was written, and good ones follow: they are given up.
    Record,
    /// The beginning of a log is not what was written; its records are whole all the same and nothing is lost.
    Header,
    /// A log does not go on where the one before it ended, or is not there: it and those after it are given up.
    Gap,
    /// A snapshot is not what was written; what follows from the one before it is used, and nothing is lost by that.
    Snapshot,
}

impl Damage {
    /// Nothing but the trace of a crash.
    #[must_use]
    pub fn is_torn_tail(&self) -> bool {
        self.what == What::TornTail
    }

    /// Records that were once written are no longer there.
    #[must_use]
    pub fn loses_records(&self) -> bool {
        matches!(self.what, What::Record | What::Gap)
    }

    /// The graver the higher: which of several is told.
    pub(crate) fn gravity(&self) -> u8 {
        match self.what {
            What::Record | What::Gap => 3,
            What::Snapshot => 2,
            What::Header => 1,
            What::TornTail => 0,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, sequence, what } = self;
        let file = file.display();
        match what {
            What::TornTail => write!(f, "{file} ends in a cut record at byte {offset}; record {sequence} is the last"),
            What::Record => write!(f, "{file} is damaged at byte {offset}; what follows record {sequence} is given up"),
            What::Header => write!(f, "the beginning of {file} is damaged; its records are whole"),
            What::Gap => write!(f, "{file} does not go on after record {sequence} and is given up"),
            What::Snapshot => write!(f, "{file} is damaged; the generation before it is used"),
        }
    }
}
