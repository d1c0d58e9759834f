//! What can go wrong with a store.

use std::{io, path::PathBuf};

/// Why something about a store could not be done. Messages are for a person and hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The server is not installed. Fix: the command in `fix`, then again.
    #[error("{what} is not installed; install it with `{fix}`")]
    Missing {
        /// The server and version wanted.
        what: String,
        /// The command that installs it.
        fix: String,
    },
    /// There is no driver for this kind of store yet. Fix the file: another engine, or `external`.
    #[error("{engine} stores cannot be run on this machine yet; use one that already runs, by `external`")]
    Unsupported {
        /// The engine's name.
        engine: String,
    },
    /// The file asks for what can't be. Fix the file.
    #[error("store `{store}`: {why}")]
    Invalid {
        /// The store's name.
        store: String,
        /// What, and what to write instead.
        why: String,
    },
    /// The data there belongs to something else. Nothing was changed; a person must decide.
    #[error("the data of store `{store}` is left as it is: {why}")]
    Refused {
        /// The store's name.
        store: String,
        /// What was found and what to do.
        why: String,
    },
    /// Processes of an earlier start still use the data. Retry in a moment.
    #[error("process {pid} still uses {path}")]
    Lingering {
        /// One of them.
        pid: u32,
        /// The member's data folder.
        path: PathBuf,
    },
    /// A file could not be read or written. Retry after fixing the disk or its permissions.
    #[error("cannot {act} {path}")]
    File {
        /// What was tried: `write`, `read` …
        act: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        why: io::Error,
    },
    /// The server did not do what it was asked. Retry once it is ready again.
    #[error("store `{store}`: cannot {act}: {why}")]
    Server {
        /// The store's name.
        store: String,
        /// What was asked.
        act: String,
        /// Its answer.
        why: String,
    },
    /// The Redis Cluster is not whole yet. Retry: it goes on from where it is.
    #[error("the Redis Cluster of store `{store}` is not formed yet: {why}")]
    NotFormed {
        /// The store's name.
        store: String,
        /// What it waits for.
        why: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later with nothing changed by a person.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(self, Self::Lingering { .. } | Self::Server { .. } | Self::NotFormed { .. })
    }
}

/// Why a member does not serve now. Not an error: ask again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotReady {
    /// For a person.
    pub why: String,
}

impl NotReady {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }

    /// Why a server can't be asked; one whose socket is not there has only just been started.
    pub(crate) fn asking(why: String) -> Self {
        let gone = ["No such file or directory", "Connection refused"].iter().any(|text| why.contains(text));
        if gone { Self::new("its server does not listen yet") } else { Self::new(why) }
    }
}
