//! Spreads a change of the wanted number over several sets (`scale` and `GetReplicaSetFraction` of the controller).

/// Changes `sizes` (oldest set first) so that their sum is `allowed`, in proportion, the rest going to the largest.
///
/// `allowed_before` is what they could come to before; `replicas` is the number that is wanted now.
pub(super) fn spread(sizes: &mut [u32], allowed_before: u32, allowed: u32, replicas: u32) {
    let total: u32 = sizes.iter().sum();
    let change = i64::from(allowed) - i64::from(total);
    if change == 0 {
        return;
    }
    // Largest first; of equal ones the newer first when growing, the older first when shrinking.
    let mut order: Vec<usize> = (0..sizes.len()).filter(|index| sizes[*index] > 0).collect();
    order.sort_by(|one, other| {
        let age = if change > 0 { other.cmp(one) } else { one.cmp(other) };
        sizes[*other].cmp(&sizes[*one]).then(age)
    });
    let mut changed = 0;
    let mut wanted: Vec<i64> = vec![];
    for index in &order {
        let size = i64::from(sizes[*index]);
        let left = change - changed;
        let part = fraction(size, i64::from(allowed_before), i64::from(allowed), replicas);
        let part = if left == 0 {
            0
        } else if change > 0 {
            part.min(left)
        } else {
            part.max(left)
        };
        changed += part;
        wanted.push(size + part);
    }
    if let Some(first) = wanted.first_mut() {
        *first += change - changed;
    }
    for (index, size) in order.into_iter().zip(wanted) {
        sizes[index] = u32::try_from(size.max(0)).unwrap_or(u32::MAX);
    }
}

/// How much one set grows or shrinks so that it keeps its share, rounded half away from 0.
fn fraction(size: i64, allowed_before: i64, allowed: i64, replicas: u32) -> i64 {
    if replicas == 0 {
        return -size;
    }
    if allowed_before == 0 {
        return 0;
    }
    (2 * size * allowed + allowed_before) / (2 * allowed_before) - size
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `TestScale` of the controller: sizes oldest first; what they could come to before and what they can now.
    #[track_caller]
    fn check(sizes: &[u32], before: u32, after: u32, want: &[u32]) {
        let mut spread_sizes = sizes.to_vec();
        spread(&mut spread_sizes, before, after, after);
        assert_eq!(spread_sizes, want);
    }

    #[test]
    fn sets_keep_their_shares() {
        check(&[3, 2], 5, 10, &[6, 4]);
        check(&[3, 2], 5, 3, &[2, 1]);
        check(&[1, 8], 9, 4, &[0, 4]);
        check(&[2, 3, 2], 7, 10, &[3, 4, 3]);
        check(&[3, 8, 2], 13, 8, &[2, 5, 1]);
        check(&[1, 2, 3], 6, 0, &[0, 0, 0]);
    }

    #[test]
    fn what_is_left_goes_to_the_largest() {
        check(&[1, 1, 1], 3, 4, &[1, 1, 2]);
        check(&[1, 1, 1], 3, 2, &[0, 1, 1]);
        check(&[2, 2], 4, 5, &[2, 3]);
        check(&[3, 7, 0], 10, 14, &[4, 10, 0]);
    }

    #[test]
    fn surge_is_spread_too() {
        check(&[6, 6], 12, 22, &[11, 11]);
        check(&[8, 5], 13, 56, &[34, 22]);
    }
}
