//! Asks `control::route` which replica a request goes to.

use crate::{belonging::Belonging, draw::draw, table::Backend};
use plimsoll_control::route::{
    self, Replica, Version,
    version::{pick_for_copy, version},
};
use std::{cell::RefCell, sync::atomic::Ordering::Relaxed};

thread_local! {
    /// Filled anew for each choice; kept so that nothing is allocated.
    static SEEN: RefCell<Vec<Replica>> = const { RefCell::new(Vec::new()) };
}

/// Replicas that a request was sent to: by their pools' numbers, which no other start of a replica ever gets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tried {
    pools: [u64; Self::MOST],
    count: usize,
}

impl Tried {
    /// More replicas are not tried for one request.
    const MOST: usize = 8;

    pub(crate) fn add(&mut self, pool: u64) {
        if self.count < Self::MOST {
            self.pools[self.count] = pool;
            self.count += 1;
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count == Self::MOST
    }
}

/// Which replica a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The one at that place.
    Take(usize),
    /// All of them have as many requests as they may.
    Full,
    /// There is none that may be chosen.
    Nobody,
}

/// Chooses among the replicas of `backend` for a request that belongs there.
pub(crate) fn choose(backend: &Backend, tried: &Tried, belonging: &Belonging) -> Choice {
    let canary = backend.canary.as_ref();
    let version = canary.map_or(Version::Either, |canary| version(&canary.rule, canary.salt, belonging.asked));
    SEEN.with_borrow_mut(|seen| {
        look(backend, seen);
        let open = seen.iter().filter(|replica| replica.open).count() as u64;
        if open == 0 {
            return Choice::Nobody;
        }
        let most = open * u64::from(backend.limits.in_flight_max.max(1));
        if u64::from(backend.live.in_flight.load(Relaxed)) >= most {
            return Choice::Full;
        }
        let mut places = [0; Tried::MOST];
        let mut count = 0;
        for pool in &tried.pools[..tried.count] {
            if let Some(place) = backend.endpoints.iter().position(|endpoint| endpoint.pool == *pool) {
                places[count] = place;
                count += 1;
            }
        }
        let tried = &places[..count];
        let own =
            belonging.replica.as_ref().and_then(|own| backend.endpoints.iter().position(|one| one.cookie == *own));
        let own = own.and_then(|place| route::stick(version, seen, tried, place));
        own.or_else(|| route::pick_of(version, seen, tried, draw())).map_or(Choice::Nobody, Choice::Take)
    })
}

/// Chooses a replica of the canary for a copy of a request.
pub(crate) fn choose_for_copy(backend: &Backend) -> Option<usize> {
    SEEN.with_borrow_mut(|seen| {
        look(backend, seen);
        pick_for_copy(seen, draw())
    })
}

fn look(backend: &Backend, seen: &mut Vec<Replica>) {
    seen.clear();
    seen.extend(backend.endpoints.iter().map(crate::table::Endpoint::as_replica));
}
