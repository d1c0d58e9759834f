//! Random numbers for choices and identities: fast, one generator a thread, not for secrets.

use plimsoll_control::route::version::mixed;
use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
};

thread_local! {
    // `RandomState` is seeded by the system.
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(1));
}

/// 64 random bits (SplitMix64).
pub(crate) fn draw() -> u64 {
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        mixed(next)
    })
}
