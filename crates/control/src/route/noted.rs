//! What one answer changes in what is known of a replica.
//!
//! Invariant: a latency that is known is never 0, which is not known.

/// The new time until the head of its answers after another one that took `took_us`, both in microseconds: one part in eight
/// of the new, so that ten answers tell. `known_us` 0: nothing was known yet.
#[inline]
#[must_use]
pub fn latency(known_us: u32, took_us: u64) -> u32 {
    let new = u32::try_from(took_us).unwrap_or(u32::MAX).max(1);
    if known_us == 0 { new } else { (known_us - known_us / 8 + new / 8).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_answers_tell_three_quarters_of_a_change() {
        let after_ten = (0..10).fold(1000, |known, _| latency(known, 9000));
        assert!((6500..8000).contains(&after_ten), "{after_ten}");
    }

    #[test]
    fn the_first_answer_tells_all_and_none_tells_nothing() {
        assert_eq!(latency(0, 700), 700);
        assert_eq!(latency(0, 0), 1);
        assert_eq!(latency(1, 0), 1);
        assert!(latency(u32::MAX, u64::MAX) > u32::MAX - 8);
    }
}
