//! A short sum of bytes, the same everywhere: for names that follow from other names, and for check sums.

/// What a sum starts from.
pub const START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits, going on from the sum `from`: any single changed byte changes it. No protection against intent.
#[must_use]
pub fn fnv(from: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(from, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_fnv_and_go_on() {
        assert_eq!(fnv(START, b""), START);
        assert_eq!(fnv(START, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv(fnv(START, b"foo"), b"bar"), 0x8594_4171_f739_67e8);
    }
}
