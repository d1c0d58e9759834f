//! Tokens verified by a service that does not issue them: with the public keys that the issuer publishes (JWKS, RFC 7517).
//!
//! Invariant: a token that names a key we don't know makes us ask for it, at most once a second; while the issuer is away
//! the keys that are known go on counting.

use crate::Problem;
use crate::peer::{Call, Peer};
use crate::tokens::{TokenError, claims_of};
use http::Method;
use jsonwebtoken::{DecodingKey, decode_header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After this the keys are asked for anew, so that one that was revoked does not count for ever.
const KNOWN_MAX: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<PublicKey>,
}

#[derive(Deserialize)]
struct PublicKey {
    kid: String,
    crv: String,
    x: String,
}

struct Known {
    keys: BTreeMap<String, DecodingKey>,
    learnt: Option<Instant>,
}

/// Verifies; cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    issuer: Peer,
    known: Arc<RwLock<Known>>,
    looked: Arc<Mutex<Option<Instant>>>,
}

impl Verifier {
    /// Asks `issuer` for its keys when they are first needed, at `/.well-known/jwks.json`.
    pub fn new(issuer: Peer) -> Self {
        let known = Known { keys: BTreeMap::new(), learnt: None };
        Self { issuer, known: Arc::new(RwLock::new(known)), looked: Arc::new(Mutex::new(None)) }
    }

    /// What a valid token of this audience says.
    ///
    /// # Errors
    /// 401: it is not valid. 503: that can't be told, for the issuer does not answer.
    pub async fn verify<T: DeserializeOwned + Clone>(&self, token: &str, audience: &str) -> Result<T, Problem> {
        let refused = || Problem::unauthorized("The token is not valid; refresh it or sign in.");
        let kid = decode_header(token).ok().and_then(|header| header.kid).ok_or_else(refused)?;
        let (key, is_fresh) = self.key(&kid);
        let key = match key {
            Some(key) if is_fresh => key,
            older => {
                let looked = self.look().await;
                match (self.key(&kid).0, older, looked) {
                    (Some(key), ..) => key,
                    (None, _, Err(why)) => {
                        tracing::warn!(error = why, "keys cannot be looked up");
                        return Err(Problem::unavailable("keys-unknown", "Nobody can be recognized just now."));
                    }
                    (None, ..) => return Err(refused()),
                }
            }
        };
        claims_of(token, &key, audience).map_err(|_: TokenError| refused())
    }

    fn key(&self, kid: &str) -> (Option<DecodingKey>, bool) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = known.learnt.is_some_and(|learnt| learnt.elapsed() < KNOWN_MAX);
        (known.keys.get(kid).cloned(), is_fresh)
    }

    async fn look(&self) -> Result<(), String> {
        let mut looked = self.looked.lock().await;
        let knows_some = self.known.read().unwrap_or_else(PoisonError::into_inner).learnt.is_some();
        if knows_some && looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        *looked = Some(Instant::now());
        let answer = self.issuer.send(Call::new(Method::GET, "/.well-known/jwks.json")).await;
        let answer = answer.map_err(|why| why.to_string())?;
        if !answer.status.is_success() {
            return Err(format!("the issuer answered {}", answer.status));
        }
        let set: KeySet = answer.json().map_err(|why| why.to_string())?;
        let keys = set.keys.into_iter().filter(|key| key.crv == "Ed25519");
        let keys = keys.filter_map(|key| Some((key.kid, DecodingKey::from_ed_components(&key.x).ok()?))).collect();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known { keys, learnt: Some(Instant::now()) };
        Ok(())
    }
}
