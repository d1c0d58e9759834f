//! Access tokens, and the keys with which they can be verified.

use super::Api;
use crate::sessions::Session;
use axum::extract::State;
use axum::response::Response;
use plimsoll_kit::Problem;
use plimsoll_kit::keys::{ACCESS_S, Keys};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Who may use our tokens: ourselves.
const AUDIENCE: &str = "customers";

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

/// An access token for this session.
pub(super) fn issue(keys: &Keys, session: &Session) -> Result<String, Problem> {
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
    keys.sign(&claims).map_err(|why| Problem::internal(&why))
}

/// What a valid token says; `None`: it is not valid.
pub(super) async fn verify(keys: &Keys, token: &str) -> Option<Claims> {
    keys.verify(token, AUDIENCE).await
}

/// The public keys with which tokens can be verified (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", responses((status = 200, description = "a JSON Web Key Set")))]
pub(super) async fn jwks(State(api): State<Api>) -> Response {
    api.keys.jwks()
}
