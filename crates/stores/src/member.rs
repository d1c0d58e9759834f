//! A process of a store, as it is to be started.

use crate::{files::ConfigFile, site::User};
use plimsoll_model::Millis;
use std::path::PathBuf;

/// A member of a store: one server process and its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// `0`, `1` …: its place in [`crate::Site::ports`].
    pub name: String,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// One-shot commands to run in this order, each to its successful end, before `serve`. Empty once the data is there.
    /// All of them may be run again after any interruption.
    pub prepare: Vec<Command>,
    /// Configuration, written by [`crate::Driver::before_start`].
    pub files: Vec<ConfigFile>,
    /// The server, in the foreground, logging to its standard error or output.
    pub serve: Command,
    /// The signal that ends it cleanly.
    pub stop_signal: i32,
    /// How long a clean end may take before it is killed.
    pub grace: Millis,
}

/// A command to run. Nothing else is inherited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// An absolute path.
    pub program: String,
    /// Without the program's own name. Never a secret.
    pub args: Vec<String>,
    /// The whole environment. Never a secret.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub dir: PathBuf,
    /// Who it runs as; `None`: who we are.
    pub user: Option<User>,
}

/// The signal's number: a polite end.
pub const SIGTERM: i32 = 15;
/// The signal's number: PostgreSQL's fast shut-down.
pub const SIGINT: i32 = 2;

/// The environment of every server: no locale but C, UTF-8, and the usual path.
#[must_use]
pub(crate) fn environment() -> Vec<(String, String)> {
    [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}
