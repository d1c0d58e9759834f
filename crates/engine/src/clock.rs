//! The engine's clock: the wall clock once, and monotonic time since.
//!
//! Invariant: a jump of the wall clock never reaches a decision.

use plimsoll_model::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whoever waits longer looks again after so long.
const LONGEST: Duration = Duration::from_secs(86_400);

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
        let wait = moment.0.saturating_sub(self.now().0);
        tokio::time::Instant::now() + Duration::from_micros(wait).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_model::Millis;

    #[test]
    fn what_is_to_come_lies_in_the_future_after_days_too() {
        let start = std::time::Instant::now().checked_sub(Duration::from_secs(25 * 3600)).unwrap();
        let clock = Clock { wall: 1_000, start };
        let before = tokio::time::Instant::now();
        assert!(clock.at(clock.now().after(Millis::from_secs(60))) > before + Duration::from_secs(50));
        assert!(clock.at(Instant(u64::MAX)) <= tokio::time::Instant::now() + LONGEST);
        assert!(clock.at(Instant(0)) <= tokio::time::Instant::now());
    }
}
