//! The keys as this replica knows them.
//!
//! Invariant: a token that names a key we don't know makes us look for it, at most once a second.

use super::{KeyError, KeySettings, load};
use crate::tokens::{Keyring, TokenError};
use axum::response::{IntoResponse, Response};
use http::header;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::PgPool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How soon a replica knows a new or revoked key.
const FOLLOW_EVERY: Duration = Duration::from_secs(5);

/// The keyring, looked up anew now and then; cheap to clone.
#[derive(Clone)]
pub struct Keys {
    ring: Arc<RwLock<Keyring>>,
    looked: Arc<Mutex<Instant>>,
    settings: KeySettings,
    pool: PgPool,
}

impl Keys {
    /// Looks the keys up for the first time.
    ///
    /// # Errors
    /// As [`load`].
    pub async fn open(pool: PgPool, settings: KeySettings) -> Result<Self, KeyError> {
        let ring = load(&pool, &settings).await?;
        Ok(Self { ring: Arc::new(RwLock::new(ring)), looked: Arc::new(Mutex::new(Instant::now())), settings, pool })
    }

    /// The keys as they are known now.
    pub fn ring(&self) -> Keyring {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The public halves as services ask for them (RFC 7517).
    pub fn jwks(&self) -> Response {
        let headers =
            [(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, "public, max-age=30")];
        (headers, self.ring().jwks().to_string()).into_response()
    }

    /// Looks the keys up anew; the database makes a new one where it is time.
    ///
    /// # Errors
    /// As [`load`]; those that were known stay.
    pub async fn refresh(&self) -> Result<(), KeyError> {
        let fresh = load(&self.pool, &self.settings).await?;
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Looks the keys up anew every five seconds, for ever.
    pub async fn follow(self) {
        let mut ticks = tokio::time::interval(FOLLOW_EVERY);
        loop {
            ticks.tick().await;
            if let Err(why) = self.refresh().await {
                tracing::warn!(error = %why, "keys cannot be looked up");
            }
        }
    }

    /// Signs claims, which hold `exp` and `aud`.
    ///
    /// # Errors
    /// As [`Keyring::sign`].
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, TokenError> {
        self.ring().sign(claims)
    }

    /// What a valid token of this audience says; `None`: it is not valid.
    pub async fn verify<T: DeserializeOwned + Clone>(&self, token: &str, audience: &str) -> Option<T> {
        match self.ring().verify(token, audience) {
            Ok(claims) => return Some(claims),
            Err(TokenError::UnknownKey) => {}
            Err(_) => return None,
        }
        {
            let mut looked = self.looked.lock().await;
            if looked.elapsed() >= LOOK_EVERY {
                *looked = Instant::now();
                if let Err(why) = self.refresh().await {
                    tracing::warn!(error = %why, "keys cannot be looked up");
                }
            }
        }
        self.ring().verify(token, audience).ok()
    }
}
