//! Where the bits of a name are. The same everywhere and for ever: the seed is fixed and versioned.

use crate::names::Folded;
use sha2::{Digest, Sha256};

/// Bits in a block; a name's bits never leave their block.
pub const BLOCK_BITS: u64 = 512;
/// Bytes in a block.
pub(super) const BLOCK_BYTES: usize = 64;
/// Changing it makes every stored filter worthless: then raise the number.
const SEED: &[u8] = b"plimsoll credentials filter 1\0";
/// Bits to spend on each name at full capacity.
const BITS_PER_NAME: u64 = 20;
/// Names to make room for, at least.
const CAPACITY_MIN: u64 = 100_000;

/// Size and shape of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bitmaps, each with its own hash tag; at least 1.
    pub shards: u32,
    /// Blocks in each bitmap; at least 1.
    pub blocks: u32,
    /// Bits set for each name, 1 to 14.
    pub probes: u8,
}

/// The place of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which bitmap.
    pub shard: u32,
    /// Which block in it.
    pub block: u32,
    digits: u128,
    probes: u8,
}

impl Layout {
    /// A filter with room for twice `entries` names.
    pub fn for_entries(entries: u64) -> Self {
        let capacity = entries.saturating_mul(2).max(CAPACITY_MIN);
        let shards = 16;
        let blocks = (capacity * BITS_PER_NAME).div_ceil(BLOCK_BITS * u64::from(shards));
        // 512 MB is the longest string Redis holds.
        Self { shards, blocks: u32::try_from(blocks).unwrap_or(u32::MAX).clamp(1, 1 << 22), probes: 10 }
    }

    /// Bits in all.
    pub fn bits(&self) -> u64 {
        u64::from(self.shards) * u64::from(self.blocks) * BLOCK_BITS
    }

    /// Where the bits of `name` are.
    pub fn place(&self, name: &Folded) -> Place {
        let digest = Sha256::new().chain_update(SEED).chain_update(name.as_bytes()).finalize();
        let word = |at: usize| digest[at..at + 8].iter().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
        let scaled = |hash: u64, range: u32| u32::try_from((u128::from(hash) * u128::from(range)) >> 64).unwrap_or(0);
        let digits = (u128::from(word(16)) << 64) | u128::from(word(24));
        Place { shard: scaled(word(0), self.shards), block: scaled(word(8), self.blocks), digits, probes: self.probes }
    }

    /// The share of free names that a filter of this layout with `entries` names calls perhaps taken.
    ///
    /// Blocks hold different numbers of names (Poisson); each block is a small Bloom filter of its own.
    pub fn false_positive_rate(&self, entries: u64) -> f64 {
        let blocks = f64::from(self.shards) * f64::from(self.blocks);
        #[expect(clippy::cast_precision_loss, reason = "entries stay far below 2^53")]
        let mean = entries as f64 / blocks;
        let probes = i32::from(self.probes);
        let empty_bit = 1.0 - 1.0 / 512.0_f64;
        let mut weight = (-mean).exp();
        let mut rate = 0.0;
        for names in 0..512 {
            let set = 1.0 - empty_bit.powi(probes * names);
            rate += weight * set.powi(probes);
            weight *= mean / f64::from(names + 1);
        }
        rate.min(1.0)
    }
}

impl Place {
    /// The bits within the block, 0 to 511; some may coincide.
    pub fn bits(&self) -> impl Iterator<Item = usize> + use<> {
        let (digits, probes) = (self.digits, self.probes.min(14));
        (0..probes).map(move |probe| usize::try_from((digits >> (9 * u32::from(probe))) & 511).unwrap_or(0))
    }

    /// First byte of the block in its bitmap.
    pub fn first_byte(&self) -> usize {
        usize::try_from(self.block).unwrap_or(usize::MAX) * BLOCK_BYTES
    }

    /// Are all bits of the name set in this block? Bit 0 is the highest of byte 0, as Redis counts.
    pub fn is_in(&self, block: &[u8; BLOCK_BYTES]) -> bool {
        self.bits().all(|bit| block[bit / 8] & (0x80 >> (bit % 8)) != 0)
    }

    /// Is the name in the filter that these bitmaps, one for each shard, make up?
    pub fn is_in_any(&self, bitmaps: &[Vec<u8>]) -> bool {
        let first = self.first_byte();
        bitmaps
            .get(usize::try_from(self.shard).unwrap_or(usize::MAX))
            .and_then(|bitmap| bitmap.get(first..first + BLOCK_BYTES))
            .and_then(|block| block.try_into().ok())
            .is_some_and(|block| self.is_in(block))
    }

    /// Sets the bits of the name in a bitmap held in memory.
    pub fn set_in(&self, bitmap: &mut [u8]) {
        let first = self.first_byte();
        for bit in self.bits() {
            if let Some(byte) = bitmap.get_mut(first + bit / 8) {
                *byte |= 0x80 >> (bit % 8);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::fold;

    #[test]
    fn places_stay_where_they_are() {
        // A change here means that stored filters can no longer be read: raise the number in SEED.
        let layout = Layout { shards: 16, blocks: 1000, probes: 10 };
        let place = layout.place(&fold("anna"));
        assert_eq!((place.shard, place.block), (layout.place(&fold("Anna")).shard, layout.place(&fold("ANNA")).block));
        assert!(place.shard < 16 && place.block < 1000 && place.bits().all(|bit| bit < 512));
    }

    #[test]
    fn holds_what_was_added_and_little_else() {
        let layout = Layout { shards: 1, blocks: 400, probes: 10 };
        let mut bitmap = vec![0_u8; 400 * BLOCK_BYTES];
        let name = |index: u32| fold(&format!("name-{index}"));
        (0..10_000).for_each(|index| layout.place(&name(index)).set_in(&mut bitmap));
        let holds = |index: u32| {
            let place = layout.place(&name(index));
            let first = place.first_byte();
            place.is_in(bitmap[first..first + BLOCK_BYTES].try_into().unwrap())
        };
        assert!((0..10_000).all(holds));
        let wrong = (10_000..110_000).filter(|index| holds(*index)).count();
        let expected = layout.false_positive_rate(10_000) * 100_000.0;
        let bounds = expected * 0.7..expected * 1.3;
        assert!(bounds.contains(&f64::from(u32::try_from(wrong).unwrap())), "{wrong} wrong, {expected} expected");
    }

    #[test]
    fn a_full_filter_is_rarely_wrong() {
        for entries in [50_000, 1_000_000, 20_000_000] {
            let layout = Layout::for_entries(entries);
            assert!(layout.false_positive_rate(entries) < 0.000_1);
            assert!(layout.false_positive_rate(entries * 2) < 0.002);
        }
    }
}
