//! Signatures of messages by a secret that both sides have: HMAC-SHA256 (RFC 2104).

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign as hmac, verify as hmac_is};

/// The signature of `message`, 32 bytes.
pub fn sign(secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac(&Key::new(HMAC_SHA256, secret), message).as_ref().to_vec()
}

/// Is that the signature of `message`? Takes as long whatever is wrong.
pub fn is_signed(secret: &[u8], message: &[u8], signature: &[u8]) -> bool {
    hmac_is(&Key::new(HMAC_SHA256, secret), message, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::hex;

    #[test]
    fn signs_as_the_rfc_says() {
        // RFC 4231 §4.3.
        let signature = sign(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&signature), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(is_signed(b"Jefe", b"what do ya want for nothing?", &signature));
        assert!(!is_signed(b"Jefe", b"what do ya want for something?", &signature));
        assert!(!is_signed(b"Jefe", b"what do ya want for nothing?", &signature[..31]));
    }
}
