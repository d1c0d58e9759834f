//! Asks `control::route` which replica a request goes to.

use crate::{belonging::Belonging, draw::draw, table::Backend};
use plimsoll_control::route::{
    self, Admission, Replica, Version,
    again::TRIED_MAX,
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
    pools: [u64; TRIED_MAX],
    count: usize,
}

impl Tried {
    pub(crate) fn add(&mut self, pool: u64) {
        if self.count < TRIED_MAX {
            self.pools[self.count] = pool;
            self.count += 1;
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
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
        let open = seen.iter().map(|replica| u32::from(replica.open)).sum();
        match route::admit(&backend.limits, open, backend.live.in_flight.load(Relaxed)) {
            Admission::Nobody => return Choice::Nobody,
            Admission::Full => return Choice::Full,
            Admission::Choose => {}
        }
        let mut places = [0; TRIED_MAX];
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
