//! Requests that nobody made: while a release is judged and its users ask too little, both versions of the service are asked
//! the same, equally often, in the same seconds.
//!
//! Whether, what and how often comes with the table; which replica is next is its turn, whatever its weight, among as many of
//! each version.
//!
//! Invariant: each request to one version has its twin to the other one, or neither is made.
//! Invariant: they count for the replicas that answered them, told apart, and nowhere else: as copies do ([`crate::mirror`]).
//! Invariant: they end with the table that asked for them, and with the gateway's time to accept.

use crate::{
    live::{ServiceLive, bump},
    mirror::ask,
    outgoing::Outgoing,
    shared::Shared,
    table::{Backend, Synthetic},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use plimsoll_control::route::version::synthetic_twins;
use plimsoll_model::{route, synthetic::Asking};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::time::{self, MissedTickBehavior};

/// The header by which a replica knows such a request. Services that pass it on say so to those that they call.
pub(crate) const MARK: &str = "x-plimsoll-synthetic";

/// Makes what a table asks for ready to be sent; `None` if nothing of it can be.
pub(crate) fn compile(service: &str, asking: &Asking, replicas: &[route::Endpoint]) -> Option<Synthetic> {
    let mut headers = HeaderMap::new();
    for (name, value) in &asking.traffic.headers {
        let (name, value) = (HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        headers.append(name, value);
    }
    if !headers.contains_key(header::HOST) {
        headers.insert(header::HOST, HeaderValue::try_from(service).ok()?);
    }
    headers.insert(MARK, HeaderValue::from_static("1"));
    let paths = asking.traffic.paths.iter().filter_map(|path| Uri::try_from(path.as_str()).ok());
    let requests: Vec<(Uri, HeaderMap)> = paths.map(|uri| (uri, headers.clone())).collect();
    let of = |number: usize| {
        let own = |one: &route::Endpoint| one.serving && one.revision == asking.versions[number];
        replicas.iter().enumerate().filter(|(_, one)| own(one)).map(|(place, _)| place).collect::<Vec<_>>()
    };
    let every = Duration::from_secs(1) / asking.traffic.requests_per_second.max(1);
    (!requests.is_empty()).then(|| Synthetic { places: [of(0), of(1)], every, requests })
}

/// Begins to make what the table in force asks for, where nobody does already.
pub(crate) fn begin(worker: usize, shared: &Arc<Shared>) {
    for (name, backend) in &shared.table.load().services {
        if backend.synthetic.is_some() && !backend.live.is_asked.swap(true, Relaxed) {
            tokio::spawn(keep_asking(worker, Arc::clone(shared), name.clone(), Arc::clone(&backend.live)));
        }
    }
}

/// Asks both versions until the table no longer says so.
async fn keep_asking(worker: usize, shared: Arc<Shared>, name: String, live: Arc<ServiceLive>) {
    let mut turn = 0;
    let mut ticks: Option<time::Interval> = None;
    loop {
        let backend = shared.table.load().services.get(&name).cloned();
        let Some((backend, every)) =
            backend.and_then(|one| one.synthetic.as_ref().map(|own| own.every).map(|every| (one, every)))
        else {
            break;
        };
        if shared.draining.load(Relaxed) {
            break;
        }
        let ticks = match &mut ticks {
            Some(ticks) if ticks.period() == every => ticks,
            other => {
                let mut fresh = time::interval(every);
                // What was missed is not made up for: a burst would say nothing of a version at its usual load.
                fresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
                other.insert(fresh)
            }
        };
        ticks.tick().await;
        ask_both(worker, &backend, turn);
        turn += 1;
    }
    live.is_asked.store(false, Relaxed);
}

/// Asks one replica of each version the same.
fn ask_both(worker: usize, backend: &Arc<Backend>, turn: usize) {
    let Some(synthetic) = &backend.synthetic else { return };
    let open = |places: &[usize]| -> Vec<usize> {
        places.iter().copied().filter(|place| !backend.endpoints[*place].process.gone.load(Relaxed)).collect()
    };
    let [one, other] = [open(&synthetic.places[0]), open(&synthetic.places[1])];
    let (paths, under_way) = (synthetic.requests.len(), backend.live.synthetic.load(Relaxed));
    let Some(twins) = synthetic_twins([&one, &other], paths, turn, under_way) else { return };
    let (uri, headers) = &synthetic.requests[twins.path];
    for place in twins.places {
        let outgoing = Outgoing::reading(Method::GET, uri.clone(), headers.clone());
        let under_way = UnderWay::begin(&backend.live);
        tokio::spawn(carry(Arc::clone(backend), outgoing, (place, worker), under_way));
    }
}

async fn carry(backend: Arc<Backend>, mut outgoing: Outgoing, (place, worker): (usize, usize), under_way: UnderWay) {
    if let Some(ended) = ask(&backend, &mut outgoing, place, worker).await {
        let own = backend.endpoints[place].live.shards[worker].synthetic.get_or_init(Box::default);
        bump(&own.requests, 1);
        bump(&own.errors, u64::from(ended.failed));
        if let Some(micros) = ended.micros {
            own.latency.count(micros);
        }
    }
    drop(under_way);
}

/// A synthetic request that has not ended.
struct UnderWay(Arc<ServiceLive>);

impl UnderWay {
    fn begin(live: &Arc<ServiceLive>) -> Self {
        live.synthetic.fetch_add(1, Relaxed);
        Self(Arc::clone(live))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.synthetic.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_model::{RevisionId, synthetic::Synthetic as Traffic};

    #[test]
    fn every_path_that_a_file_may_have_is_asked_for_as_it_is_written() {
        // What `spec` lets through: what can be seen, but for five.
        let may = (0x21..=0x7e_u8).map(char::from).filter(|c| !"#<>`\"".contains(*c));
        let paths: Vec<String> = may.flat_map(|c| [format!("/a{c}b"), format!("/a?b={c}")]).collect();
        let versions = ["old", "new"].map(|name| RevisionId(name.into()));
        let traffic = Traffic { paths: paths.clone(), ..Traffic::default() };
        let compiled = compile("web", &Asking { versions, traffic }, &[]).unwrap();
        let asked: Vec<String> = compiled.requests.iter().map(|(uri, _)| uri.to_string()).collect();
        assert_eq!(asked, paths);
    }
}
