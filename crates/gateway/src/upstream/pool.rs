//! Connections to replicas that wait for their next request. Each worker has its own, so nothing is locked.
//!
//! Invariant: a connection is kept for less time than a replica keeps it, as far as the replica is a common server.

use super::Link;
use crate::{connection, payload::Payload};
use hyper::client::conn::http2::SendRequest;
use std::{cell::RefCell, collections::BTreeMap};

/// Idle connections to one replica, at most, for each worker.
const IDLE_MAX: usize = 512;

struct Idle {
    link: Box<Link>,
    since: u32,
}

thread_local! {
    static IDLE: RefCell<BTreeMap<u64, Vec<Idle>>> = const { RefCell::new(BTreeMap::new()) };
    static SHARED: RefCell<BTreeMap<u64, SendRequest<Payload>>> = const { RefCell::new(BTreeMap::new()) };
}

/// The connection of that pool that was used last. Whether its replica has closed it, the first use tells.
pub(crate) fn take(pool: u64) -> Option<Box<Link>> {
    IDLE.with_borrow_mut(|idle| idle.get_mut(&pool)?.pop()).map(|idle| idle.link)
}

/// The connection of that pool that was used last among those that their replica has not closed.
pub(crate) fn take_alive(pool: u64) -> Option<Box<Link>> {
    loop {
        // Not one borrow for all: dropping a link must not find the pool borrowed.
        let mut idle = IDLE.with_borrow_mut(|idle| idle.get_mut(&pool)?.pop())?;
        if idle.link.is_alive() {
            return Some(idle.link);
        }
    }
}

/// Keeps a connection for the next request, if it can take one.
pub(crate) fn put(pool: u64, mut link: Box<Link>) {
    if !link.is_alive() {
        return;
    }
    let since = connection::tick();
    IDLE.with_borrow_mut(|idle| {
        let idle = idle.entry(pool).or_default();
        if idle.len() < IDLE_MAX {
            idle.push(Idle { link, since });
        }
    });
}

/// The HTTP/2 connection of that pool, if it still stands.
pub(crate) fn shared(pool: u64) -> Option<SendRequest<Payload>> {
    SHARED.with_borrow(|shared| shared.get(&pool).filter(|sender| !sender.is_closed()).cloned())
}

/// Has others use this HTTP/2 connection too.
pub(crate) fn share(pool: u64, sender: SendRequest<Payload>) {
    SHARED.with_borrow_mut(|shared| shared.insert(pool, sender));
}

/// One tick: closes what was idle for too long.
pub(crate) fn sweep(idle_ms: u64) {
    let most = u32::try_from(idle_ms / connection::TICK_MS).unwrap_or(u32::MAX);
    let now = connection::tick();
    let mut old = Vec::new();
    IDLE.with_borrow_mut(|idle| {
        for links in idle.values_mut() {
            // The oldest are in front.
            let keep = links.partition_point(|idle| now.wrapping_sub(idle.since) > most);
            old.extend(links.drain(..keep));
        }
        idle.retain(|_, links| !links.is_empty());
    });
    SHARED.with_borrow_mut(|shared| shared.retain(|_, sender| !sender.is_closed()));
}
