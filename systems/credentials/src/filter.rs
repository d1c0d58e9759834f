//! The Bloom filter of taken names, spread over a Redis (or Redis Cluster) as bitmaps.
//!
//! "Not in the filter" means free; "in the filter" means perhaps taken, and PostgreSQL settles it. The filter is blocked:
//! all bits of a name lie in one block of 512 bits, so one `GETRANGE` of 64 bytes answers a name, and a bitmap that Redis
//! lost shows as a short answer instead of as "free". Bitmaps are `{names:0}:GENERATION` …, one shard each; the hash tag
//! spreads them over the cluster's masters. Parameters are stored beside them, at `{names}:filter`.
//!
//! Invariant: a name is answered "absent" only from a bitmap of the generation whose parameters were read.

mod layout;
mod rebuild;
mod store;

pub use layout::{BLOCK_BITS, Layout, Place};
pub use rebuild::{RebuildError, Rebuilt, rebuild};
pub use store::{Filter, Generation, Presence};
