//! Seeded random draws: the same seed gives the same draws on every machine.
//!
//! Each user of draws has a stream of its own, so that one more draw here moves nothing there.
//!
//! Source: xoshiro256++ by Blackman and Vigna, filled by splitmix64.

use plimsoll_control::route::version::mixed;

/// A stream of draws.
#[derive(Debug, Clone)]
pub struct Draws([u64; 4]);

impl Draws {
    /// The stream called `name` of that seed.
    #[must_use]
    pub fn of(seed: u64, name: &str) -> Self {
        let mut state = name.bytes().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |state, byte| mixed(state ^ u64::from(byte)));
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mixed(state)
        }))
    }

    /// 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `count`; 0 when there is none. The bias is below `count ÷ 2^64`.
    #[inline]
    pub fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(count)) >> 64) as u64
    }

    /// Whether something of `millionths` in a million happens.
    #[inline]
    pub fn happens(&mut self, millionths: u64) -> bool {
        millionths > 0 && self.below(1_000_000) < millionths
    }
}

/// Both halves of a product, one over the other: cheaper than `mixed`, for digests of long courses.
#[inline]
#[must_use]
pub(crate) fn folded(one: u64, other: u64) -> u64 {
    let product = u128::from(one ^ 0x9e37_79b9_7f4a_7c15) * u128::from(other ^ 0xd1b5_4a32_d192_ed03);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_name_give_the_same_draws() {
        let draws = |seed, name| {
            let mut draws = Draws::of(seed, name);
            [draws.bits(), draws.bits(), draws.bits()]
        };
        assert_eq!(draws(7, "api"), draws(7, "api"));
        assert_ne!(draws(7, "api"), draws(8, "api"));
        assert_ne!(draws(7, "api"), draws(7, "ui"));
    }

    #[test]
    fn numbers_below_a_bound_are_even() {
        let mut draws = Draws::of(1, "even");
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[usize::try_from(draws.below(10)).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 400), "{counts:?}");
    }
}
