//! JSON Web Tokens, HS256, with keys that can be rotated: the first key signs, every key verifies.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

/// Shortest secret in bytes: as long as the hash (RFC 7518 §3.2).
const SECRET_BYTES_MIN: usize = 32;

/// Keys by id (`kid`).
#[derive(Clone)]
pub struct Keyring {
    signing: String,
    keys: BTreeMap<String, (EncodingKey, DecodingKey)>,
}

/// A token could not be made or is not valid; the bearer must sign in again.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It names no key that we have.
    #[error("token was signed with an unknown key")]
    UnknownKey,
    /// Malformed, forged, expired, for another audience.
    #[error("token is not valid")]
    Invalid(#[source] jsonwebtoken::errors::Error),
}

impl Keyring {
    /// Reads `kid:secret,kid:secret`; the first signs. To rotate, put a new pair in front and later drop the last.
    ///
    /// # Errors
    /// A sentence saying what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = BTreeMap::new();
        let mut signing = None;
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (id, secret) = pair.split_once(':').ok_or("each key is written kid:secret")?;
            if secret.len() < SECRET_BYTES_MIN {
                return Err(format!("key {id:?} is shorter than {SECRET_BYTES_MIN} bytes"));
            }
            let both = (EncodingKey::from_secret(secret.as_bytes()), DecodingKey::from_secret(secret.as_bytes()));
            if keys.insert(id.to_owned(), both).is_some() {
                return Err(format!("key {id:?} is given twice"));
            }
            signing.get_or_insert_with(|| id.to_owned());
        }
        Ok(Self { signing: signing.ok_or("no key is given")?, keys })
    }

    /// Signs `claims`, which must hold `exp` (seconds since 1970).
    ///
    /// # Errors
    /// The claims cannot be written as JSON.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, TokenError> {
        let header = Header { kid: Some(self.signing.clone()), ..Header::new(Algorithm::HS256) };
        let (key, _) = self.keys.get(&self.signing).ok_or(TokenError::UnknownKey)?;
        encode(&header, claims, key).map_err(TokenError::Invalid)
    }

    /// The claims of a valid token of this audience (`aud`); 0 s of leeway on `exp`.
    ///
    /// # Errors
    /// Unknown key, or not valid.
    pub fn verify<T: DeserializeOwned + Clone>(&self, token: &str, audience: &str) -> Result<T, TokenError> {
        let kid = decode_header(token).map_err(TokenError::Invalid)?.kid.ok_or(TokenError::UnknownKey)?;
        let (_, key) = self.keys.get(&kid).ok_or(TokenError::UnknownKey)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "aud"]);
        decode(token, key, &validation).map(|data| data.claims).map_err(TokenError::Invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const OLD: &str = "old:0123456789abcdef0123456789abcdef";
    const NEW: &str = "new:fedcba9876543210fedcba9876543210";

    #[test]
    fn rotation_keeps_old_tokens_valid_until_the_key_goes() {
        let claims = json!({ "sub": "anna", "aud": "api", "exp": 4_000_000_000_u64 });
        let token = Keyring::parse(OLD).unwrap().sign(&claims).unwrap();
        let both = Keyring::parse(&format!("{NEW},{OLD}")).unwrap();
        assert_eq!(both.verify::<Value>(&token, "api").unwrap()["sub"], "anna");
        assert!(matches!(Keyring::parse(NEW).unwrap().verify::<Value>(&token, "api"), Err(TokenError::UnknownKey)));
    }

    #[test]
    fn refuses_expired_foreign_and_forged_tokens() {
        let keys = Keyring::parse(OLD).unwrap();
        let expired = keys.sign(&json!({ "aud": "api", "exp": 1 })).unwrap();
        assert!(keys.verify::<Value>(&expired, "api").is_err());
        let foreign = keys.sign(&json!({ "aud": "other", "exp": 4_000_000_000_u64 })).unwrap();
        assert!(keys.verify::<Value>(&foreign, "api").is_err());
        let forger = Keyring::parse("old:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx").unwrap();
        let forged = forger.sign(&json!({ "aud": "api", "exp": 4_000_000_000_u64 })).unwrap();
        assert!(keys.verify::<Value>(&forged, "api").is_err());
    }

    #[test]
    fn refuses_short_and_repeated_keys() {
        assert!(Keyring::parse("a:short").is_err());
        assert!(Keyring::parse("").is_err());
        assert!(Keyring::parse(&format!("{OLD},{OLD}")).is_err());
    }
}
