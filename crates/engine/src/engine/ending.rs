//! The system ends: services first, users before what they use (`control::reconcile` says in which order), then stores,
//! then the keeper and with it the gateways and this engine.

use super::Engine;
use plimsoll_journal::entry::Entry;

/// How long gateways may take to finish what is in flight.
const GATEWAY_GRACE_MS: u64 = 5_000;

impl Engine {
    /// Goes on with the end of the system, if it is to end.
    pub(super) fn consider_ending(&mut self) {
        let Some(volumes) = self.record.remembered.ending else { return };
        if self.finished || !self.replicas.is_empty() {
            return;
        }
        self.stop_stores();
        if self.stores.values().any(|store| !store.is_stopped()) {
            return;
        }
        if volumes {
            match self.drop_volumes() {
                Ok(()) => self.forget_primaries(),
                Err(error) => self.tell("system", "VolumesNotDropped", &error, true),
            }
        }
        self.drop_socket_folders();
        self.tell("system", "Ended", "nothing of it runs any more", false);
        // That it has ended is written down by the engine that finds nothing running (`Engine::adopt`): were it written
        // here, and this engine killed before the keeper is asked to stop, the next one would start everything again.
        self.finished = true;
        self.stop_keeper();
    }

    /// Has the keeper end gateways, this engine and itself.
    pub(super) fn stop_keeper(&self) {
        let keeper = self.keeper.clone();
        tokio::task::spawn_local(async move { keeper.stop(GATEWAY_GRACE_MS).await });
    }

    /// There is no data left that could be behind: whoever was the primary of a store, the first member begins anew.
    fn forget_primaries(&mut self) {
        for store in self.record.remembered.failovers.keys().cloned().collect::<Vec<_>>() {
            self.record.note(Entry::Failover { store, memory: Box::default() });
        }
    }

    /// Drops the data of all stores that are ours.
    fn drop_volumes(&self) -> Result<(), String> {
        let stores = self.place.state.join("stores");
        let home = std::fs::canonicalize(&stores).unwrap_or_else(|_| stores.clone());
        if !home.exists() {
            return Ok(());
        }
        // A server that an engine before this one started, and that this one had no place for, may still run.
        if let Some(pid) = plimsoll_stores::works_below(&home) {
            return Err(format!("process {pid} still works in {}", home.display()));
        }
        std::fs::remove_dir_all(&home).map_err(|error| format!("cannot drop {}: {error}", home.display()))?;
        std::fs::remove_file(&stores).ok();
        Ok(())
    }
}
