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
