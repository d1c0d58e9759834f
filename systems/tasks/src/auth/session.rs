//! Signing in, refreshing, looking at one's sessions, signing out.

use super::Auth;
use super::tokens::give;
use crate::access::SignedIn;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path};
use plimsoll_kit::logins::{self, Open};
use plimsoll_kit::sign_in::{self, Attempt, Given, SignIn, Tokens};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// One's sessions.
#[derive(Serialize, ToSchema)]
pub(super) struct Sessions {
    sessions: Vec<Open>,
    /// The one that asks.
    current: Uuid,
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
    match sign_in::sign_in(&auth.access.pool, &auth.hashers, request, &headers).await? {
        Attempt::In(session, refresh) => give(&auth, session, &refresh),
        Attempt::Wrong => Err(sign_in::wrong()),
        Attempt::LockedOut(remaining) => Err(locked_out(remaining.as_secs())),
    }
}

/// Takes a refresh token and gives new tokens. A token that was used before ends its session.
#[utoipa::path(post, path = "/api/v1/auth/refresh", request_body = Given,
    responses((status = 201, body = Tokens), (status = 401, description = "over, or used before")))]
pub(super) async fn refresh(State(auth): State<Auth>, Json(given): Json<Given>) -> Result<Response, Problem> {
    let (session, next) = sign_in::refresh(&auth.access.pool, &given).await?.ok_or_else(sign_in::over)?;
    give(&auth, session, &next)
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
