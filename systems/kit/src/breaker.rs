//! A circuit breaker: after failures in a row it stops asking for a while, then asks once.
//!
//! Invariant: while open, at most one caller in each pause is let through.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A breaker around one dependency; shared by reference, lock-free.
#[derive(Debug)]
pub struct Breaker {
    epoch: Instant,
    failures_max: u32,
    pause: Duration,
    failures: AtomicU32,
    /// Milliseconds since `epoch` at which the next trial is allowed; meaningful only while open.
    trial_at_ms: AtomicU64,
}

impl Breaker {
    /// Opens after `failures_max` (≥ 1) failures in a row; then lets one trial through every `pause`.
    pub fn new(failures_max: u32, pause: Duration) -> Self {
        Self {
            epoch: Instant::now(),
            failures_max: failures_max.max(1),
            pause,
            failures: AtomicU32::new(0),
            trial_at_ms: AtomicU64::new(0),
        }
    }

    /// May the dependency be asked now? While open, true for one caller in each pause.
    pub fn allows(&self) -> bool {
        if !self.is_open() {
            return true;
        }
        let now = self.now_ms();
        let due = self.trial_at_ms.load(Ordering::Acquire);
        now >= due
            && self
                .trial_at_ms
                .compare_exchange(due, now + self.pause_ms(), Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    /// The dependency answered: closes.
    pub fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Release);
        }
    }

    /// The dependency failed or was too slow.
    pub fn failed(&self) {
        let failures = self.failures.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        if failures >= self.failures_max {
            self.trial_at_ms.fetch_max(self.now_ms() + self.pause_ms(), Ordering::AcqRel);
        }
    }

    /// Is it open, that is, are callers sent elsewhere?
    pub fn is_open(&self) -> bool {
        self.failures.load(Ordering::Acquire) >= self.failures_max
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }

    fn pause_ms(&self) -> u64 {
        u64::try_from(self.pause.as_millis()).unwrap_or(u64::MAX / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let breaker = Breaker::new(2, Duration::from_secs(3600));
        breaker.failed();
        breaker.succeeded();
        breaker.failed();
        assert!(breaker.allows());
        breaker.failed();
        assert!(breaker.is_open() && !breaker.allows());
    }

    #[test]
    fn lets_one_trial_through_and_closes_on_success() {
        let breaker = Breaker::new(1, Duration::ZERO);
        breaker.failed();
        assert!(breaker.is_open());
        assert!(breaker.allows());
        breaker.succeeded();
        assert!(!breaker.is_open());
    }
}
