//! What is to happen, and when: a hierarchical timing wheel, in which putting in and taking out take the same short time
//! however much waits.
//!
//! A slot of the lowest level is a microsecond, so that most of what is put in a few milliseconds ahead finds its last
//! place at once; what falls into one slot is put in order when its time comes.
//!
//! Invariant: events come out in the order of their times; of two at the same nanosecond the one that was put in first.
//! Invariant: nothing comes out before now.

/// Bits of a nanosecond that a slot of the lowest level does not tell apart.
const GRAIN: u32 = 10;
/// Bits of a slot's number that one level tells apart.
const BITS: u32 = 11;
const SLOTS: usize = 1 << BITS;
/// Enough for all of 64 bits.
const LEVELS: usize = 5;
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
    slots: Box<[Slot; SLOTS]>,
    /// Which slots hold something.
    full: [u64; WORDS],
}

/// A timing wheel of nanoseconds, for 500 years.
#[derive(Debug, Clone)]
pub struct Wheel<E> {
    now: u64,
    /// The number of the slot that time is in. What falls into it stands in `present`.
    slot: u64,
    /// What falls into this slot, in order, from `head` on.
    present: Vec<(u64, E)>,
    head: usize,
    count: usize,
    nodes: Vec<Node<E>>,
    free: u32,
    levels: [Level; LEVELS],
}

impl<E: Copy> Default for Wheel<E> {
    fn default() -> Self {
        let level = || Level { slots: Box::new([Slot { first: NONE, last: NONE }; SLOTS]), full: [0; WORDS] };
        Self {
            now: 0,
            slot: 0,
            present: Vec::new(),
            head: 0,
            count: 0,
            nodes: Vec::new(),
            free: NONE,
            levels: std::array::from_fn(|_| level()),
        }
    }
}

impl<E: Copy> Wheel<E> {
    /// The time of the last event that came out, or a later one up to which nothing waited.
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
        self.count += 1;
        if at >> GRAIN == self.slot {
            let after = self.present[self.head..].partition_point(|(before, _)| *before <= at);
            return self.present.insert(self.head + after, (at, event));
        }
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
        self.link(index, at);
    }

    #[inline]
    fn link(&mut self, index: u32, at: u64) {
        let slot = at >> GRAIN;
        let apart = (slot ^ self.slot) | 1;
        let level = ((63 - apart.leading_zeros()) / BITS) as usize;
        let place = (slot >> (BITS * level as u32)) as usize & (SLOTS - 1);
        let own = &mut self.levels[level.min(LEVELS - 1)];
        let slot = &mut own.slots[place];
        if slot.first == NONE {
            slot.first = index;
            own.full[place / 64] |= 1 << (place % 64);
        } else {
            self.nodes[slot.last as usize].next = index;
        }
        slot.last = index;
    }

    /// Takes the next event out, if it is not later than `until`. After `None` nothing may be put in before `until`.
    #[inline]
    pub fn pop(&mut self, until: u64) -> Option<(u64, E)> {
        loop {
            if let Some((at, event)) = self.present.get(self.head).copied() {
                if at > until {
                    return None;
                }
                self.head += 1;
                if self.head == self.present.len() {
                    self.head = 0;
                    self.present.clear();
                }
                self.now = at;
                self.count -= 1;
                return Some((at, event));
            }
            let here = self.slot as usize & (SLOTS - 1);
            let Some(place) = next_full(&self.levels[0].full, here) else {
                if self.count == 0 || !self.turn(until) {
                    return None;
                }
                continue;
            };
            let slot = self.slot & !(SLOTS as u64 - 1) | place as u64;
            if slot << GRAIN > until {
                return None;
            }
            let first = self.empty(0, place);
            let node = self.nodes[first as usize];
            self.slot = slot;
            self.now = self.now.max(slot << GRAIN);
            if node.next != NONE || node.at > until {
                self.gather(first);
                continue;
            }
            self.release(first);
            self.now = node.at;
            self.count -= 1;
            return Some((node.at, node.event));
        }
    }

    /// Empties a slot of a level; the first of what was in it.
    #[inline]
    fn empty(&mut self, level: usize, place: usize) -> u32 {
        let own = &mut self.levels[level];
        own.full[place / 64] &= !(1 << (place % 64));
        std::mem::replace(&mut own.slots[place], Slot { first: NONE, last: NONE }).first
    }

    #[inline]
    fn release(&mut self, index: u32) {
        self.nodes[index as usize].next = self.free;
        self.free = index;
    }

    /// Puts what was in one slot in order: it is present now.
    fn gather(&mut self, mut index: u32) {
        while index != NONE {
            let node = self.nodes[index as usize];
            self.present.push((node.at, node.event));
            self.release(index);
            index = node.next;
        }
        self.present.sort_by_key(|(at, _)| *at);
    }

    /// Spreads the next slot of a higher level over the lower ones; false if it begins later than `until`.
    fn turn(&mut self, until: u64) -> bool {
        for level in 1..LEVELS {
            let shift = BITS * level as u32;
            let here = (self.slot >> shift) as usize & (SLOTS - 1);
            let Some(place) = next_full(&self.levels[level].full, here) else { continue };
            let above = self.slot >> shift & !(SLOTS as u64 - 1);
            let begins = (above | place as u64) << shift;
            if begins << GRAIN > until {
                return false;
            }
            self.slot = begins;
            self.now = self.now.max(begins << GRAIN);
            let mut index = self.empty(level, place);
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
    fn what_falls_into_one_slot_comes_out_in_order() {
        let mut wheel = Wheel::default();
        for at in [5_003, 5_001, 5_002, 5_001] {
            wheel.push(at, (at, wheel.len()));
        }
        assert_eq!(wheel.pop(5_000), None);
        assert_eq!(wheel.pop(5_001), Some((5_001, (5_001, 1))));
        wheel.push(5_002, (5_002, 9));
        wheel.push(5_001, (5_001, 9));
        let out: Vec<_> = std::iter::from_fn(|| wheel.pop(u64::MAX)).map(|(_, told)| told).collect();
        assert_eq!(out, [(5_001, 3), (5_001, 9), (5_002, 2), (5_002, 9), (5_003, 0)]);
    }

    #[test]
    fn the_last_moment_of_all_is_reached() {
        let mut wheel = Wheel::default();
        wheel.push(u64::MAX, 'z');
        wheel.push(1, 'a');
        assert_eq!(wheel.pop(u64::MAX), Some((1, 'a')));
        assert_eq!(wheel.pop(u64::MAX), Some((u64::MAX, 'z')));
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
