//! What can be set from outside, by environment variables: everything else is in the route table.

use plimsoll_control::route::upload;
use plimsoll_model::Millis;
use std::{env, num::NonZero, thread::available_parallelism};

/// More workers than this gain nothing on the machines that we know.
const WORKERS_MAX: usize = 4;
/// Descriptors that are kept for the keeper, the listeners, pidfds, figures and logs.
const RESERVED_FILES: u64 = 48;
/// The rate that a client has to keep to while it sends a body: what a modem can.
const BYTES_PER_SECOND: u64 = 240;

/// Checked settings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `PLIMSOLL_GATEWAY_WORKERS`: 1..=64; else one a core, at most 4.
    pub(crate) workers: usize,
    /// `PLIMSOLL_ACCESS_LOG=off` switches it off.
    pub(crate) access_log: bool,
    /// `PLIMSOLL_ACCESS_LOG_RATE`: lines a second, at most; those beyond are counted. Default 5,000.
    pub(crate) access_log_rate: u32,
    /// `PLIMSOLL_CONNECTIONS_MAX`: client connections that may be open at once. At most, and by default, what the limit of
    /// open files allows: each may need one to a replica.
    pub(crate) connections_max: usize,
    /// `PLIMSOLL_UPSTREAM_IDLE_MS`: how long a connection to a replica is kept for reuse. Default 4,000, below the 5 s of
    /// common servers.
    pub(crate) upstream_idle_ms: u64,
    /// `PLIMSOLL_HEAD_TIMEOUT_MS`: how long a client may take to send the head of a request. Default 10,000.
    pub(crate) head_ms: u64,
    /// `PLIMSOLL_BODY_GRACE_MS`: how long a client may be waited for in any case while it sends the body of a request; beyond
    /// that it has to keep to a rate. Default 10,000.
    pub(crate) body_grace_ms: u64,
}

impl Settings {
    pub(crate) fn from_environment() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self {
            workers: number("PLIMSOLL_GATEWAY_WORKERS").map_or(cores.min(WORKERS_MAX), |n: usize| n.clamp(1, 64)),
            access_log: env::var("PLIMSOLL_ACCESS_LOG").map_or(true, |value| value != "off"),
            access_log_rate: number("PLIMSOLL_ACCESS_LOG_RATE").unwrap_or(5000),
            connections_max: number("PLIMSOLL_CONNECTIONS_MAX").unwrap_or(usize::MAX).clamp(1, connections_max()),
            upstream_idle_ms: number("PLIMSOLL_UPSTREAM_IDLE_MS").unwrap_or(4000),
            head_ms: number("PLIMSOLL_HEAD_TIMEOUT_MS").map_or(10_000, |ms: u64| ms.max(100)),
            body_grace_ms: number("PLIMSOLL_BODY_GRACE_MS").unwrap_or(10_000),
        }
    }

    /// What a client has to keep to while it sends the body of a request.
    pub(crate) fn upload(&self) -> upload::Policy {
        upload::Policy { grace: Millis(self.body_grace_ms), bytes_per_second: BYTES_PER_SECOND }
    }
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}

/// Raises the soft limit of open files to the hard one; half of what is left is for clients.
fn connections_max() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Refused in some sandboxes: then the soft limit holds.
    let _ = setrlimit(Resource::Nofile, limit);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(1 << 20).min(1 << 20);
    usize::try_from(files.saturating_sub(RESERVED_FILES).max(16) / 2).unwrap_or(8)
}
