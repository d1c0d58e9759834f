//! What traffic was like in the last seconds: samples of 50 ms, folded here and never by a world.
//!
//! Invariant: the memory is bounded by the two windows, whatever arrives.

use super::Policy;
use plimsoll_model::{Instant, Millis};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, fmt};

/// What the gateway saw in one short span, usually 50 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The end of the span.
    pub at: Instant,
    /// Its length.
    pub span: Millis,
    /// Thousandths of a request in flight or waiting, averaged over the span.
    pub in_flight: u64,
    /// Requests that came in the span.
    pub arrived: u64,
}

/// Microseconds of one slot of the stable window.
const SLOT_US: u64 = 1_000_000;

/// The sum of what lies in one slot or sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Slot {
    /// Where it begins.
    from: Instant,
    /// In flight × milliseconds, in thousandths.
    load: u64,
    arrived: u64,
}

/// What is carried from one decision to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Single samples, for the panic window.
    fine: VecDeque<Slot>,
    /// Seconds, for the stable window.
    coarse: VecDeque<Slot>,
    /// The beginning of the first sample ever: an average is never over a time before it.
    pub(super) first_at: Option<Instant>,
    /// The end of the last sample in which anything was in flight or came.
    pub(super) active_at: Option<Instant>,
    /// When the panic threshold was last passed, while the panic lasts.
    pub(super) panic_since: Option<Instant>,
    /// The most that was asked for in this panic.
    pub(super) panic_peak: u32,
}

/// An average over a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Average {
    load: u64,
    arrived: u64,
    elapsed: Millis,
}

impl Average {
    /// Replicas that would hold `percent` of this at their targets.
    pub(super) fn replicas(&self, policy: &Policy, percent: u64) -> u64 {
        let wants = |(load, each): (u128, u128)| u64::try_from((load * u128::from(percent)).div_ceil(each * 100));
        self.loads(policy).into_iter().flatten().map(|one| wants(one).unwrap_or(u64::MAX)).max().unwrap_or(0)
    }

    /// Whether this is at least `percent` of what one replica carries on target.
    pub(super) fn exceeds(&self, policy: &Policy, percent: u64) -> bool {
        self.loads(policy).into_iter().flatten().any(|(load, each)| load * 100 >= each * u128::from(percent))
    }

    /// For each target: the load, and what one replica carries, in the same unit.
    fn loads(&self, policy: &Policy) -> [Option<(u128, u128)>; 2] {
        let elapsed = u128::from(self.elapsed.0.max(1));
        let each = |target: u64| elapsed * u128::from(target.max(1));
        // Arrivals in thousandths a second: × 1000 for the second in milliseconds, × 1000 for the thousandths.
        let rate = policy.requests_per_second.map(|target| (u128::from(self.arrived) * 1_000_000, each(target)));
        [rate, policy.concurrency.map(|target| (u128::from(self.load), each(target)))]
    }

    /// Whether there is enough in it to act on at once, by so many ready replicas.
    pub(super) fn evident(&self, policy: &Policy, ready: u64) -> bool {
        self.arrived >= policy.panic_evidence || self.leaps(policy, ready) || self.elapsed >= policy.panic_window
    }

    /// Whether it is so much more than the ready replicas carry on target that fewer requests say so.
    fn leaps(&self, policy: &Policy, ready: u64) -> bool {
        self.arrived >= policy.leap_evidence && self.exceeds(policy, ready.saturating_mul(300))
    }
}

impl fmt::Display for Average {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = self.elapsed.0.max(1);
        let rate = u128::from(self.arrived) * 1_000_000 / u128::from(elapsed);
        let load = self.load / elapsed;
        let (rate, load) = (super::super::quantity::Milli(rate as i64), super::super::quantity::Milli(load as i64));
        write!(f, "{rate}/s and {load} in flight")
    }
}

impl Memory {
    /// As it would be, had traffic always been so many per cent of what it was. What was done in a panic stays.
    #[must_use]
    pub fn at_load(&self, percent: u64) -> Self {
        let mut other = self.clone();
        for slot in other.fine.iter_mut().chain(&mut other.coarse) {
            slot.load = slot.load.saturating_mul(percent) / 100;
            slot.arrived = slot.arrived.saturating_mul(percent) / 100;
        }
        other
    }

    /// Takes in samples, oldest first; one that lies before the last is left out.
    pub(super) fn fold(&mut self, policy: &Policy, samples: &[Sample]) {
        for sample in samples {
            let from = Instant(sample.at.0.saturating_sub(sample.span.0.saturating_mul(1000)));
            if self.fine.back().is_some_and(|last| from.0 < last.from.0) {
                continue;
            }
            self.first_at.get_or_insert(from);
            let load = sample.in_flight.saturating_mul(sample.span.0);
            if load > 0 || sample.arrived > 0 {
                self.active_at = Some(sample.at);
            }
            self.fine.push_back(Slot { from, load, arrived: sample.arrived });
            let from = Instant(from.0 - from.0 % SLOT_US);
            match self.coarse.back_mut() {
                Some(slot) if slot.from >= from => {
                    slot.load = slot.load.saturating_add(load);
                    slot.arrived = slot.arrived.saturating_add(sample.arrived);
                }
                _ => self.coarse.push_back(Slot { from, load, arrived: sample.arrived }),
            }
            self.forget(policy, sample.at);
        }
    }

    /// Drops what no window reaches any more.
    pub(super) fn forget(&mut self, policy: &Policy, at: Instant) {
        while self.fine.front().is_some_and(|slot| slot.from.after(policy.panic_window) < at) {
            self.fine.pop_front();
        }
        while self.coarse.front().is_some_and(|slot| slot.from.after(policy.stable_window).0 + SLOT_US < at.0) {
            self.coarse.pop_front();
        }
    }

    /// The average of the stable window, from the beginning of a whole slot.
    pub(super) fn stable_average(&self, policy: &Policy, at: Instant) -> Average {
        let start = at.0.saturating_sub(policy.stable_window.0.saturating_mul(1000));
        let start = Instant((start - start % SLOT_US).max(self.first_at.map_or(0, |first| first.0)));
        let within = self.coarse.iter().filter(|slot| slot.from.0 + SLOT_US > start.0);
        let (load, arrived) = within
            .fold((0_u64, 0_u64), |sum, slot| (sum.0.saturating_add(slot.load), sum.1.saturating_add(slot.arrived)));
        Average { load, arrived, elapsed: at.since(start) }
    }

    /// The average of the shortest window that ends now and holds enough evidence, at most the panic window.
    pub(super) fn panic_average(&self, policy: &Policy, ready: u64, at: Instant) -> Average {
        let (mut load, mut arrived, mut start) = (0_u64, 0_u64, at);
        let mut enough = false;
        for slot in self.fine.iter().rev() {
            load = load.saturating_add(slot.load);
            arrived = arrived.saturating_add(slot.arrived);
            start = slot.from;
            let average = Average { load, arrived, elapsed: at.since(start) };
            enough = arrived >= policy.panic_evidence || average.leaps(policy, ready);
            if enough {
                break;
            }
        }
        if !enough {
            let whole = at.0.saturating_sub(policy.panic_window.0.saturating_mul(1000));
            start = Instant(whole.max(self.first_at.map_or(0, |first| first.0)).min(at.0));
        }
        Average { load, arrived, elapsed: at.since(start) }
    }
}
