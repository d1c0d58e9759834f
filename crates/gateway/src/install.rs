//! Puts an edition of the route table in force.

use crate::{
    live::ProcessLive,
    shared::Shared,
    table::{Table, compile},
    tls::Certificates,
    weighing::Weigher,
};
use plimsoll_model::route::RouteTable;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Compiles an edition and swaps it in; the processes whose death has to be watched.
pub(crate) fn install(
    shared: &Shared,
    weigher: &Mutex<Weigher>,
    edition: &RouteTable,
) -> BTreeMap<String, Arc<ProcessLive>> {
    let compiled = compile(edition, &mut shared.registry());
    let table = Arc::new(compiled.table);
    shared.certificates.store(Arc::new(Certificates::load(&table, &shared.certificates.load())));
    let at = shared.instant(std::time::Instant::now());
    // Before anybody chooses among them: who is new starts slowly.
    weigher.lock().unwrap_or_else(PoisonError::into_inner).weigh(&table, at, &shared.ejections);
    let before = shared.table.swap(Arc::clone(&table));
    shared.edition.send_replace(table.edition);
    wake(&before);
    wake(&table);
    compiled.processes
}

/// Those who wait for a replica look again.
fn wake(table: &Table) {
    for backend in table.services.values() {
        backend.live.ready.notify_waiters();
    }
}
