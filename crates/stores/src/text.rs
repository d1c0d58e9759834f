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

/// What stands in such a part; what is not encoded rightly stays as it is.
pub(crate) fn unpercent(text: &str) -> String {
    let hex = |two: &[u8]| {
        let digits = two.iter().all(u8::is_ascii_hexdigit);
        std::str::from_utf8(two).ok().filter(|_| digits).and_then(|two| u8::from_str_radix(two, 16).ok())
    };
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let encoded = tail.get(..2).filter(|_| *first == b'%').and_then(hex);
        out.push(encoded.unwrap_or(*first));
        rest = if encoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&out).into_owned()
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
    fn what_was_encoded_is_read_again() {
        for text in ["a:b@c/d?e#f %ü", "", "100%", "%zz", "a%2"] {
            assert_eq!(unpercent(&percent(text)), text);
        }
        assert_eq!(unpercent("100%"), "100%");
    }

    #[test]
    fn digests_are_stable() {
        assert_eq!(digest(""), "e3b0c44298fc1c14");
    }
}
