//! Answers remembered in this process for a short while.
//!
//! Invalidation: a registration through this replica replaces its entry at once. Other replicas learn by expiry: "free"
//! lives one second (so that is how long another replica may still say so), "taken" one minute (accounts are never
//! deleted, so it stays true). Bounded: each shard holds two generations and drops the older when the younger is full.

use crate::names::Folded;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const SHARDS: usize = 16;
/// Entries per generation and shard: 2 × 16 × 4,096 × ~100 B ≈ 13 MB at most.
const GENERATION_MAX: usize = 4096;
const FREE_FOR: Duration = Duration::from_secs(1);
const TAKEN_FOR: Duration = Duration::from_secs(60);

/// Who owns a folded name: `None` nobody, else the owner's name as registered.
pub type Owner = Option<Folded>;

#[derive(Default)]
struct Shard {
    young: HashMap<Folded, (Owner, Instant)>,
    old: HashMap<Folded, (Owner, Instant)>,
}

/// The cache; shared by reference.
pub struct Cache {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

impl Default for Cache {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Cache {
    /// What is remembered of `folded` at `now`.
    pub fn get(&self, folded: &Folded, now: Instant) -> Option<Owner> {
        let shard = self.shard(folded);
        let (owner, until) = shard.young.get(folded).or_else(|| shard.old.get(folded))?;
        (now < *until).then_some(*owner)
    }

    /// Remembers an answer. "Free" never replaces a living "taken": it may be older than the registration.
    pub fn put(&self, folded: Folded, owner: Owner, now: Instant) {
        let mut shard = self.shard(&folded);
        let taken = |entry: Option<&(Owner, Instant)>| entry.is_some_and(|(o, until)| o.is_some() && now < *until);
        if owner.is_none() && (taken(shard.young.get(&folded)) || taken(shard.old.get(&folded))) {
            return;
        }
        if shard.young.len() >= GENERATION_MAX {
            shard.old = std::mem::take(&mut shard.young);
        }
        let until = now + if owner.is_some() { TAKEN_FOR } else { FREE_FOR };
        shard.young.insert(folded, (owner, until));
    }

    fn shard(&self, folded: &Folded) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(folded);
        let index = usize::try_from(hash % 16).unwrap_or(0);
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::fold;

    #[test]
    fn forgets_free_sooner_than_taken() {
        let (cache, now, anna, bob) = (Cache::default(), Instant::now(), fold("anna"), fold("bob"));
        cache.put(anna, None, now);
        cache.put(bob, Some(bob), now);
        assert_eq!(cache.get(&anna, now), Some(None));
        let later = now + Duration::from_secs(2);
        assert_eq!((cache.get(&anna, later), cache.get(&bob, later)), (None, Some(Some(bob))));
    }

    #[test]
    fn a_registration_replaces_free_and_stays() {
        let (cache, now, anna) = (Cache::default(), Instant::now(), fold("anna"));
        cache.put(anna, None, now);
        cache.put(anna, Some(anna), now);
        cache.put(anna, None, now);
        assert_eq!(cache.get(&anna, now), Some(Some(anna)));
    }

    #[test]
    fn stays_bounded() {
        let (cache, now) = (Cache::default(), Instant::now());
        for index in 0..200_000 {
            cache.put(fold(&format!("name{index}")), None, now);
        }
        let held: usize = cache
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap())
            .map(|shard| shard.young.len() + shard.old.len())
            .sum();
        assert!(held <= 2 * SHARDS * GENERATION_MAX);
    }
}
