//! What can go wrong with a journal.

use crate::Damage;
use std::{io, path::PathBuf};

/// What can go wrong with a journal. The message is the act that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process, or another part of this one, has it open for writing. Give up, or stop the other one first.
    #[error("the journal in {dir} is in use by another process")]
    Locked {
        /// The journal.
        dir: PathBuf,
    },
    /// The journal could not be opened for writing. Fix the cause (permissions, disk) and open it again.
    #[error("cannot open the journal: {path}")]
    Open {
        /// The file or folder concerned.
        path: PathBuf,
        /// Why.
        #[source]
        why: io::Error,
    },
    /// A file could not be read. Try again; a reader meets this when the disk fails.
    #[error("cannot read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        why: io::Error,
    },
    /// No generation can be read: going on would mean beginning anew and forgetting all. Nothing was changed. A person
    /// must restore the folder, or move it away and accept the loss.
    #[error("nothing in the journal can be read: {0}")]
    Unreadable(Damage),
    /// Told by a reader in the midst of its records; it goes on after it where it can.
    #[error("the journal is damaged: {0}")]
    Damaged(Damage),
    /// The value could not be written as JSON: a bug of the caller. Nothing was appended.
    #[error("cannot write the entry as JSON")]
    Encode(#[source] serde_json::Error),
    /// The entry is larger than a record may be. Nothing was appended.
    #[error("an entry of {bytes} bytes is too large for the journal")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The disk refused the record; nothing was appended. Retry after freeing space.
    #[error("cannot append to {path}")]
    Append {
        /// The log.
        path: PathBuf,
        /// Why.
        #[source]
        why: io::Error,
    },
    /// The disk could not be made to keep what was written; the entry counts as not appended. Do not retry: write a new
    /// generation ([`crate::Journal::snapshot`]), and tell a person.
    #[error("cannot sync {path} to disk")]
    Sync {
        /// The log.
        path: PathBuf,
        /// Why.
        #[source]
        why: io::Error,
    },
    /// An earlier failure left this log in doubt; nothing was appended. Write a new generation.
    #[error("the journal takes nothing more until a new generation is written, because {because}")]
    Refused {
        /// The earlier failure.
        because: String,
    },
    /// The new generation could not be written; the journal is as before. Retry after the cause is gone.
    #[error("cannot write a new generation: {path}")]
    Snapshot {
        /// The file concerned.
        path: PathBuf,
        /// Why.
        #[source]
        why: io::Error,
    },
}

/// An error with its causes, as one sentence.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
