//! Rate limits: which clients are counted together, and their memories. The decision is `control::route::limit`.
//!
//! Invariant: a limit remembers at most [`CLIENTS_MAX`] clients at once; beyond it, those with a full bucket are forgotten
//! first, and then whoever comes is counted together.

use http::HeaderMap;
use plimsoll_control::route::limit::{self, Memory, Verdict};
use plimsoll_model::{
    Instant,
    route::{LimitBy, RateLimit},
};
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

/// The key under which a client is counted.
pub(crate) fn key(by: &LimitBy, client: IpAddr, headers: &HeaderMap) -> u64 {
    let hash = |bytes: &[u8]| crate::table::hash(bytes.iter().copied());
    match by {
        LimitBy::Everyone => 1,
        LimitBy::Header(name) => match headers.get(name.as_str()) {
            Some(value) => hash(value.as_bytes()),
            None => key(&LimitBy::Client, client, headers),
        },
        LimitBy::Client => match client {
            IpAddr::V4(address) => hash(&address.octets()),
            // An IPv6 client has a whole /64 at least.
            IpAddr::V6(address) => hash(&address.octets()[..8]),
        },
    }
}
