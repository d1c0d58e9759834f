//! Routes: listeners bound by the keeper, and the table that gateways serve.

use super::{Engine, turning::Wake};
use crate::input::Input;
use plimsoll_control::listening;
use plimsoll_control::table::{self, Replica as RouteReplica};
use plimsoll_journal::entry::Entry;
use plimsoll_model::{
    EdgeId, Instant, System,
    route::{Entry as RouteEntry, Listener, Members, ROUTES, RouteTable},
    system::Listen,
};
use plimsoll_wire::channel::memfd;
use std::{collections::BTreeMap, net::Ipv4Addr};

/// The table that was published last.
#[derive(Default)]
pub(crate) struct Routes {
    pub(crate) table: RouteTable,
    /// Whoever keeps it has lost it: it is published though nothing in it has changed.
    pub(super) lost: bool,
}

impl Routes {
    /// The number of the next edition.
    pub(crate) fn next_edition(&self) -> u64 {
        self.table.edition + 1
    }
}

/// The kept name of an edge's listener.
pub(crate) fn edge_name(edge: &EdgeId) -> String {
    format!("edge/{edge}")
}

/// The kept name of an ingress listener.
pub(crate) fn ingress_name(listen: &Listen) -> String {
    format!("ingress/{}", std::net::SocketAddr::new(listen.address, listen.port))
}

/// The kept names of the listeners of a store with standbys: to its primary, and for reads.
pub(crate) fn store_names(store: &str) -> [String; 2] {
    [format!("store/{store}"), format!("store/{store}/reads")]
}

/// The edges of a system: from each service to those that it uses or calls.
pub(crate) fn edges(system: &System) -> Vec<EdgeId> {
    let mut edges = Vec::new();
    for (from, service) in &system.services {
        for link in service.uses.iter().chain(&service.calls) {
            if system.services.contains_key(&link.to) {
                edges.push(EdgeId { from: from.clone(), to: link.to.clone() });
            }
        }
    }
    edges.sort();
    edges.dedup();
    edges
}

impl Engine {
    /// Asks the keeper to bind the listeners that are not bound yet.
    pub(super) fn bind_listeners(&mut self, now: Instant, wake: &mut Wake) {
        self.listeners.retain(|name, result| result.is_ok() || self.refused.get(name).is_none_or(|(_, at)| *at > now));
        for (_, at) in self.refused.values() {
            wake.at(Some(*at).filter(|at| *at > now));
        }
        let Some(accepted) = self.record.remembered.accepted.clone() else { return };
        if self.record.remembered.ending.is_some() {
            return;
        }
        let system = &accepted.system;
        for edge in edges(system) {
            self.bind_edge(&edge_name(&edge));
        }
        let fronts: Vec<_> =
            self.stores.iter().filter_map(|(name, state)| Some((name.clone(), state.front?))).collect();
        for (name, front) in fronts {
            for (name, port) in store_names(&name).into_iter().zip([front.port, front.reads]) {
                self.bind(name, format!("127.0.0.1:{port}"));
            }
        }
        for listen in &system.ingress.listen {
            let name = ingress_name(listen);
            let port = if listen.port == 0 { self.addresses.known(&name).unwrap_or(0) } else { listen.port };
            self.bind(name, std::net::SocketAddr::new(listen.address, port).to_string());
        }
    }

    /// Chooses an edge's port if it has none, and binds it.
    pub(super) fn bind_edge(&mut self, name: &str) {
        if self.listeners.contains_key(name) || self.binding.contains(name) {
            return;
        }
        let port = match self.addresses.known(name) {
            Some(port) => port,
            None => {
                let Some(port) = self.addresses.choose(false) else { return };
                self.addresses.remember(name, port);
                self.record.note(Entry::Port { name: name.into(), port });
                port
            }
        };
        self.bind(name.into(), format!("127.0.0.1:{port}"));
    }

    fn bind(&mut self, name: String, address: String) {
        if self.listeners.contains_key(&name) || !self.binding.insert(name.clone()) {
            return;
        }
        let (keeper, inputs) = (self.keeper.clone(), self.inputs.clone());
        tokio::task::spawn_local(async move {
            let result = keeper.listener(&name, &address).await.map_err(|error| error.to_string());
            inputs.send(Input::Listening { name, result }).ok();
        });
    }

    /// A listener was bound, or refused.
    pub(super) fn take_listening(&mut self, name: String, result: Result<String, String>) {
        self.binding.remove(&name);
        match &result {
            Ok(address) => {
                self.refused.remove(&name);
                let port = address.parse::<std::net::SocketAddr>().map(|address| address.port());
                if let (Ok(port), true) = (port, name.starts_with("ingress/")) {
                    self.addresses.remember(&name, port);
                    self.record.note(Entry::Port { name: name.clone(), port });
                    self.tell("ingress", "Listening", &format!("on {address}"), false);
                }
            }
            Err(why) => self.take_refusal(&name, why),
        }
        self.listeners.insert(name, result);
    }

    /// A listener was refused: asked for again, or given another port.
    fn take_refusal(&mut self, name: &str, why: &str) {
        let now = self.clock.now();
        let refusals = self.refused.get(name).map_or(0, |(refusals, _)| *refusals) + 1;
        let chosen = name.starts_with("edge/");
        let again_at = match listening::decide(refusals, chosen) {
            listening::Act::Again(wait) => now.after(wait),
            listening::Act::Elsewhere => {
                self.tell(
                    name,
                    "PortTaken",
                    &format!("{why}; another port is told to replicas that start from now on"),
                    true,
                );
                self.addresses.forget(name);
                now
            }
        };
        if refusals == 2 && !chosen {
            self.tell("ingress", "PortTaken", &format!("{why}; free it: it is asked for again and again"), true);
        }
        self.refused.insert(name.into(), (refusals, again_at));
    }

    /// Publishes the routes if they have changed.
    ///
    /// Not while a listener is still being bound: a table without it would have gateways close its connections.
    pub(super) fn publish(&mut self) {
        if !self.binding.is_empty() {
            return;
        }
        let mut table = self.table();
        if table == self.routes.table && !self.routes.lost {
            return;
        }
        table.edition = self.routes.next_edition();
        self.routes = Routes { table, lost: false };
        let Ok(text) = serde_json::to_vec(&self.routes.table) else { return };
        let (keeper, inputs) = (self.keeper.clone(), self.inputs.clone());
        match memfd(ROUTES, &text) {
            Ok(fd) => {
                tokio::task::spawn_local(async move {
                    if keeper.keep(ROUTES, fd).await.is_err() {
                        inputs.send(Input::KeeperLost).ok();
                    }
                });
            }
            Err(error) => self.tell("system", "RoutesNotPublished", &error.to_string(), true),
        }
    }

    /// The table as it should be now, in the present edition.
    fn table(&self) -> RouteTable {
        let Some(accepted) = &self.record.remembered.accepted else { return RouteTable::default() };
        let system = &accepted.system;
        let mut replicas: BTreeMap<&str, Vec<RouteReplica>> = BTreeMap::new();
        for replica in self.replicas.values() {
            let (Some(port), Some(_)) = (replica.port, &replica.process) else { continue };
            replicas.entry(&replica.id.service).or_default().push(RouteReplica {
                id: replica.id.clone(),
                revision: replica.revision.clone(),
                port,
                serving: replica.serves(),
                process: replica.process_id(),
            });
        }
        RouteTable {
            edition: self.routes.table.edition,
            listeners: self.bound_listeners(system),
            hosts: table::hosts(system),
            services: table::backends(system, &replicas, &self.splits()),
            stores: self.reached_members(),
            header: system.ingress.header,
        }
    }

    /// Who is reached of each store with standbys.
    fn reached_members(&self) -> BTreeMap<String, Members> {
        let fronted = self.stores.iter().filter(|(_, state)| state.front.is_some());
        let members = fronted.map(|(name, state)| {
            let address = |place: &usize| state.ports.get(*place).map(|port| (Ipv4Addr::LOCALHOST, *port).into());
            let (to, reads) = &state.leads;
            let primary = to.as_ref().and_then(address);
            (name.clone(), Members { primary, standbys: reads.iter().filter_map(address).collect() })
        });
        members.collect()
    }

    /// Those that are bound, and those that were: while the keeper is asked again (this engine or the keeper is new), a
    /// gateway serves them already, and would close them if they were not in the table.
    fn bound_listeners(&self, system: &System) -> Vec<Listener> {
        let served = |name: &String| self.routes.table.listeners.iter().any(|listener| listener.name == *name);
        let bound = |name: &String| self.listeners.get(name).is_some_and(Result::is_ok) || served(name);
        let edges =
            edges(system).into_iter().map(|edge| Listener { name: edge_name(&edge), entry: RouteEntry::Edge(edge) });
        let ingress = system.ingress.listen.iter().map(|listen| Listener {
            name: ingress_name(listen),
            entry: RouteEntry::Ingress { tls: listen.tls.clone() },
        });
        let stores = self.stores.iter().filter(|(_, state)| state.front.is_some()).flat_map(|(store, _)| {
            let entries = [RouteEntry::Store(store.clone()), RouteEntry::Reads(store.clone())];
            store_names(store).into_iter().zip(entries).map(|(name, entry)| Listener { name, entry })
        });
        edges.chain(ingress).chain(stores).filter(|listener| bound(&listener.name)).collect()
    }

    /// Lets go of listeners that the accepted system no longer has.
    pub(super) fn drop_listeners(&mut self) {
        let Some(accepted) = &self.record.remembered.accepted else { return };
        let mut wanted: Vec<String> = edges(&accepted.system).iter().map(edge_name).collect();
        wanted.extend(accepted.system.ingress.listen.iter().map(ingress_name));
        let stores = accepted.system.stores.iter();
        let stores = stores.filter(|(name, store)| self.replicated_members(name, store).is_some());
        wanted.extend(stores.flat_map(|(name, _)| store_names(name)));
        let gone: Vec<String> = self.listeners.keys().filter(|name| !wanted.contains(name)).cloned().collect();
        for name in gone {
            self.listeners.remove(&name);
            let keeper = self.keeper.clone();
            tokio::task::spawn_local(async move {
                keeper.drop_kept(&name).await.ok();
            });
        }
        // A refused port is tried again with each offer: somebody may have freed it.
        self.listeners.retain(|_, result| result.is_ok());
    }
}
