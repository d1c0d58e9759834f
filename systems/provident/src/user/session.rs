//! Signing in, refreshing, signing out, and the public keys.

use super::{Here, Users, appointment_of};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::extract::Json;
use plimsoll_kit::logins::{self, Session};
use plimsoll_kit::refresh::Refresh;
use plimsoll_kit::sign_in::{self, Attempt, Given, SignIn, Tokens};

/// Gives tokens for a session.
pub(super) async fn give(all: &Users, session: Session, refresh: &Refresh) -> Result<Response, Problem> {
    let may = appointment_of(&mut *all.pool.acquire().await?, session.user).await?;
    let access_token = all.issue(session, may)?;
    Ok(Tokens::of(session, access_token, refresh).into_response())
}

/// Signs in. Five wrong passwords lock the address out for fifteen minutes.
#[utoipa::path(post, path = "/api/v1/users/sign-in", request_body = SignIn,
    responses((status = 201, body = Tokens), (status = 401, description = "wrong address or password"),
        (status = 429, description = "locked out")))]
pub(super) async fn sign_in(
    State(all): State<Users>,
    headers: HeaderMap,
    Json(request): Json<SignIn>,
) -> Result<Response, Problem> {
    match sign_in::sign_in(&all.pool, &all.hashers, request, &headers).await? {
        Attempt::In(session, refresh) => give(&all, session, &refresh).await,
        Attempt::Wrong => Err(sign_in::wrong()),
        Attempt::LockedOut(remaining) => {
            let detail = "Too many wrong passwords for this address; wait before trying again.";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "locked-out", detail);
            Err(problem.with_header(header::RETRY_AFTER, HeaderValue::from(remaining.as_secs())))
        }
    }
}

/// Takes a refresh token and gives new tokens. A token that was used before ends its session.
#[utoipa::path(post, path = "/api/v1/users/refresh", request_body = Given,
    responses((status = 201, body = Tokens), (status = 401, description = "over, or used before")))]
pub(super) async fn refresh(State(all): State<Users>, Json(given): Json<Given>) -> Result<Response, Problem> {
    let (session, next) = sign_in::refresh(&all.pool, &given).await?.ok_or_else(sign_in::over)?;
    give(&all, session, &next).await
}

/// Signs out: the session is not refreshed any more; its access token counts elsewhere until it expires.
#[utoipa::path(post, path = "/api/v1/users/sign-out", responses((status = 204), (status = 401)))]
pub(super) async fn sign_out(State(all): State<Users>, here: Here) -> Result<StatusCode, Problem> {
    let mut connection = all.pool.acquire().await?;
    logins::end(&mut connection, here.session.user, here.session.id, "signed-out").await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The public keys with which tokens can be verified (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", responses((status = 200, description = "a JSON Web Key Set")))]
pub(super) async fn jwks(State(all): State<Users>) -> Response {
    all.keys.jwks()
}
