//! How the system is, for whoever asks.

use super::Engine;
use crate::{
    replica::{Replica, phase_name},
    store::{engine_name, member::POOLER},
    usage,
};
use plimsoll_api::{
    Status,
    release::DRILL,
    status::{IngressStatus, MemberStatus, OwnProcess, ReplicaStatus, ServiceStatus, StoreStatus},
};
use plimsoll_control::{arrival, reconcile::Phase, upgrade::gateway_number};
use plimsoll_journal::entry::RememberedReplica;
use plimsoll_model::{EdgeId, ReplicaId, system::Listen};
use plimsoll_stores::pooler;
use plimsoll_wire::{keeper::Inventory, place::ENGINE};
use std::collections::BTreeMap;
use tokio::sync::oneshot;

impl Engine {
    /// Answers with the status; what the keeper knows (pids) is asked for first, and where `weighed` what processes use.
    pub(super) fn answer_status(&self, reply: oneshot::Sender<Status>, weighed: bool) {
        let mut status = self.status();
        let (keeper, keeper_pid, gateway) = (self.keeper.clone(), self.keeper_pid, self.current_gateway());
        tokio::task::spawn_local(async move {
            let inventory = keeper.list().await.unwrap_or_default();
            add_processes(&mut status, &inventory, keeper_pid, gateway);
            if weighed {
                weigh(&mut status, &inventory);
            }
            reply.send(status).ok();
        });
    }

    /// Answers those who wait for the system to be ready, or stuck.
    pub(super) fn answer_arrivals(&mut self) {
        self.arrivals.retain(|reply| !reply.is_closed());
        if self.arrivals.is_empty() {
            return;
        }
        if self.has_settled() || !self.stuck().is_empty() {
            for reply in std::mem::take(&mut self.arrivals) {
                // Who only waits has no use for figures, and they take time.
                self.answer_status(reply, false);
            }
        }
    }

    /// Everything is there, and nothing is on its way.
    fn has_settled(&self) -> bool {
        let Some(accepted) = &self.record.remembered.accepted else { return false };
        self.settle_until.is_none()
            && self.binding.is_empty()
            && self.stores.values().all(|store| store.ready)
            && self.releases_rest()
            && accepted.system.services.keys().all(|name| self.is_complete(name))
    }

    /// What the loop itself knows.
    fn status(&self) -> Status {
        let accepted = self.record.remembered.accepted.clone().unwrap_or_default();
        let system = &accepted.system;
        let mut warnings = self.warnings.clone();
        warnings.extend(self.record.trouble.iter().map(|why| format!("what is decided can't be written down: {why}")));
        warnings.extend(system.services.iter().filter(|(_, service)| service.env.contains_key(DRILL)).map(|(name, _)| {
            format!(
                "{name} has a version that `plimsoll prove` made to test with; if no `prove` runs any more, `plimsoll up` \
                 brings in what the file says"
            )
        }));
        let services: BTreeMap<_, _> =
            system.services.iter().map(|(name, service)| (name.clone(), self.service_status(name, service))).collect();
        let members = &self.record.remembered.members;
        let stores: BTreeMap<_, _> =
            self.stores.iter().map(|(name, state)| (name.clone(), store_status(name, state, members))).collect();
        let settled = self.has_settled();
        let stuck = if settled { Vec::new() } else { self.stuck() };
        Status {
            system: system.name.clone(),
            environment: system.environment.clone(),
            target: system.target.clone(),
            at: self.clock.now(),
            stuck,
            settled,
            ending: self.record.remembered.ending.is_some(),
            processes: BTreeMap::new(),
            services,
            stores,
            ingress: system
                .ingress
                .listen
                .iter()
                .map(|listen| self.ingress_status(listen, &system.ingress.hosts))
                .collect(),
            upgrade: self.upgrade_status(),
            promises: system.promises.clone(),
            unenforced: system.unenforced.clone(),
            warnings,
        }
    }

    /// Every replica of a service is of the wanted version and ready, and none is being stopped.
    fn is_complete(&self, name: &str) -> bool {
        let missing = |phase| !matches!(phase, Phase::Ready | Phase::Done);
        self.releases.get(name).is_some_and(|release| {
            let sets = &release.memory.sets;
            sets.complete || sets.laid_for == 0 || self.all_done(name) || never_runs(&release.memory)
        }) && !self.replicas_of(name).any(|replica| missing(replica.phase()))
    }

    /// Every replica has ended by itself, and is to stay so (a job).
    pub(super) fn all_done(&self, name: &str) -> bool {
        let mut replicas = self.replicas_of(name).peekable();
        replicas.peek().is_some() && replicas.all(|replica| replica.phase() == Phase::Done)
    }

    /// What keeps the system from getting ready, as [`arrival`] says.
    fn stuck(&self) -> Vec<String> {
        let Some(accepted) = &self.record.remembered.accepted else { return Vec::new() };
        let coming =
            self.settle_until.is_some() || !self.binding.is_empty() || self.stores.values().any(|store| !store.ready);
        let replica = |replica: &Replica| arrival::ReplicaSeen {
            name: replica.id.to_string(),
            phase: replica.phase(),
            in_a_row: replica.restart.in_a_row,
            reason: replica.reason.clone(),
        };
        let missing = accepted.system.services.keys().filter(|name| !self.is_complete(name)).map(|name| {
            let waiting_on = self.waiting.get(name).cloned().unwrap_or_default();
            (name.clone(), arrival::ServiceSeen { waiting_on, replicas: self.replicas_of(name).map(replica).collect() })
        });
        arrival::stuck(&missing.collect(), coming)
    }

    fn service_status(&self, name: &str, service: &plimsoll_model::Service) -> ServiceStatus {
        let replicas: Vec<ReplicaStatus> = self
            .replicas_of(name)
            .map(|replica| ReplicaStatus {
                id: replica.id.clone(),
                revision: replica.revision.clone(),
                phase: phase_name(replica.phase()).into(),
                pid: replica.process.as_ref().map(|process| process.pid),
                address: replica.port.map(|port| format!("127.0.0.1:{port}")),
                restarts: replica.restarts,
                started_at: replica.process.as_ref().map(|_| replica.started_at),
                start_took: replica.start_took,
                memory: None,
                cpu_us: None,
                in_flight: self.gateways.in_flight(&replica.id),
                last_exit: replica.last_exit.clone(),
                reason: replica.reason.clone(),
                unenforced: replica.process.as_ref().map(|process| process.unenforced.clone()).unwrap_or_default(),
            })
            .collect();
        let ready = replicas.iter().filter(|replica| replica.phase == "Ready").count();
        ServiceStatus {
            wanted: self.wanted_replicas(name, service),
            ready: u32::try_from(ready).unwrap_or(u32::MAX),
            revision: self.revisions.get(name).cloned().unwrap_or_default(),
            waiting_on: self.waiting.get(name).cloned().unwrap_or_default(),
            replicas,
            edges: self.edges_to(name),
            requests_per_second: self.gateways.requests_per_second(name),
            releasing: self.release_status(name),
            release: self.releases.get(name).map(|release| release.last.reason.clone()),
            autoscaling: self.scaling_said(name),
            sizes: self.sizes(name, service),
        }
    }

    fn edges_to(&self, to: &str) -> BTreeMap<String, String> {
        let callers = self.revisions.keys().filter_map(|from| {
            let edge = EdgeId { from: from.clone(), to: to.into() };
            let address = self.listeners.get(&super::routing::edge_name(&edge))?.as_ref().ok()?;
            Some((from.clone(), format!("http://{address}")))
        });
        callers.collect()
    }

    fn ingress_status(
        &self,
        listen: &Listen,
        hosts: &BTreeMap<String, plimsoll_model::system::IngressHost>,
    ) -> IngressStatus {
        let name = super::routing::ingress_name(listen);
        let scheme = if listen.tls.is_some() { "https" } else { "http" };
        let asked = std::net::SocketAddr::new(listen.address, listen.port).to_string();
        let (address, problem) = match self.listeners.get(&name) {
            Some(Ok(address)) => (address.clone(), None),
            Some(Err(why)) => (asked, Some(why.clone())),
            None => (asked, Some("not bound yet".into())),
        };
        IngressStatus { url: format!("{scheme}://{address}"), hosts: hosts.keys().cloned().collect(), problem }
    }

    /// Figures for Prometheus: those of gateways, and the engine's own.
    pub(super) fn metrics(&self) -> String {
        crate::metrics::text(self.gateways.all(), self.replicas.values())
    }
}

/// The very first version was refused before it ran.
fn never_runs(memory: &plimsoll_control::rollout::Memory) -> bool {
    memory.stable.is_none() && memory.target.is_none() && !memory.quarantine.is_empty()
}

fn store_status(
    name: &str,
    state: &super::storing::StoreState,
    remembered: &BTreeMap<ReplicaId, RememberedReplica>,
) -> StoreStatus {
    let restarts = |place: usize| remembered.get(&ReplicaId::new(name, place as u64 + 1)).map_or(0, |it| it.restarts);
    let seen = |place: usize| state.inspection.as_ref().and_then(|inspection| inspection.members.get(place));
    let members = state.ports.iter().enumerate().map(|(place, port)| MemberStatus {
        name: format!("{name}-{}", place + 1),
        pid: None,
        port: *port,
        role: seen(place).map(|member| member.role.clone()).unwrap_or_default(),
        restarts: restarts(place),
        detail: seen(place).map(|member| member.detail.clone()).unwrap_or_default(),
    });
    let pooler = state.pooler.map(|port| {
        let known = state.inspection.iter().flat_map(|it| &it.members).find(|member| member.name == pooler::NAME);
        MemberStatus {
            name: ReplicaId::new(name, POOLER).to_string(),
            pid: None,
            port,
            role: known.map_or_else(|| pooler::NAME.to_owned(), |member| member.role.clone()),
            restarts: remembered.get(&ReplicaId::new(name, POOLER)).map_or(0, |it| it.restarts),
            detail: known.map(|member| member.detail.clone()).unwrap_or_default(),
        }
    });
    let summary = state.inspection.as_ref().map(|inspection| inspection.summary.clone());
    StoreStatus {
        engine: engine_name(state.store.engine),
        phase: state.phase.into(),
        ready: state.ready,
        reason: if state.ready { summary.unwrap_or_else(|| state.reason.clone()) } else { state.reason.clone() },
        address: state.url.as_deref().map(without_password).unwrap_or_default(),
        members: members.chain(pooler).collect(),
        external: state.store.external.is_some(),
    }
}

/// A URL without user and password.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (_, _) => url.into(),
    }
}

/// Adds what the keeper knows of processes.
fn add_processes(status: &mut Status, inventory: &Inventory, keeper_pid: i32, gateway: u32) {
    let own = |pid: i32, respawns: u64| {
        let program = crate::candidate::program_of(pid).map(|program| program.path);
        OwnProcess { pid, respawns, program, memory_pss: None }
    };
    status.processes.insert("keeper".into(), own(keeper_pid, 0));
    for process in inventory.processes.iter().filter(|process| process.exit.is_none()) {
        let name = match gateway_number(&process.id) {
            Some(number) if number == gateway => Some("gateway".to_owned()),
            Some(number) => Some(format!("gateway-{number}")),
            None => (process.id == ENGINE).then(|| process.id.clone()),
        };
        if let Some(name) = name {
            status.processes.insert(name, own(process.pid, process.respawns));
        }
        let Some((id, _)) = crate::replica::of_process(&process.id) else { continue };
        let members = status.stores.get_mut(&id.service).map(|store| store.members.iter_mut());
        if let Some(member) = members.and_then(|mut all| all.find(|member| member.name == id.to_string())) {
            member.pid = Some(process.pid);
        }
    }
}

/// Adds what processes use, as the kernel tells it.
fn weigh(status: &mut Status, inventory: &Inventory) {
    for own in status.processes.values_mut() {
        own.memory_pss = usage::pss(own.pid);
    }
    for process in inventory.processes.iter().filter(|process| process.exit.is_none()) {
        let Some((id, _)) = crate::replica::of_process(&process.id) else { continue };
        if let Some(service) = status.services.get_mut(&id.service)
            && let Some(replica) = service.replicas.iter_mut().find(|replica| replica.pid == Some(process.pid))
        {
            let used = usage::of(process);
            replica.memory = used.memory;
            replica.cpu_us = used.cpu_us;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_cut_out_of_urls() {
        assert_eq!(without_password("postgres://a:p@w@127.0.0.1:5/db"), "postgres://127.0.0.1:5/db");
        assert_eq!(without_password("redis+cluster://:x@h:1,h:2"), "redis+cluster://h:1,h:2");
        assert_eq!(without_password("http://h"), "http://h");
    }
}
