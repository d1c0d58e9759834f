//! Rate limits: which clients are counted together, and their memories. The decision is `control::route::limit`.
//!
//! Invariant: a limit remembers at most [`CLIENTS_MAX`] clients at once; beyond it, those with a full bucket are forgotten
//! first, and then whoever comes is counted together (one more entry for each limit and shard).

use plimsoll_control::route::limit::{self, Memory, Verdict};
use plimsoll_model::{
    Instant,
    route::{LimitBy, RateLimit},
};
use plimsoll_wire::sum::{START, fnv};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

const SHARDS: usize = 32;
/// Clients that are remembered, over all limits; 40 bytes each.
const CLIENTS_MAX: usize = 128 * 1024;

/// The memories of all limits, shared by all workers.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    shards: [Mutex<BTreeMap<(u64, u64), Memory>>; SHARDS],
}

impl Rates {
    /// Decides about a request of the client with that key, under the limit with that number.
    pub(crate) fn decide(&self, number: u64, policy: &RateLimit, key: u64, at: Instant) -> Verdict {
        let place = usize::try_from((key ^ (key >> 32)) % SHARDS as u64).unwrap_or(0);
        let mut shard = self.shards[place].lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= CLIENTS_MAX / SHARDS && !shard.contains_key(&(number, key)) {
            shard.retain(|_, memory| memory.0 > at);
            if shard.len() >= CLIENTS_MAX / SHARDS {
                return limit::limit(policy, shard.entry((number, 0)).or_default(), at);
            }
        }
        limit::limit(policy, shard.entry((number, key)).or_default(), at)
    }
}

/// The key under which a client is counted. `field`: the value of its header field with a name.
pub(crate) fn key<'a>(by: &LimitBy, client: IpAddr, field: impl Fn(&str) -> Option<&'a [u8]>) -> u64 {
    match by {
        LimitBy::Everyone => 1,
        LimitBy::Header(name) => match field(name) {
            Some(value) => fnv(START, value),
            None => by_address(client),
        },
        LimitBy::Client => by_address(client),
    }
}

fn by_address(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(address) => fnv(START, &address.octets()),
        // An IPv6 client has a whole /64 at least.
        IpAddr::V6(address) => fnv(START, &address.octets()[..8]),
    }
}
