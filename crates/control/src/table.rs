//! From a system and what runs of it to the routes that gateways serve.
//!
//! Invariant: only replicas that are ready get new requests.

use plimsoll_model::{
    ReplicaId, RevisionId, System,
    route::{Backend, Endpoint, Host, Path},
};
use std::{collections::BTreeMap, net::Ipv4Addr};

/// A replica that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its identity.
    pub id: ReplicaId,
    /// The version that it runs.
    pub revision: RevisionId,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// It may be sent new requests.
    pub serving: bool,
    /// The keeper's id of its process.
    pub process: String,
}

/// The hosts of a system's ingress, with the longest paths first.
#[must_use]
pub fn hosts(system: &System) -> Vec<Host> {
    let path = |(prefix, service): (&String, &String)| Path {
        prefix: prefix.clone(),
        service: service.clone(),
        rate_limit: None,
    };
    let host = |(name, host): (&String, &plimsoll_model::system::IngressHost)| {
        let mut paths: Vec<Path> = host.paths.iter().map(path).collect();
        paths.sort_by(|one, other| {
            other.prefix.len().cmp(&one.prefix.len()).then_with(|| one.prefix.cmp(&other.prefix))
        });
        Host { name: name.to_lowercase(), paths, rate_limit: host.rate_limit.clone() }
    };
    system.ingress.hosts.iter().map(host).collect()
}

/// Every service that takes requests, with the replicas that run.
#[must_use]
pub fn backends(system: &System, replicas: &BTreeMap<&str, Vec<Replica>>) -> BTreeMap<String, Backend> {
    let with_port = system.services.iter().filter(|(_, service)| service.port.is_some());
    with_port
        .map(|(name, service)| {
            let here = replicas.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            let backend = Backend {
                replicas: here.iter().map(endpoint).collect(),
                protocol: service.protocol,
                limits: service.limits.clone(),
                sticky: service.sticky.clone(),
                resilience: service.resilience.clone(),
            };
            (name.clone(), backend)
        })
        .collect()
}

fn endpoint(replica: &Replica) -> Endpoint {
    Endpoint {
        id: replica.id.clone(),
        revision: replica.revision.clone(),
        address: (Ipv4Addr::LOCALHOST, replica.port).into(),
        serving: replica.serving,
        weight: 1000,
        process: replica.process.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_model::{Service, system::IngressHost};

    #[test]
    fn the_longest_path_comes_first_and_only_services_with_a_port_are_reached() {
        let mut system = System::default();
        let paths = [("/".to_owned(), "web".to_owned()), ("/api".to_owned(), "api".to_owned())].into();
        system.ingress.hosts.insert("Shop.Localhost".into(), IngressHost { paths, rate_limit: None });
        system.services.insert("api".into(), Service { port: Some(1), ..Service::default() });
        system.services.insert("worker".into(), Service::default());
        let hosts = hosts(&system);
        assert_eq!(hosts[0].name, "shop.localhost");
        assert_eq!(hosts[0].paths[0].prefix, "/api");
        assert_eq!(backends(&system, &BTreeMap::new()).into_keys().collect::<Vec<_>>(), ["api"]);
    }
}
