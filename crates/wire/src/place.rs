//! Where a system's state lives, and the names of the files in it.

use crate::sum;
use std::path::{Path, PathBuf};

/// The state directory of one system, and its run directory.
///
/// The run directory holds sockets and FIFOs. It is `<state>/run`, unless that would make a socket's path longer than the
/// 107 bytes that Unix allows: then it is `/tmp/plimsoll-<uid>-<hash of the state directory>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The state directory, absolute.
    pub state: PathBuf,
    /// Sockets and FIFOs.
    pub run: PathBuf,
}

impl Place {
    /// The place of the system whose state directory is `state` (absolute).
    #[must_use]
    pub fn new(state: &Path) -> Self {
        const SOCKET_NAME_MAX: usize = 24;
        let run = state.join("run");
        let run = if run.as_os_str().len() + SOCKET_NAME_MAX <= 107 {
            run
        } else {
            let uid = rustix::process::geteuid().as_raw();
            PathBuf::from(format!(
                "/tmp/plimsoll-{uid}-{:016x}",
                sum::fnv(sum::START, state.as_os_str().as_encoded_bytes())
            ))
        };
        Self { state: state.into(), run }
    }

    /// The file that the keeper holds locked (`flock`).
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.state.join("lock")
    }

    /// Where the keeper listens for processes that have lost it, or were not started by it.
    #[must_use]
    pub fn keeper_socket(&self) -> PathBuf {
        self.run.join("keeper.sock")
    }

    /// Where the engine serves the local API. The keeper owns the listener and keeps it as [`API`].
    #[must_use]
    pub fn api_socket(&self) -> PathBuf {
        self.run.join("api.sock")
    }

    /// Where the gateway with that process id can be asked for its figures.
    #[must_use]
    pub fn gateway_socket(&self, id: &str) -> PathBuf {
        self.run.join(format!("{id}.sock"))
    }

    /// What the keeper needs to take over after a keeper's death: the boot's id, and each process.
    #[must_use]
    pub fn inventory(&self) -> PathBuf {
        self.state.join("keeper.json")
    }

    /// The log of that name; older parts are `<name>.log.1`, `.2` …
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.state.join("logs").join(format!("{name}.log"))
    }

    /// The program that an upgrade would go back to.
    #[must_use]
    pub fn former_program(&self) -> PathBuf {
        self.state.join("former")
    }

    /// The journal's folder.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.state.join("journal")
    }

    /// The folder of the flight recorder: every look of the autoscalers, for as long as there is room.
    #[must_use]
    pub fn recorder(&self) -> PathBuf {
        self.state.join("recorder")
    }
}

/// The name under which the keeper keeps the listener of the local API.
pub const API: &str = "api";

/// What the keeper calls the engine's process.
pub const ENGINE: &str = "engine";

/// Variables by which whoever runs `up` tunes Plimsoll's own processes: handed on from the keeper to the engine and from
/// there to gateways, and read by gateways.
pub const TUNING: [&str; 7] = [
    "RUST_BACKTRACE",
    "PLIMSOLL_GATEWAY_WORKERS",
    "PLIMSOLL_ACCESS_LOG",
    "PLIMSOLL_ACCESS_LOG_RATE",
    "PLIMSOLL_UPSTREAM_IDLE_MS",
    "PLIMSOLL_HEAD_TIMEOUT_MS",
    "PLIMSOLL_CONNECTIONS_MAX",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_state_directory_gets_a_short_run_directory() {
        let deep = PathBuf::from(format!("/{}", "d".repeat(120)));
        assert!(Place::new(&deep).gateway_socket("gateway-12345678").as_os_str().len() <= 107);
        assert_eq!(Place::new(Path::new("/srv/shop/.plimsoll")).run, Path::new("/srv/shop/.plimsoll/run"));
    }
}
