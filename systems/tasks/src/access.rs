//! Who asks: the access token and its session.
//!
//! Invariant: a token counts only as long as its session does, whatever the token says.

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::Bearer;
use plimsoll_kit::keys::{ACCESS_S, Keys};
use plimsoll_kit::logins::{self, Session};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Who may use our tokens: ourselves.
const AUDIENCE: &str = "tasks";

/// What an access token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The person.
    sub: Uuid,
    /// The session.
    sid: Uuid,
    iat: i64,
    exp: i64,
}

/// What is needed to know who asks; cheap to clone.
#[derive(Clone)]
pub struct Access {
    /// Where sessions are.
    pub pool: PgPool,
    /// What tokens are signed with.
    pub keys: Keys,
}

impl Access {
    /// An access token for this session.
    ///
    /// # Errors
    /// Our fault.
    pub fn issue(&self, session: Session) -> Result<String, Problem> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        let now = i64::try_from(now).unwrap_or(0);
        let (iss, aud) = (AUDIENCE.to_owned(), AUDIENCE.to_owned());
        let claims = Claims { iss, aud, sub: session.user, sid: session.id, iat: now, exp: now + ACCESS_S };
        self.keys.sign(&claims).map_err(|why| Problem::internal(&why))
    }
}

/// Somebody whose token is valid and whose session counts.
pub struct SignedIn(pub Session);

impl<S: Send + Sync> FromRequestParts<S> for SignedIn
where
    Access: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let access = Access::from_ref(state);
        let Bearer(token) = Bearer::from_request_parts(parts, state).await?;
        let over = || Problem::unauthorized("The token is not valid or its session has ended; refresh it or sign in.");
        let claims: Claims = access.keys.verify(&token, AUDIENCE).await.ok_or_else(over)?;
        Ok(Self(logins::look_up(&access.pool, claims.sid).await?.ok_or_else(over)?))
    }
}
