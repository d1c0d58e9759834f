//! The interest of a year, exactly.
//!
//! The rule: for each account, the balances at the beginning of the year's twelve months are added up (the *product*); the
//! exact interest is product × rate ÷ 12. The interest of an organization is the sum of the exact interests of its
//! accounts, rounded once to whole paise, half to even. It is handed out so that the parts are exactly that whole: each
//! account gets the whole paise of its exact interest, and the paise that are left go to those with the largest
//! fractions, one each (the method of the largest remainder); of equal fractions the first in order.
//!
//! Invariant: the parts sum to the whole; no part is a paisa or more away from its exact interest.

/// A product of one paisa at one basis point is this part of a paisa a year: 12 months, 10,000 basis points.
const PARTS: i128 = 12 * 10_000;

/// The interest of the whole in paise, for these products (paise × months, each at least 0) at this rate.
pub fn whole(products: &[i128], rate_bp: u32) -> i128 {
    let exact: i128 = products.iter().sum::<i128>() * i128::from(rate_bp);
    let (floor, rest) = (exact.div_euclid(PARTS), exact.rem_euclid(PARTS));
    // Half to even: what is exactly between two goes up only to an even one.
    let up = 2 * rest > PARTS || (2 * rest == PARTS && floor % 2 != 0);
    floor + i128::from(up)
}

/// What each product gets, in the order of `products`, in paise.
pub fn parts(products: &[i128], rate_bp: u32) -> Vec<i128> {
    let exact = |product: &i128| product * i128::from(rate_bp);
    let mut parts: Vec<i128> = products.iter().map(|product| exact(product).div_euclid(PARTS)).collect();
    let left = usize::try_from(whole(products, rate_bp) - parts.iter().sum::<i128>()).unwrap_or(0);
    let mut by_fraction: Vec<usize> = (0..products.len()).collect();
    by_fraction.sort_by_key(|at| std::cmp::Reverse(exact(&products[*at]).rem_euclid(PARTS)));
    for at in by_fraction.into_iter().take(left) {
        parts[at] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_year_at_eight_and_a_quarter_per_cent() {
        // 1,000.00 there all year: 82.50.
        assert_eq!(parts(&[100_000 * 12], 825), [8250]);
        // Half a paisa in all: to even, that is to nothing; one and a half to two.
        assert_eq!(parts(&[60_000], 1), [0]);
        assert_eq!(parts(&[180_000], 1), [2]);
        // A third of a paisa each makes one, and the first has it; two thirds each make two.
        assert_eq!(parts(&[40_000; 3], 1), [1, 0, 0]);
        assert_eq!(parts(&[80_000; 3], 1), [1, 1, 0]);
        assert_eq!(parts(&[], 825), [0_i128; 0]);
    }

    proptest! {
        #[test]
        fn the_parts_sum_to_the_whole(products in prop::collection::vec(0..1_i128 << 60, 0..200), rate_bp in 1..10_000_u32) {
            let parts = parts(&products, rate_bp);
            prop_assert_eq!(parts.iter().sum::<i128>(), whole(&products, rate_bp));
        }

        #[test]
        fn no_part_is_a_paisa_away_from_what_is_exact(products in prop::collection::vec(0..1_i128 << 60, 0..200), rate_bp in 1..10_000_u32) {
            for (product, part) in products.iter().zip(parts(&products, rate_bp)) {
                prop_assert!((part * PARTS - product * i128::from(rate_bp)).abs() < PARTS);
            }
        }

        #[test]
        fn who_held_more_gets_no_less(products in prop::collection::vec(0..1_i128 << 60, 2..50), rate_bp in 1..10_000_u32) {
            let parts = parts(&products, rate_bp);
            let mut both: Vec<_> = products.iter().zip(&parts).collect();
            both.sort();
            for pair in both.windows(2) {
                prop_assert!(pair[0].0 == pair[1].0 || pair[0].1 <= pair[1].1);
            }
        }
    }
}
