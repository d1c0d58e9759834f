//! A moment, as the world that asks for a decision tells it.

use crate::Millis;
use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch.
///
/// A world takes the wall clock once, at its start, and adds monotonic time to it: a jump of the
/// wall clock never reaches a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(pub u64);

impl Instant {
    /// The moment `wait` later; saturates at the end of time.
    #[must_use]
    pub fn after(self, wait: Millis) -> Self {
        Self(self.0.saturating_add(wait.0.saturating_mul(1000)))
    }

    /// How long ago `earlier` was, in whole milliseconds; zero when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0) / 1000)
    }
}
