//! The keys as this replica knows them, and the JWKS.
//!
//! Invariant: a token that names a key we don't know makes us look for it, at most once a second.

use super::Api;
use crate::keys::{self, ACCESS_S, KeyError, KeySettings};
use crate::sessions::Session;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use plimsoll_kit::Problem;
use plimsoll_kit::tokens::{Keyring, TokenError};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Mutex;
use uuid::Uuid;

/// Who may use our tokens: ourselves.
const AUDIENCE: &str = "customers";
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What an access token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    aud: String,
    /// The user's id.
    sub: Uuid,
    /// The session.
    pub(crate) sid: Uuid,
    name: String,
    role: crate::users::Role,
    iat: i64,
    exp: i64,
}

/// The keyring, looked up anew now and then; cheap to clone.
#[derive(Clone)]
pub(crate) struct Keys {
    ring: Arc<RwLock<Keyring>>,
    looked: Arc<Mutex<Instant>>,
    settings: KeySettings,
}

impl Keys {
    pub(crate) fn new(ring: Keyring, settings: KeySettings) -> Self {
        Self { ring: Arc::new(RwLock::new(ring)), looked: Arc::new(Mutex::new(Instant::now())), settings }
    }

    fn ring(&self) -> Keyring {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks the keys up anew; the database makes a new one where it is time.
    pub(crate) async fn refresh(&self, pool: &PgPool) -> Result<(), KeyError> {
        let fresh = keys::load(pool, &self.settings).await?;
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// An access token for this session.
    pub(crate) fn issue(&self, session: &Session) -> Result<String, Problem> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        let now = i64::try_from(now).unwrap_or(0);
        let claims = Claims {
            iss: AUDIENCE.into(),
            aud: AUDIENCE.into(),
            sub: session.user,
            sid: session.id,
            name: session.name.clone(),
            role: session.role,
            iat: now,
            exp: now + ACCESS_S,
        };
        self.ring().sign(&claims).map_err(|why| Problem::internal(&why))
    }

    /// What a valid token says; `None`: it is not valid.
    pub(crate) async fn verify(&self, token: &str, pool: &PgPool) -> Option<Claims> {
        match self.ring().verify(token, AUDIENCE) {
            Ok(claims) => return Some(claims),
            Err(TokenError::UnknownKey) => {}
            Err(_) => return None,
        }
        {
            let mut looked = self.looked.lock().await;
            if looked.elapsed() >= LOOK_EVERY {
                *looked = Instant::now();
                if let Err(why) = self.refresh(pool).await {
                    tracing::warn!(error = %why, "keys cannot be looked up");
                }
            }
        }
        self.ring().verify(token, AUDIENCE).ok()
    }
}

/// The public keys with which tokens can be verified (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", responses((status = 200, description = "a JSON Web Key Set")))]
pub(super) async fn jwks(State(api): State<Api>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, "public, max-age=30")];
    (headers, api.keys.ring().jwks().to_string()).into_response()
}
