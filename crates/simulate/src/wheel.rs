//! What is to happen, and when: a hierarchical timing wheel, in which putting in and taking out take the same short time
//! however much waits.
//!
//! Invariant: events come out in the order of their times; which of two at the same tick comes first depends only on how
//! they were put in.
//! Invariant: nothing comes out before now.

/// Bits of a tick that one level tells apart.
const BITS: u32 = 11;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 6;
const WORDS: usize = SLOTS / 64;
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Node<E> {
    at: u64,
    event: E,
    next: u32,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    first: u32,
    last: u32,
}

#[derive(Debug, Clone)]
struct Level {
    slots: Box<[Slot]>,
    /// Which slots hold something.
    full: [u64; WORDS],
}

/// A timing wheel of ticks of a nanosecond, for 2,000 years.
#[derive(Debug, Clone)]
pub struct Wheel<E> {
    now: u64,
    count: usize,
    nodes: Vec<Node<E>>,
    free: u32,
    levels: Vec<Level>,
}

impl<E: Copy> Default for Wheel<E> {
    fn default() -> Self {
        let empty = Slot { first: NONE, last: NONE };
        let level = Level { slots: vec![empty; SLOTS].into(), full: [0; WORDS] };
        Self { now: 0, count: 0, nodes: Vec::new(), free: NONE, levels: vec![level; LEVELS] }
    }
}

impl<E: Copy> Wheel<E> {
    /// The time of the last event that came out.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Puts an event in; a time that has passed counts as now.
    #[inline]
    pub fn push(&mut self, at: u64, event: E) {
        let at = at.max(self.now);
        let node = Node { at, event, next: NONE };
        let index = if self.free == NONE {
            self.nodes.push(node);
            u32::try_from(self.nodes.len() - 1).unwrap_or(NONE)
        } else {
            let index = self.free;
            let place = &mut self.nodes[index as usize];
            self.free = place.next;
            *place = node;
            index
        };
        self.count += 1;
        self.link(index, at);
    }

    #[inline]
    fn link(&mut self, index: u32, at: u64) {
        let apart = at ^ self.now;
        let level = if apart == 0 { 0 } else { ((63 - apart.leading_zeros()) / BITS) as usize };
        let level = level.min(LEVELS - 1);
        let place = (at >> (BITS * level as u32)) as usize & (SLOTS - 1);
        let own = &mut self.levels[level];
        let slot = &mut own.slots[place];
        if slot.first == NONE {
            slot.first = index;
            own.full[place / 64] |= 1 << (place % 64);
        } else {
            self.nodes[slot.last as usize].next = index;
        }
        slot.last = index;
    }

    /// Takes the next event out, if it is not later than `until`.
    #[inline]
    pub fn pop(&mut self, until: u64) -> Option<(u64, E)> {
        loop {
            let place = self.now as usize & (SLOTS - 1);
            if let Some(place) = next_full(&self.levels[0].full, place) {
                let first = self.levels[0].slots[place].first;
                let node = self.nodes[first as usize];
                if node.at > until {
                    return None;
                }
                self.now = node.at;
                let own = &mut self.levels[0];
                own.slots[place].first = node.next;
                if node.next == NONE {
                    own.full[place / 64] &= !(1 << (place % 64));
                }
                self.nodes[first as usize].next = self.free;
                self.free = first;
                self.count -= 1;
                return Some((node.at, node.event));
            }
            if self.count == 0 || !self.turn(until) {
                return None;
            }
        }
    }

    /// Spreads the next slot of a higher level over the lower ones; false if it begins later than `until`.
    fn turn(&mut self, until: u64) -> bool {
        for level in 1..LEVELS {
            let shift = BITS * level as u32;
            let here = (self.now >> shift) as usize & (SLOTS - 1);
            let Some(place) = next_full(&self.levels[level].full, here) else { continue };
            let above = self.now >> shift >> BITS << BITS;
            let begins = (above | place as u64) << shift;
            if begins > until {
                return false;
            }
            self.now = self.now.max(begins);
            let own = &mut self.levels[level];
            own.full[place / 64] &= !(1 << (place % 64));
            let mut index = std::mem::replace(&mut own.slots[place], Slot { first: NONE, last: NONE }).first;
            while index != NONE {
                let node = &mut self.nodes[index as usize];
                let next = std::mem::replace(&mut node.next, NONE);
                let at = node.at;
                self.link(index, at);
                index = next;
            }
            return true;
        }
        false
    }
}

/// The first full slot from `from` on.
#[inline]
fn next_full(full: &[u64; WORDS], from: usize) -> Option<usize> {
    let mut word = from / 64;
    let mut bits = full[word] & (u64::MAX << (from % 64));
    loop {
        if bits != 0 {
            return Some(word * 64 + bits.trailing_zeros() as usize);
        }
        word += 1;
        if word == WORDS {
            return None;
        }
        bits = full[word];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;
    use std::{cmp::Reverse, collections::BinaryHeap};

    #[test]
    fn agrees_with_a_heap() {
        let (mut wheel, mut heap) = (Wheel::default(), BinaryHeap::new());
        let mut draws = Draws::of(11, "wheel");
        let mut put = 0_u64;
        for _ in 0..200_000 {
            if draws.below(5) < 3 {
                let ahead = draws.bits() >> (20 + draws.below(44));
                put += 1;
                wheel.push(wheel.now() + ahead, put);
                heap.push(Reverse(wheel.now() + ahead));
            } else if let Some((at, _)) = wheel.pop(u64::MAX) {
                assert_eq!(Some(Reverse(at)), heap.pop());
            }
            assert_eq!(wheel.len(), heap.len());
        }
        while let Some((at, _)) = wheel.pop(u64::MAX) {
            assert_eq!(Some(Reverse(at)), heap.pop());
        }
        assert!(heap.is_empty() && wheel.is_empty());
    }

    #[test]
    fn nothing_comes_out_too_early() {
        let mut wheel = Wheel::default();
        wheel.push(5_000_000_000, 'b');
        wheel.push(3, 'a');
        assert_eq!(wheel.pop(10), Some((3, 'a')));
        assert_eq!(wheel.pop(4_999_999_999), None);
        wheel.push(4_999_999_999, 'c');
        assert_eq!(wheel.pop(u64::MAX), Some((4_999_999_999, 'c')));
        assert_eq!(wheel.pop(u64::MAX), Some((5_000_000_000, 'b')));
        assert_eq!(wheel.pop(u64::MAX), None);
    }

    #[test]
    fn equal_times_come_out_as_they_were_put_in() {
        let mut wheel = Wheel::default();
        for number in 0..100 {
            wheel.push(1_000_000, number);
        }
        let out: Vec<i32> = std::iter::from_fn(|| wheel.pop(u64::MAX)).map(|(_, number)| number).collect();
        assert_eq!(out, (0..100).collect::<Vec<_>>());
    }
}
