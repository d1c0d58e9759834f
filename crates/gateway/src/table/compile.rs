//! Makes a table of an edition, with the live figures that outlive it.

use super::{Backend, Endpoint, Entrance, Route, Table, lookup::Hosts};
use crate::live::Registry;
use plimsoll_model::route::{self, Entry, RateLimit, RouteTable};
use std::{collections::BTreeMap, sync::Arc, sync::atomic::Ordering::Relaxed};

/// A compiled edition, and the processes whose death has to be watched.
pub(crate) struct Compiled {
    pub(crate) table: Table,
    /// By the keeper's id of the process.
    pub(crate) processes: BTreeMap<String, Arc<crate::live::ProcessLive>>,
}

/// Compiles an edition.
pub(crate) fn compile(edition: &RouteTable, registry: &mut Registry) -> Compiled {
    let mut processes = BTreeMap::new();
    let mut services = BTreeMap::new();
    for (name, service) in &edition.services {
        let backend = compile_service(name, service, registry);
        for endpoint in backend.endpoints.iter().filter(|endpoint| !endpoint.process_id.is_empty()) {
            processes.insert(endpoint.process_id.clone(), Arc::clone(&endpoint.process));
        }
        services.insert(name.clone(), Arc::new(backend));
    }
    let mut table = Table { edition: edition.edition, services, ..Table::default() };
    for listener in &edition.listeners {
        let entrance = match &listener.entry {
            Entry::Ingress { tls } => Entrance::Ingress(tls.clone()),
            Entry::Edge(edge) => Entrance::Edge(Arc::new(Route {
                live: registry.route(&edge.to_string()),
                service: edge.to.clone(),
                backend: table.services.get(&edge.to).cloned(),
                limits: Vec::new(),
            })),
        };
        table.listeners.insert(listener.name.clone(), entrance);
    }
    table.hosts = compile_hosts(edition, &table.services, registry);
    registry.forget_unused();
    Compiled { table, processes }
}

fn compile_hosts(edition: &RouteTable, services: &BTreeMap<String, Arc<Backend>>, registry: &mut Registry) -> Hosts {
    let mut hosts = Hosts::default();
    for host in &edition.hosts {
        for path in &host.paths {
            let name = format!("{}{}", host.name, path.prefix);
            let mut limits = Vec::new();
            if let Some(limit) = &host.rate_limit {
                limits.push((number_of(&host.name, limit), limit.clone()));
            }
            if let Some(limit) = &path.rate_limit {
                limits.push((number_of(&name, limit), limit.clone()));
            }
            let route = Route {
                live: registry.route(&name),
                service: path.service.clone(),
                backend: services.get(&path.service).cloned(),
                limits,
            };
            hosts.add(&host.name, &path.prefix, Arc::new(route));
        }
    }
    hosts
}

fn compile_service(name: &str, service: &route::Backend, registry: &mut Registry) -> Backend {
    let live = registry.service(name);
    let endpoints = service.replicas.iter().map(|endpoint| compile_endpoint(endpoint, registry)).collect();
    Backend {
        live,
        endpoints,
        protocol: service.protocol,
        limits: service.limits.clone(),
        sticky: service.sticky.as_ref().map(|sticky| sticky.cookie.clone()),
        resilience: service.resilience.clone(),
    }
}

fn compile_endpoint(endpoint: &route::Endpoint, registry: &mut Registry) -> Endpoint {
    let live = registry.replica(&endpoint.id);
    let key = if endpoint.process.is_empty() {
        format!("{}@{}", endpoint.id, endpoint.address)
    } else {
        endpoint.process.clone()
    };
    let process = registry.process(&key);
    let pool = registry.pool(&endpoint.id, &key, endpoint.address.to_string());
    if Arc::strong_count(&live) == 2 {
        // Nobody used it before: until `weigh` has spoken, its share is its weight.
        live.share.store(endpoint.weight.min(1000), Relaxed);
    }
    Endpoint {
        process,
        process_id: endpoint.process.clone(),
        address: endpoint.address,
        serving: endpoint.serving && endpoint.weight > 0,
        weight: endpoint.weight.min(1000),
        pool,
        cookie: format!("{:016x}", hash(endpoint.id.to_string().bytes())),
        live,
    }
}

/// The number under which the clients of a limit are counted: another one when the limit changes.
fn number_of(name: &str, limit: &RateLimit) -> u64 {
    let limit = format!("{}/{}/{:?}", limit.requests, limit.per.0, limit.by);
    hash(name.bytes().chain([0]).chain(limit.bytes()))
}

/// FNV-1a, 64 bits.
pub(crate) fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
