//! Signing in, refreshing, looking at one's sessions, signing out.
//!
//! Invariant: for an unknown address and for a wrong password the answers are the same, take as long, and lock out alike.

use super::Auth;
use super::tokens::{Tokens, give};
use crate::access::SignedIn;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path};
use plimsoll_kit::logins::{self, Open, Refreshed, Session};
use plimsoll_kit::refresh::Refresh;
use plimsoll_kit::{lockout, people};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Who wants in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    /// Case does not matter.
    email: String,
    /// As it was set.
    password: String,
}

/// The token that was given last.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    refresh_token: String,
}

/// One's sessions.
#[derive(Serialize, ToSchema)]
pub(super) struct Sessions {
    sessions: Vec<Open>,
    /// The one that asks.
    current: Uuid,
}

/// What a client calls itself, as far as it can be kept.
pub(super) fn device_of(headers: &HeaderMap) -> String {
    let told = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    told.chars().take(200).collect()
}

/// Signs in. A sixth session ends the one that was used longest ago. Five wrong passwords lock the address out for fifteen
/// minutes (429).
#[utoipa::path(post, path = "/api/v1/auth/sign-in", request_body = SignIn,
    responses((status = 201, body = Tokens), (status = 401, description = "wrong address or password"),
        (status = 429, description = "locked out, or too many requests")))]
pub(super) async fn sign_in(
    State(auth): State<Auth>,
    headers: HeaderMap,
    Json(request): Json<SignIn>,
) -> Result<Response, Problem> {
    let pool = &auth.access.pool;
    let email: String = request.email.trim().to_lowercase().chars().filter(|c| *c != '\0').take(254).collect();
    let turn = auth.hashers.turn().await?;
    if let Some(remaining) = lockout::remaining(pool, &email).await? {
        return Err(locked_out(remaining.as_secs()));
    }
    let (person, hash) = people::for_sign_in(pool, &email).await?.unzip();
    let right = turn.verify(request.password, hash.clone()).await?;
    let wrong = || Problem::new(StatusCode::UNAUTHORIZED, "wrong-credentials", "Wrong address or password.");
    let (Some(person), Some(hash), true) = (person, hash, right) else {
        lockout::failed(pool, &email).await?;
        return Err(wrong());
    };
    lockout::succeeded(pool, &email).await?;
    let mut transaction = pool.begin().await?;
    let begun = logins::begin(&mut transaction, (person.id, &hash), &device_of(&headers)).await?;
    let refresh = begun.ok_or_else(wrong)?;
    transaction.commit().await?;
    give(&auth, Session { id: refresh.session, user: person.id }, &refresh)
}

/// Takes a refresh token and gives new tokens. A token that was used before ends its session.
#[utoipa::path(post, path = "/api/v1/auth/refresh", request_body = Given,
    responses((status = 201, body = Tokens), (status = 401, description = "over, or used before")))]
pub(super) async fn refresh(State(auth): State<Auth>, Json(given): Json<Given>) -> Result<Response, Problem> {
    let over = || Problem::new(StatusCode::UNAUTHORIZED, "session-over", "The session has ended; sign in again.");
    let given = Refresh::parse(&given.refresh_token).ok_or_else(over)?;
    let mut transaction = auth.access.pool.begin().await?;
    match logins::refresh(&mut transaction, &given).await? {
        Refreshed::Over => Err(over()),
        Refreshed::Again(session, next) => {
            transaction.commit().await?;
            give(&auth, session, &next)
        }
        Refreshed::Reused(session) => {
            transaction.commit().await?;
            tracing::warn!(session = %session.id, user = %session.user, "a refresh token came a second time");
            Err(over())
        }
    }
}

pub(super) fn locked_out(seconds: u64) -> Problem {
    let detail = "Too many wrong passwords for this address; wait before trying again.";
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "locked-out", detail).with("retry_after", seconds);
    problem.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
}

/// Lists one's sessions.
#[utoipa::path(get, path = "/api/v1/auth/sessions", responses((status = 200, body = Sessions), (status = 401)))]
pub(super) async fn list(
    State(auth): State<Auth>,
    SignedIn(session): SignedIn,
) -> Result<axum::Json<Sessions>, Problem> {
    let sessions = logins::open_of(&auth.access.pool, session.user).await?;
    Ok(axum::Json(Sessions { sessions, current: session.id }))
}

/// Ends one of one's sessions: its tokens are not taken any more.
#[utoipa::path(delete, path = "/api/v1/auth/sessions/{id}", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 401), (status = 404)))]
pub(super) async fn end(
    State(auth): State<Auth>,
    SignedIn(session): SignedIn,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    let mut connection = auth.access.pool.acquire().await?;
    let ended = logins::end(&mut connection, session.user, id, "signed-out").await?;
    if ended { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("You have no such session.")) }
}

/// Signs out: the session's tokens are not taken any more.
#[utoipa::path(post, path = "/api/v1/auth/sign-out", responses((status = 204), (status = 401)))]
pub(super) async fn sign_out(State(auth): State<Auth>, SignedIn(session): SignedIn) -> Result<StatusCode, Problem> {
    let mut connection = auth.access.pool.acquire().await?;
    logins::end(&mut connection, session.user, session.id, "signed-out").await?;
    Ok(StatusCode::NO_CONTENT)
}
