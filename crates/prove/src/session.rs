//! What sets one session of load apart from every other: its seed, and the first of its numbers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Of everything that is drawn at random, `{uuid}` included.
    pub seed: u64,
    /// What `{n}` begins with.
    pub first_number: u64,
}

impl Session {
    /// A session that begins now; the seed comes from the clock unless one is given. With a given one only numbers differ.
    #[must_use]
    pub fn begin(seed: Option<u64>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let from_clock = || u64::try_from(now.as_micros() & 0xFFFF_FFFF).unwrap_or(0);
        Self { seed: seed.unwrap_or_else(from_clock), first_number: first_number(now) }
    }
}

/// A million numbers for each second, so that two sessions never make the same thing twice.
fn first_number(now: Duration) -> u64 {
    // Counted from 2026, so that the numbers stay exact in JSON for 250 years.
    now.as_secs().saturating_sub(1_767_225_600).saturating_mul(1_000_000)
}
