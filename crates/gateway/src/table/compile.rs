//! Makes a table of an edition, with the live figures that outlive it.

use super::{Backend, Canary, Endpoint, Entrance, Route, Table, lookup::Hosts};
use crate::{live::Registry, synthetic};
use plimsoll_model::{
    audience,
    route::{self, Entry, RateLimit, RouteTable},
};
use plimsoll_wire::sum::{START, fnv};
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
    let mut table = Table {
        edition: edition.edition,
        services,
        stores: edition.stores.clone(),
        header: edition.header.map(|header| header.as_duration()),
        ..Table::default()
    };
    for listener in &edition.listeners {
        let entrance = match &listener.entry {
            Entry::Ingress { tls } => Entrance::Ingress(tls.clone()),
            Entry::Store(store) => Entrance::Store { store: store.clone(), reads: false },
            Entry::Reads(store) => Entrance::Store { store: store.clone(), reads: true },
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
    let live = registry.service(name, &service.resilience);
    let compile = |endpoint| compile_endpoint(endpoint, service.canary.as_ref(), registry);
    let endpoints = service.replicas.iter().map(compile).collect();
    let canary =
        service.canary.as_ref().map(|rule| Canary { salt: fnv(START, rule.revision.0.as_bytes()), rule: rule.clone() });
    Backend {
        live,
        endpoints,
        protocol: service.protocol,
        limits: service.limits.clone(),
        sticky: service.sticky.as_ref().map(|sticky| sticky.cookie.clone()),
        resilience: service.resilience.clone(),
        canary,
        synthetic: service.synthetic.as_ref().and_then(|asking| synthetic::compile(name, asking, &service.replicas)),
    }
}

fn compile_endpoint(
    endpoint: &route::Endpoint,
    canary: Option<&audience::Canary>,
    registry: &mut Registry,
) -> Endpoint {
    let audience = canary.filter(|canary| canary.revision == endpoint.revision).map(|canary| &canary.audience);
    let weight = match audience {
        // Chance gives it nothing; among its own, each is a full one.
        Some(audience) if audience.matches.is_some() && endpoint.weight == 0 => 1000,
        _ => endpoint.weight.min(1000),
    };
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
        live.share.store(weight, Relaxed);
    }
    Endpoint {
        process,
        process_id: endpoint.process.clone(),
        address: endpoint.address,
        // Without a weight it gets what is meant for it alone: copies.
        serving: endpoint.serving && (weight > 0 || audience.is_some()),
        weight,
        pool,
        cookie: format!("{:016x}", fnv(START, endpoint.id.to_string().as_bytes())),
        canary: audience.is_some(),
        live,
    }
}

/// The number under which the clients of a limit are counted: another one when the limit changes.
fn number_of(name: &str, limit: &RateLimit) -> u64 {
    let limit = format!("{}/{}/{:?}", limit.requests, limit.per.0, limit.by);
    fnv(fnv(fnv(START, name.as_bytes()), &[0]), limit.as_bytes())
}
