//! Replicas come and go: created, launched, stopped.

use super::{Engine, turning::Wake};
use crate::{
    addresses,
    input::Input,
    keeper::KeeperError,
    launch::{self, Site},
    probe::HOOK_TIMEOUT,
    programs,
    replica::{Ending, Replica, Stage},
};
use plimsoll_control::termination;
use plimsoll_journal::entry::Entry;
use plimsoll_model::{EdgeId, Instant, Millis, ReplicaId, RevisionId, probe::Handler};
use plimsoll_wire::keeper::{Exit, Process, Spawn};
use std::{collections::BTreeMap, rc::Rc};

impl Engine {
    /// Makes new replicas of a service. They are launched in the same turn.
    pub(super) fn create(&mut self, service: &str, revision: &RevisionId, count: u32, now: Instant) {
        let Some(what) = self.service_of(service, revision) else { return };
        if !self.record.remembered.revisions.contains_key(revision) {
            self.record.note(Entry::Revision { id: revision.clone(), service: Box::new((*what).clone()) });
        }
        for _ in 0..count {
            let serial = self.record.remembered.serials.get(service).copied().unwrap_or(0) + 1;
            let id = ReplicaId::new(service, serial);
            self.record.note(Entry::Replica { id: id.clone(), revision: revision.clone() });
            let replica = Replica::new(id.clone(), revision.clone(), what.clone(), now);
            self.replicas.insert(id.clone(), replica);
            self.launch(&id);
        }
    }

    /// What a revision of a service is: remembered, or what the file says now.
    fn service_of(&self, name: &str, revision: &RevisionId) -> Option<Rc<plimsoll_model::Service>> {
        match self.record.remembered.revisions.get(revision) {
            Some(service) => Some(Rc::new(service.clone())),
            None => self.accepted_service(name),
        }
    }

    /// Starts a replica's process, the next time.
    pub(super) fn launch(&mut self, id: &ReplicaId) {
        if let Some(store) = self.unaddressed(id) {
            return self.postpone(id, &store);
        }
        let Some(replica) = self.replicas.get(id) else { return };
        let (had, attempt) = (replica.port, replica.attempt + 1);
        let port = replica.service.port.and_then(|_| self.port_for(had));
        let now = self.clock.now();
        self.record.note(Entry::Attempt { id: id.clone(), attempt, port });
        let Some(replica) = self.replicas.get_mut(id) else { return };
        replica.attempt = attempt;
        replica.port = port;
        replica.stage = Stage::Launching;
        replica.started_at = now;
        replica.reason = "being started".into();
        self.send_spawn(id);
    }

    /// A store that a replica is to be told and whose address is not known yet: its task has just begun.
    fn unaddressed(&self, id: &ReplicaId) -> Option<String> {
        let service = &self.replicas.get(id)?.service;
        let mut links = service.uses.iter().chain(&service.calls);
        let unknown = |store: &str| self.stores.get(store).is_some_and(|state| state.url.is_none());
        links.find(|link| unknown(&link.to)).map(|link| link.to.clone())
    }

    fn postpone(&mut self, id: &ReplicaId, store: &str) {
        // Each news of a store brings a turn, and with it another try.
        let until = self.clock.now();
        if let Some(replica) = self.replicas.get_mut(id) {
            replica.stage = Stage::BackOff { until };
            replica.reason = format!("waiting for the address of {store}");
        }
    }

    /// The port that a replica had, if nobody has taken it meanwhile; else another one.
    fn port_for(&mut self, had: Option<u16>) -> Option<u16> {
        if let Some(port) = had {
            if addresses::is_free(port) {
                return Some(port);
            }
            self.addresses.release(port);
        }
        let port = self.addresses.choose(false)?;
        self.addresses.take(port);
        Some(port)
    }

    /// Asks the keeper for a replica's present process. Idempotent: one that runs already is answered as such.
    pub(super) fn send_spawn(&mut self, id: &ReplicaId) {
        let Some(replica) = self.replicas.get(id) else { return };
        let attempt = replica.attempt;
        let spawn = self.site(id).and_then(|site| launch::spawn_of(replica, &site));
        let (keeper, inputs, id) = (self.keeper.clone(), self.inputs.clone(), id.clone());
        tokio::task::spawn_local(async move {
            let result = match spawn {
                Ok(spawn) => match keeper.spawn(spawn).await {
                    // The next keeper is asked again.
                    Err(KeeperError::Gone) => return,
                    spawned => spawned.map_err(|error| error.to_string()),
                },
                Err(why) => Err(why),
            };
            inputs.send(Input::Launched { replica: id, attempt, result }).ok();
        });
    }

    /// What a launch needs to know.
    fn site(&self, id: &ReplicaId) -> Result<Site<'_>, String> {
        self.site_of(self.replicas.get(id).ok_or("there is no such replica")?)
    }

    /// As `site`, of a replica that may be in nobody's list.
    pub(super) fn site_of(&self, replica: &Replica) -> Result<Site<'_>, String> {
        let accepted = self.record.remembered.accepted.as_ref().ok_or("no system is accepted")?;
        let mut addresses = BTreeMap::new();
        for link in replica.service.uses.iter().chain(&replica.service.calls) {
            if let Some(url) = self.address_of(&replica.id.service, &link.to) {
                addresses.insert(link.variable.clone(), url);
            }
            if let Some(url) = self.stores.get(&link.to).and_then(|store| store.read_url.clone()) {
                addresses.insert(format!("{}_READ", link.variable), url);
            }
            if let Some(url) = self.stores.get(&link.to).and_then(|store| store.direct_url.clone()) {
                addresses.insert(format!("{}_DIRECT", link.variable), url);
            }
        }
        let program = self.record.remembered.programs.get(&replica.revision);
        let program = program.map(|program| programs::to_run(&self.place.state, program));
        Ok(Site { accepted, secrets: &self.secrets, addresses, program })
    }

    /// The URL by which `from` reaches the store or service `to`.
    fn address_of(&self, from: &str, to: &str) -> Option<String> {
        if let Some(store) = self.stores.get(to) {
            return store.url.clone();
        }
        let edge = EdgeId { from: from.into(), to: to.into() };
        let port = self.addresses.known(&super::routing::edge_name(&edge))?;
        Some(format!("http://127.0.0.1:{port}"))
    }

    /// A command beside a replica.
    pub(super) fn beside(&mut self, id: &ReplicaId, what: &str, command: &[String]) -> Result<Spawn, String> {
        let number = self.events.last();
        let unique = self.clock.now().0;
        let replica = self.replicas.get(id).ok_or("there is no such replica")?;
        let process = format!("{}.{what}-{number}-{unique}", replica.process_id());
        launch::beside(replica, &self.site(id)?, process, command)
    }

    /// A start was answered.
    pub(super) fn take_launched(&mut self, id: &ReplicaId, attempt: u32, result: Result<Process, String>) {
        let now = self.clock.now();
        let Some(replica) = self.replicas.get_mut(id).filter(|replica| replica.attempt == attempt) else { return };
        match result {
            // Its end was told before its start.
            Ok(_) if matches!(replica.stage, Stage::BackOff { .. } | Stage::Done) => {}
            Ok(process) => {
                let exit = process.exit.clone();
                let on = replica.port.map(|port| format!(" on port {port}")).unwrap_or_default();
                let message = format!("process {}{on}", process.pid);
                let fresh = replica.process.is_none();
                replica.started_at = Instant(process.started_at);
                replica.process = Some(process);
                if matches!(replica.stage, Stage::Launching) {
                    replica.stage = Stage::Running;
                    replica.was_ready = replica.ready_since.is_some();
                }
                let process_id = replica.process_id();
                if fresh {
                    self.tell(&id.to_string(), "Started", &message, false);
                }
                if let Some(exit) = exit {
                    self.take_exit(&process_id, &exit);
                }
            }
            Err(why) => {
                let message = format!("could not be started: {why}");
                self.tell(&id.to_string(), "FailedStart", &message, true);
                self.after_end(id, &Exit::never_started(now.0), &message);
            }
        }
    }

    /// Stops a replica for good.
    pub(super) fn stop(&mut self, id: &ReplicaId, reason: &str, now: Instant, wake: &mut Wake) {
        let Some(replica) = self.replicas.get(id) else { return };
        match replica.stage {
            Stage::Stopping(_) => return,
            Stage::BackOff { .. } | Stage::Done => {
                self.tell(&id.to_string(), "Removed", reason, false);
                return self.remove(id);
            }
            _ => {}
        }
        self.tell(&id.to_string(), "Stopping", reason, false);
        self.record.note(Entry::Stopping { id: id.clone() });
        self.begin_end(id, now, true);
        wake.at(now.after(Millis(1)));
    }

    /// Begins to end a replica's process: for good, or to start it again.
    pub(super) fn begin_end(&mut self, id: &ReplicaId, now: Instant, for_good: bool) {
        let edition = self.routes.next_edition();
        let drains = !self.gateways.is_empty();
        let Some(replica) = self.replicas.get_mut(id) else { return };
        // One that was never ready was never routed to: there is no edition to wait for.
        let edition = if replica.was_ready || replica.ready_since.is_some() { edition } else { 0 };
        let policy = termination::Policy {
            grace: replica.service.termination_grace,
            hook: replica.service.pre_stop.is_some(),
            drain: for_good && drains && replica.service.port.is_some(),
        };
        let ending = Ending { policy, memory: termination::Memory::asked(now), hook_done: false };
        replica.unrouted_in = Some(edition);
        replica.ready_since = None;
        replica.stage = if for_good { Stage::Stopping(ending) } else { Stage::Restarting(ending) };
    }

    /// Runs a replica's preStop hook.
    pub(super) fn run_hook(&mut self, id: &ReplicaId) {
        let Some(replica) = self.replicas.get(id) else { return };
        let (process, port) = (replica.process_id(), replica.port);
        let Some(handler) = replica.service.pre_stop.clone() else { return };
        let command = match &handler {
            Handler::Exec { command } => self.beside(id, "hook", command).ok(),
            _ => None,
        };
        let mut probe = plimsoll_model::probe::Probe::of(handler);
        probe.timeout = HOOK_TIMEOUT;
        let (oneshots, inputs) = (self.oneshots.clone(), self.inputs.clone());
        tokio::task::spawn_local(async move {
            crate::probe::run_hook(&probe, port, command, &oneshots).await;
            inputs.send(Input::Hooked { process }).ok();
        });
    }

    /// Sends a signal to a process; one that is gone is no trouble.
    pub(super) fn signal_process(&self, process: String, signal: i32, whole: bool) {
        let keeper = self.keeper.clone();
        tokio::task::spawn_local(async move {
            keeper.signal(&process, signal, whole).await.ok();
        });
    }

    /// Has the keeper forget a process that has ended.
    pub(super) fn forget_process(&self, process: String) {
        let keeper = self.keeper.clone();
        tokio::task::spawn_local(async move { keeper.forget(&process).await.ok() });
    }

    /// Forgets a replica that is gone.
    pub(super) fn remove(&mut self, id: &ReplicaId) {
        if let Some(port) = self.replicas.remove(id).and_then(|replica| replica.port) {
            self.addresses.release(port);
        }
        self.record.note(Entry::Gone { id: id.clone() });
    }
}
