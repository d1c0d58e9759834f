//! Texts that are safe where they are put.

use sha2::{Digest, Sha256};

/// Sixteen hexadecimal digits that stand for a text.
pub(crate) fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// For a part of a URL: everything but unreserved characters is percent-encoded.
pub(crate) fn percent(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// For a person: bytes in a unit that keeps the number short.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..10_240 => format!("{count} B"),
        10_240..10_485_760 => format!("{} KiB", count >> 10),
        10_485_760..10_737_418_240 => format!("{} MiB", count >> 20),
        _ => format!("{} GiB", count >> 30),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_a_url_is_encoded() {
        assert_eq!(percent("a-b_c.~9"), "a-b_c.~9");
        assert_eq!(percent("a:b@c/d?e#f %ü"), "a%3Ab%40c%2Fd%3Fe%23f%20%25%C3%BC");
    }

    #[test]
    fn digests_are_stable() {
        assert_eq!(digest(""), "e3b0c44298fc1c14");
    }
}
