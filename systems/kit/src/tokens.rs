//! JSON Web Tokens signed with Ed25519 (EdDSA, RFC 8037), by keys that can be rotated: one signs, several verify.
//!
//! The public halves are published as a JWKS (RFC 7517), so that others can verify without asking. Where keys are kept,
//! and when which one signs, is the service's affair; a private half is stored only [`Seal`]ed.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Shortest secret of a [`Seal`] in bytes: as long as the key made of it.
const SECRET_BYTES_MIN: usize = 32;

/// A token could not be made or is not valid; the bearer must sign in again.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It names no key that we have.
    #[error("token was signed with an unknown key")]
    UnknownKey,
    /// Malformed, forged, expired, for another audience.
    #[error("token is not valid")]
    Invalid(#[source] jsonwebtoken::errors::Error),
    /// The system's randomness failed, or a stored key is damaged.
    #[error("a key is damaged or cannot be made")]
    Key,
}

/// A key pair and its name (`kid`).
#[derive(Clone)]
pub struct SigningKey {
    kid: String,
    pkcs8: Vec<u8>,
    public: Vec<u8>,
}

impl SigningKey {
    /// A new key with a random name of 16 hexadecimal digits.
    ///
    /// # Errors
    /// The system's randomness failed.
    pub fn generate() -> Result<Self, TokenError> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| TokenError::Key)?;
        let kid = crate::sessions::hex(&rand::random::<[u8; 8]>());
        Self::from_pkcs8(kid, pkcs8.as_ref().to_vec())
    }

    /// The key that was stored under this name.
    ///
    /// # Errors
    /// It is damaged.
    pub fn from_pkcs8(kid: String, pkcs8: Vec<u8>) -> Result<Self, TokenError> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| TokenError::Key)?;
        Ok(Self { kid, public: pair.public_key().as_ref().to_vec(), pkcs8 })
    }

    /// Its name.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half, 32 bytes.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Both halves, to be stored sealed.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }
}

/// Encrypts private keys for storage (AES-256-GCM under a secret that the store does not hold).
pub struct Seal(LessSafeKey);

impl Seal {
    /// A seal made of this secret.
    ///
    /// # Errors
    /// A sentence: the secret is too short.
    pub fn new(secret: &str) -> Result<Self, String> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(format!("is shorter than {SECRET_BYTES_MIN} bytes"));
        }
        let key = UnboundKey::new(&AES_256_GCM, &Sha256::digest(secret.as_bytes()));
        key.map(|key| Self(LessSafeKey::new(key))).map_err(|why| why.to_string())
    }

    /// Encrypts; `name` must be given again to open.
    ///
    /// # Errors
    /// The encryption failed.
    pub fn close(&self, name: &str, plain: &[u8]) -> Result<Vec<u8>, TokenError> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = plain.to_vec();
        let aad = Aad::from(name.as_bytes());
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| TokenError::Key)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Decrypts what was closed under this name.
    ///
    /// # Errors
    /// It was closed with another secret or name, or is damaged.
    pub fn open(&self, name: &str, closed: &[u8]) -> Result<Vec<u8>, TokenError> {
        let (nonce, sealed) = closed.split_first_chunk::<NONCE_LEN>().ok_or(TokenError::Key)?;
        let mut sealed = sealed.to_vec();
        let aad = Aad::from(name.as_bytes());
        let plain = self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut sealed);
        plain.map(|plain| plain.to_vec()).map_err(|_| TokenError::Key)
    }
}

/// The key that signs and those that verify.
#[derive(Clone)]
pub struct Keyring {
    signing: (String, EncodingKey),
    verifying: BTreeMap<String, (DecodingKey, Vec<u8>)>,
}

impl Keyring {
    /// `signing` signs and verifies; each of `verifying` (name, public half) verifies only.
    pub fn new(signing: &SigningKey, verifying: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let own = (signing.kid.clone(), signing.public.clone());
        let verifying =
            verifying.into_iter().chain([own]).map(|(kid, public)| (kid, (DecodingKey::from_ed_der(&public), public)));
        Self {
            signing: (signing.kid.clone(), EncodingKey::from_ed_der(&signing.pkcs8)),
            verifying: verifying.collect(),
        }
    }

    /// Signs `claims`, which must hold `exp` (seconds since 1970) and `aud`.
    ///
    /// # Errors
    /// The claims cannot be written as JSON.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, TokenError> {
        let (kid, key) = &self.signing;
        let header = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, claims, key).map_err(TokenError::Invalid)
    }

    /// The claims of a valid token of this audience (`aud`); 0 s of leeway on `exp`.
    ///
    /// # Errors
    /// Unknown key, or not valid.
    pub fn verify<T: DeserializeOwned + Clone>(&self, token: &str, audience: &str) -> Result<T, TokenError> {
        let kid = decode_header(token).map_err(TokenError::Invalid)?.kid.ok_or(TokenError::UnknownKey)?;
        let (key, _) = self.verifying.get(&kid).ok_or(TokenError::UnknownKey)?;
        claims_of(token, key, audience)
    }

    /// The public halves of all keys as a JWKS.
    pub fn jwks(&self) -> serde_json::Value {
        let key = |(kid, (_, public)): (&String, &(DecodingKey, Vec<u8>))| {
            let x = base64_url(public);
            serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x })
        };
        serde_json::json!({ "keys": self.verifying.iter().map(key).collect::<Vec<_>>() })
    }
}

/// What a valid token of this audience says, if `key` signed it; 0 s of leeway on `exp`.
pub(crate) fn claims_of<T: DeserializeOwned + Clone>(
    token: &str,
    key: &DecodingKey,
    audience: &str,
) -> Result<T, TokenError> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.leeway = 0;
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "aud"]);
    decode(token, key, &validation).map(|data| data.claims).map_err(TokenError::Invalid)
}

/// Base64 with the alphabet for URLs, without padding (RFC 4648 §5).
fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            let sextet = word >> (18 - 6 * index) & 63;
            text.push(char::from(ALPHABET[usize::try_from(sextet).unwrap_or(0)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn claims(audience: &str, exp: u64) -> Value {
        json!({ "sub": "anna", "aud": audience, "exp": exp })
    }

    #[test]
    fn rotation_keeps_old_tokens_valid_until_the_key_goes() {
        let (old, new) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let token = Keyring::new(&old, []).sign(&claims("api", 4_000_000_000)).unwrap();
        let both = Keyring::new(&new, [(old.kid().to_owned(), old.public().to_vec())]);
        assert_eq!(both.verify::<Value>(&token, "api").unwrap()["sub"], "anna");
        assert_eq!(both.jwks()["keys"].as_array().unwrap().len(), 2);
        assert!(matches!(Keyring::new(&new, []).verify::<Value>(&token, "api"), Err(TokenError::UnknownKey)));
    }

    #[test]
    fn refuses_expired_foreign_and_forged_tokens() {
        let key = SigningKey::generate().unwrap();
        let keys = Keyring::new(&key, []);
        let refused = |token: &str| keys.verify::<Value>(token, "api").is_err();
        assert!(refused(&keys.sign(&claims("api", 1)).unwrap()));
        assert!(refused(&keys.sign(&claims("other", 4_000_000_000)).unwrap()));
        let forger =
            SigningKey::from_pkcs8(key.kid().into(), SigningKey::generate().unwrap().pkcs8().to_vec()).unwrap();
        assert!(refused(&Keyring::new(&forger, []).sign(&claims("api", 4_000_000_000)).unwrap()));
        // The public key as the secret of another algorithm: an old trick.
        let mixed = Header { kid: Some(key.kid().into()), ..Header::new(Algorithm::HS256) };
        let secret = EncodingKey::from_secret(key.public());
        assert!(refused(&encode(&mixed, &claims("api", 4_000_000_000), &secret).unwrap()));
    }

    #[test]
    fn a_sealed_key_opens_with_its_secret_and_name_only() {
        let key = SigningKey::generate().unwrap();
        let seal = Seal::new("0123456789abcdef0123456789abcdef").unwrap();
        let closed = seal.close(key.kid(), key.pkcs8()).unwrap();
        let opened = SigningKey::from_pkcs8(key.kid().into(), seal.open(key.kid(), &closed).unwrap()).unwrap();
        assert_eq!(opened.public(), key.public());
        assert!(seal.open("another", &closed).is_err());
        assert!(Seal::new("fedcba9876543210fedcba9876543210").unwrap().open(key.kid(), &closed).is_err());
        assert!(Seal::new("short").is_err());
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64_url(plain.as_bytes()), coded);
        }
        assert_eq!(base64_url(&[0xfb, 0xff]), "-_8");
    }
}
