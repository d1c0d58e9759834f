//! The engine's clock: the wall clock once, and monotonic time since.
//!
//! Invariant: a jump of the wall clock never reaches a decision.

use plimsoll_model::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the moment, as decisions count it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall: u64,
    start: std::time::Instant,
}

impl Clock {
    /// Starts the clock at the wall's time, or just after `not_before` where the wall has fallen behind it.
    pub(crate) fn start(not_before: Instant) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let wall = u64::try_from(wall.as_micros()).unwrap_or(u64::MAX).max(not_before.0);
        Self { wall, start: std::time::Instant::now() }
    }

    /// Now.
    pub(crate) fn now(&self) -> Instant {
        let passed = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Instant(self.wall.saturating_add(passed))
    }

    /// The runtime's instant for a moment of ours.
    pub(crate) fn at(&self, moment: Instant) -> tokio::time::Instant {
        let wait = moment.0.saturating_sub(self.wall);
        tokio::time::Instant::from_std(self.start + Duration::from_micros(wait.min(86_400_000_000)))
    }
}
