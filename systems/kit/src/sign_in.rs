//! Signing in with an address and a password, and refreshing: what services are asked and what they give, and what happens in
//! between.
//!
//! Invariant: for an unknown address and for a wrong password the answers are the same, take as long, and lock out alike.

use crate::{
    Problem,
    hashing::Hashers,
    keys::ACCESS_S,
    lockout,
    logins::{self, Refreshed, Session},
    people,
    refresh::Refresh,
};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

/// Who wants in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Case does not matter.
    email: String,
    /// As it was set.
    password: String,
}

/// The token that was given last.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Given {
    refresh_token: String,
}

/// Tokens, as RFC 6749 §5.1 names them.
#[derive(Serialize, ToSchema)]
pub struct Tokens {
    /// Send it as `Authorization: Bearer …`.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds that the access token is valid.
    expires_in: i64,
    /// Good for one refresh.
    refresh_token: String,
    /// Who is signed in.
    user_id: Uuid,
}

impl Tokens {
    /// Those of a session.
    #[must_use]
    pub fn of(session: Session, access_token: String, refresh: &Refresh) -> Self {
        let (expires_in, refresh_token, user_id) = (ACCESS_S, refresh.text(), session.user);
        Self { access_token, token_type: "Bearer", expires_in, refresh_token, user_id }
    }
}

impl IntoResponse for Tokens {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], axum::Json(self)).into_response()
    }
}

/// What a client calls itself, as far as it can be kept.
#[must_use]
pub fn device_of(headers: &HeaderMap) -> String {
    let told = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    told.chars().take(200).collect()
}

/// How a sign-in ended.
#[derive(Debug)]
pub enum Attempt {
    /// With a session, which is written down.
    In(Session, Refresh),
    /// The address is unknown, or the password is not its.
    Wrong,
    /// The address is locked out for so long.
    LockedOut(Duration),
}

/// Signs in. Five wrong passwords lock the address out for fifteen minutes.
///
/// # Errors
/// The database failed, or too many wait for their password to be verified.
pub async fn sign_in(
    pool: &PgPool,
    hashers: &Hashers,
    request: SignIn,
    headers: &HeaderMap,
) -> Result<Attempt, Problem> {
    let email: String = request.email.trim().to_lowercase().chars().filter(|c| *c != '\0').take(254).collect();
    let turn = hashers.turn().await?;
    if let Some(remaining) = lockout::remaining(pool, &email).await? {
        return Ok(Attempt::LockedOut(remaining));
    }
    let (person, hash) = people::for_sign_in(pool, &email).await?.unzip();
    let right = turn.verify(request.password, hash.clone()).await?;
    let (Some(person), Some(hash), true) = (person, hash, right) else {
        lockout::failed(pool, &email).await?;
        return Ok(Attempt::Wrong);
    };
    lockout::succeeded(pool, &email).await?;
    let mut transaction = pool.begin().await?;
    let Some(refresh) = logins::begin(&mut transaction, (person.id, &hash), &device_of(headers)).await? else {
        return Ok(Attempt::Wrong);
    };
    transaction.commit().await?;
    Ok(Attempt::In(Session { id: refresh.session, user: person.id }, refresh))
}

/// Takes a refresh token, and gives the next one of its session. `None`: the session is over; a token that was used before ends
/// it.
///
/// # Errors
/// The database failed.
pub async fn refresh(pool: &PgPool, given: &Given) -> Result<Option<(Session, Refresh)>, sqlx::Error> {
    let Some(given) = Refresh::parse(&given.refresh_token) else { return Ok(None) };
    let mut transaction = pool.begin().await?;
    match logins::refresh(&mut transaction, &given).await? {
        Refreshed::Over => Ok(None),
        Refreshed::Again(session, next) => {
            transaction.commit().await?;
            Ok(Some((session, next)))
        }
        Refreshed::Reused(session) => {
            transaction.commit().await?;
            tracing::warn!(session = %session.id, user = %session.user, "a refresh token came a second time");
            Ok(None)
        }
    }
}

/// Wrong address or password (401).
#[must_use]
pub fn wrong() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "wrong-credentials", "Wrong address or password.")
}

/// The session has ended (401).
#[must_use]
pub fn over() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "session-over", "The session has ended; sign in again.")
}
