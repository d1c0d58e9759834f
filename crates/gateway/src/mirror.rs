//! Copies of requests for a canary: sent beside the request itself, and their answers thrown away.
//!
//! Invariant: a client neither waits for a copy nor sees anything of it.
//! Invariant: a copy counts for the replica that got it (its requests, its errors, its latency), and nowhere else: not as a
//! request in flight, not as a failure for which a replica is left out, not for the route. It counts once it has ended.

use crate::{
    choose::choose_for_copy,
    connection::Connection,
    draw::draw,
    forward::Errand,
    live::{ServiceLive, bump},
    outgoing::Outgoing,
    patience::Patience,
    table::Backend,
    upstream::Failure,
};
use http::HeaderValue;
use plimsoll_control::route::version::{Copy, copy};
use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tokio::time::{self, Instant};

/// The header by which a replica knows a copy. Services that pass it on say so to those that they call.
pub(crate) const MARK: &str = "x-plimsoll-mirror";

/// Sends a copy of a request that another version than the canary gets, if there is to be one.
pub(crate) fn mirror(connection: &Connection, backend: &Arc<Backend>, errand: &impl Errand) {
    let Some(canary) = &backend.canary else { return };
    let live = &backend.live;
    match copy(&canary.rule, live.copies.load(Relaxed), draw()) {
        Copy::No => {}
        Copy::Drop if errand.is_copyable() => {
            live.copies_dropped.fetch_add(1, Relaxed);
        }
        Copy::Drop => {}
        Copy::Send => {
            if let Some(mut outgoing) = errand.copy() {
                outgoing.headers.insert(MARK, HeaderValue::from_static("1"));
                let place = Place::take(live);
                tokio::spawn(carry(Arc::clone(backend), outgoing, connection.worker, place));
            }
        }
    }
}

/// One of the copies that may be under way.
struct Place(Arc<ServiceLive>);

impl Place {
    fn take(live: &Arc<ServiceLive>) -> Self {
        live.copies.fetch_add(1, Relaxed);
        Self(Arc::clone(live))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.copies.fetch_sub(1, Relaxed);
    }
}

/// How a request that nobody waits for has ended.
pub(crate) struct Ended {
    /// With 5xx, or without an answer.
    pub(crate) failed: bool,
    /// After so many microseconds, if it was answered.
    pub(crate) micros: Option<u64>,
}

/// Carries a copy to a replica of the canary and reads its answer to the end.
async fn carry(backend: Arc<Backend>, mut outgoing: Outgoing, worker: usize, place: Place) {
    let Some(chosen) = choose_for_copy(&backend) else { return };
    ask(&backend, &mut outgoing, chosen, worker).await;
    drop(place);
}

/// Asks a replica what nobody waits for, and counts it there; `None`: the gateway has no descriptor for it, and nothing is
/// known of the replica.
pub(crate) async fn ask(backend: &Backend, outgoing: &mut Outgoing, chosen: usize, worker: usize) -> Option<Ended> {
    let longest = backend.limits.response.as_duration();
    let patience = Patience { deadline: Instant::now() + longest, answer: longest, end: None };
    let began = std::time::Instant::now();
    let ended = match time::timeout(longest, exchange(backend, outgoing, chosen, patience)).await {
        Ok(Ok(status)) => {
            let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            Ended { failed: status >= 500, micros: Some(micros) }
        }
        Ok(Err(Failure::Exhausted)) => return None,
        Ok(Err(_)) | Err(_) => Ended { failed: true, micros: None },
    };
    let shard = &backend.endpoints[chosen].live.shards[worker];
    if let Some(micros) = ended.micros {
        shard.latency.count(micros);
    }
    bump(&shard.requests, 1);
    bump(&shard.copies, 1);
    bump(&shard.errors, u64::from(ended.failed));
    Some(ended)
}

/// The status of the answer, once all of it came.
async fn exchange(
    backend: &Backend,
    outgoing: &mut Outgoing,
    chosen: usize,
    patience: Patience,
) -> Result<u16, Failure> {
    let answer = outgoing.attempt(backend, &backend.endpoints[chosen], patience).await?;
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    while let Some(frame) = poll_fn(|context| body.poll_frame(context)).await {
        frame.map_err(|_| Failure::Closed)?;
    }
    Ok(status)
}
