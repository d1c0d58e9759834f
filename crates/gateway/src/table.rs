//! The route table as requests use it: compiled from one edition, never changed, swapped whole.

mod compile;
mod lookup;

pub(crate) use compile::compile;

use crate::live::{ProcessLive, ReplicaLive, RouteLive, ServiceLive};
use http::{HeaderMap, Uri};
use plimsoll_control::route::{Replica, admission};
use plimsoll_model::{
    audience,
    route::{Limits, Members, Protocol, RateLimit, Resilience},
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

/// One edition, compiled.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) edition: u64,
    /// By listener's name: the route of an edge; `None` for the ingress.
    pub(crate) listeners: BTreeMap<String, Entrance>,
    pub(crate) hosts: lookup::Hosts,
    pub(crate) services: BTreeMap<String, Arc<Backend>>,
    /// Members of stores that may be reached, by store.
    pub(crate) stores: BTreeMap<String, Members>,
    /// How long a client may take to send a head to an ingress, where the file says so.
    pub(crate) header: Option<Duration>,
}

/// What comes in at a listener.
#[derive(Debug, Clone)]
pub(crate) enum Entrance {
    /// Clients from outside; the files of certificate and key, if it ends TLS.
    Ingress(Option<plimsoll_model::route::Tls>),
    /// One service calling another.
    Edge(Arc<Route>),
    /// Whoever uses a store, for reads or for all.
    Store {
        /// Which.
        store: String,
        /// Standbys will do.
        reads: bool,
    },
}

/// Where requests of one kind go.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) live: Arc<RouteLive>,
    /// The name of the service that answers.
    pub(crate) service: String,
    pub(crate) backend: Option<Arc<Backend>>,
    /// Limits that hold, each with the number under which its clients are counted.
    pub(crate) limits: Vec<(u64, RateLimit)>,
}

/// A service.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) live: Arc<ServiceLive>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) protocol: Protocol,
    pub(crate) limits: Limits,
    /// The name of the cookie that keeps a client on its replica.
    pub(crate) sticky: Option<String>,
    pub(crate) resilience: Resilience,
    /// The canary among the endpoints, where others than by its share see it.
    pub(crate) canary: Option<Canary>,
    /// What two versions among the endpoints are asked beside what users ask.
    pub(crate) synthetic: Option<Synthetic>,
}

/// Synthetic requests that are to be made.
#[derive(Debug)]
pub(crate) struct Synthetic {
    /// The places of each version's endpoints; those that are drained are left out.
    pub(crate) places: [Vec<usize>; 2],
    /// From one to the next, of each version.
    pub(crate) every: Duration,
    /// What is asked, in turn; not empty.
    pub(crate) requests: Vec<(Uri, HeaderMap)>,
}

/// A canary.
#[derive(Debug)]
pub(crate) struct Canary {
    pub(crate) rule: audience::Canary,
    /// A sum of its version: each release tries itself on other clients.
    pub(crate) salt: u64,
}

/// A replica.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) live: Arc<ReplicaLive>,
    pub(crate) process: Arc<ProcessLive>,
    pub(crate) process_id: String,
    pub(crate) address: SocketAddr,
    pub(crate) serving: bool,
    pub(crate) weight: u16,
    /// The number of its connections.
    pub(crate) pool: u64,
    /// What the cookie of its clients says.
    pub(crate) cookie: String,
    /// It runs the canary's version.
    pub(crate) canary: bool,
}

impl Endpoint {
    /// As the choice for a request sees it.
    pub(crate) fn as_replica(&self) -> Replica {
        Replica {
            weight: self.weight,
            share: self.live.share.load(Relaxed),
            in_flight: self.live.in_flight.load(Relaxed),
            latency_us: self.live.latency_us.load(Relaxed),
            open: self.serving && !self.live.ejected.load(Relaxed) && !self.process.gone.load(Relaxed),
            canary: self.canary,
        }
    }
}

impl Backend {
    /// How many requests may be in flight, over all open replicas.
    pub(crate) fn in_flight_max(&self) -> u64 {
        let open = self.endpoints.iter().filter(|endpoint| endpoint.as_replica().open).count();
        admission::room(&self.limits, u32::try_from(open).unwrap_or(u32::MAX))
    }
}
