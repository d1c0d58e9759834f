//! Probes, as Kubernetes means them (defaults: `initialDelaySeconds` 0, `periodSeconds` 10, `timeoutSeconds` 1,
//! `successThreshold` 1, `failureThreshold` 3).

use crate::Millis;
use serde::{Deserialize, Serialize};

/// The three probes of a service. `None`: there is none of that kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Probes {
    /// Holds the others back until it passes once; failing it restarts the replica.
    pub startup: Option<Probe>,
    /// Failing it restarts the replica.
    pub liveness: Option<Probe>,
    /// Failing it takes the replica out of the routes.
    pub readiness: Option<Probe>,
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// What is tried.
    pub handler: Handler,
    /// Counted from the process's start.
    pub initial_delay: Millis,
    /// Between two attempts; at least 1 ms.
    pub period: Millis,
    /// An attempt that takes longer has failed.
    pub timeout: Millis,
    /// Passes in a row that count as success; 1 for liveness and startup.
    pub success_threshold: u32,
    /// Failures in a row that count as failure.
    pub failure_threshold: u32,
    /// Grace of a restart by this probe, where it differs from the service's.
    pub termination_grace: Option<Millis>,
}

impl Probe {
    /// A probe with Kubernetes' defaults.
    #[must_use]
    pub fn of(handler: Handler) -> Self {
        Self {
            handler,
            initial_delay: Millis(0),
            period: Millis::from_secs(10),
            timeout: Millis::from_secs(1),
            success_threshold: 1,
            failure_threshold: 3,
            termination_grace: None,
        }
    }
}

/// What a probe tries, or a hook does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Handler {
    /// GET; 200–399 passes.
    HttpGet {
        /// Begins with `/`.
        path: String,
        /// `None` is the replica's own port.
        port: Option<u16>,
        /// Over TLS, the certificate not being checked, as Kubernetes does.
        tls: bool,
        /// Further headers.
        headers: Vec<(String, String)>,
    },
    /// A connection stands.
    Tcp {
        /// `None` is the replica's own port.
        port: Option<u16>,
    },
    /// A command that ends with code 0.
    Exec {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// `grpc.health.v1.Health/Check` answers SERVING.
    Grpc {
        /// `None` is the replica's own port.
        port: Option<u16>,
        /// The service asked about; empty is the whole server.
        service: String,
    },
    /// Waits (only as a hook).
    Sleep {
        /// How long.
        time: Millis,
    },
}
