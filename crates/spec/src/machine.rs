//! What the machine at hand can do, so that the rest is told and never silent.

use plimsoll_model::{Bytes, MilliCpu, store::Engine};

/// What this version of Plimsoll enforces on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The engines that have a driver.
    pub engines: Vec<Engine>,
    /// The engines whose driver runs more than one instance (a Redis Cluster apart).
    pub replicates: Vec<Engine>,
    /// Backups are made.
    pub backs_up: bool,
    /// Autoscaling is acted upon.
    pub autoscales: bool,
    /// Alerts are watched.
    pub alerts: bool,
    /// A service reaches only what it `uses` or `calls`.
    pub enforces_paths: bool,
    /// Processors; `None`: not known, so nothing is compared with it.
    pub cpu: Option<MilliCpu>,
    /// Memory; `None`: not known, so nothing is compared with it.
    pub memory: Option<Bytes>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            engines: vec![Engine::Postgres, Engine::Redis, Engine::Nats],
            replicates: vec![Engine::Postgres],
            backs_up: false,
            autoscales: true,
            alerts: false,
            enforces_paths: false,
            cpu: None,
            memory: None,
        }
    }
}
