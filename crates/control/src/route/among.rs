//! Chooses among replicas of which the same is known from one request to the next, without looking at each of them.
//!
//! Invariant: chooses what [`pick()`](super::pick()) chooses, for the same draw.
//! Invariant: no allocation while it chooses.

use super::pick::{Replica, pick};

/// What stays true of some replicas until one of them opens, closes, or gets another weight or share.
#[derive(Debug, Clone, Default)]
pub struct Among {
    /// How many are open, whatever their share.
    open: u32,
    /// The places of all that may be picked, if they are alike; else empty.
    alike: Vec<u32>,
}

impl Among {
    /// Looks at all of them anew. The caller does so whenever one opens, closes, or gets another weight or share.
    pub fn look(&mut self, replicas: &[Replica]) {
        self.open = 0;
        self.alike.clear();
        let mut like: Option<(u16, u16)> = None;
        let mut all_alike = true;
        for (place, replica) in (0..).zip(replicas) {
            self.open += u32::from(replica.open);
            if replica.can_take() {
                all_alike &= *like.get_or_insert((replica.weight, replica.share)) == (replica.weight, replica.share);
                self.alike.push(place);
            }
        }
        if !all_alike {
            self.alike.clear();
        }
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.open
    }

    /// The place of the one that gets the request, as [`pick()`](super::pick()) says; `replicas` are those that were
    /// looked at.
    #[inline]
    #[must_use]
    pub fn pick(&self, replicas: &[Replica], tried: &[usize], draw: u64) -> Option<usize> {
        let count = self.alike.len() as u64;
        if count == 0 || !tried.is_empty() {
            return pick(replicas, tried, draw);
        }
        // Where all shares are equal, the share falls out of the arithmetic.
        let nth = |draw: u32, count: u64| ((u64::from(draw) * count) >> 32) as usize;
        let one = nth(draw as u32, count);
        let first = self.alike[one] as usize;
        if count == 1 {
            return Some(first);
        }
        let other = nth((draw >> 32) as u32, count - 1);
        let second = self.alike[other + usize::from(other >= one)] as usize;
        Some(if replicas[second].cost() < replicas[first].cost() { second } else { first })
    }
}
