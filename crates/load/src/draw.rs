//! Random draws that depend on nothing but a seed and a request's number.
//!
//! Invariant: the same (seed, number) gives the same draws on every machine, however many workers share the work,
//! so a run can be repeated request by request. Not for secrets.

/// A stream of draws (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Draw(u64);

impl Draw {
    /// The stream that belongs to one seed.
    pub(crate) fn new(seed: u64) -> Draw {
        Draw(seed)
    }

    /// The stream that belongs to request `number` of the run seeded with `seed`.
    pub(crate) fn of_request(seed: u64, number: u64) -> Draw {
        let mut own = Draw(number ^ 0x9E6C_63D0_876A_3F35);
        let mixed = own.next();
        Draw(seed ^ mixed)
    }

    /// The next 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; 0 when `bound` is 0. The bias is below `bound / 2^64`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A fraction in `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_the_same_for_the_same_request() {
        assert_eq!(Draw::of_request(7, 3).next(), Draw::of_request(7, 3).next());
        assert_ne!(Draw::of_request(7, 3).next(), Draw::of_request(7, 4).next());
        assert_ne!(Draw::of_request(7, 3).next(), Draw::of_request(8, 3).next());
    }

    #[test]
    fn stays_below_the_bound_and_reaches_all_of_it() {
        let mut draw = Draw::new(1);
        let mut seen = [0_u32; 5];
        for _ in 0..10_000 {
            seen[usize::try_from(draw.below(5)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|count| (1_800..2_200).contains(count)), "{seen:?}");
        assert_eq!(draw.below(0), 0);
    }

    #[test]
    fn unit_is_a_fraction() {
        let mut draw = Draw::new(2);
        assert!((0..10_000).map(|_| draw.unit()).all(|u| (0.0..1.0).contains(&u)));
    }
}
