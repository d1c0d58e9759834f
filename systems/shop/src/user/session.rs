//! Signing in, refreshing, signing out, and the public keys.
//!
//! Invariant: for an unknown address and for a wrong password the answers are the same, take as long, and lock out alike.

use super::{SignedIn, Users, role_of};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::extract::Json;
use plimsoll_kit::keys::ACCESS_S;
use plimsoll_kit::logins::{self, Refreshed, Session};
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

/// Tokens, as RFC 6749 §5.1 names them.
#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
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

/// What a client calls itself, as far as it can be kept.
pub(super) fn device_of(headers: &HeaderMap) -> String {
    let told = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    told.chars().take(200).collect()
}

/// Gives tokens for a session.
pub(super) async fn give(all: &Users, session: Session, refresh: &Refresh) -> Result<Response, Problem> {
    let role = role_of(&mut *all.pool.acquire().await?, session.user).await?;
    let access_token = all.issue(session, role)?;
    let (expires_in, refresh_token, user_id) = (ACCESS_S, refresh.text(), session.user);
    let tokens = Tokens { access_token, token_type: "Bearer", expires_in, refresh_token, user_id };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], axum::Json(tokens)).into_response())
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
    let email: String = request.email.trim().to_lowercase().chars().filter(|c| *c != '\0').take(254).collect();
    let turn = all.hashers.turn().await?;
    if let Some(remaining) = lockout::remaining(&all.pool, &email).await? {
        let detail = "Too many wrong passwords for this address; wait before trying again.";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "locked-out", detail);
        return Err(problem.with_header(header::RETRY_AFTER, HeaderValue::from(remaining.as_secs())));
    }
    let (person, hash) = people::for_sign_in(&all.pool, &email).await?.unzip();
    let right = turn.verify(request.password, hash.clone()).await?;
    let wrong = || Problem::new(StatusCode::UNAUTHORIZED, "wrong-credentials", "Wrong address or password.");
    let (Some(person), Some(hash), true) = (person, hash, right) else {
        lockout::failed(&all.pool, &email).await?;
        return Err(wrong());
    };
    lockout::succeeded(&all.pool, &email).await?;
    let mut transaction = all.pool.begin().await?;
    let begun = logins::begin(&mut transaction, (person.id, &hash), &device_of(&headers)).await?;
    let refresh = begun.ok_or_else(wrong)?;
    transaction.commit().await?;
    give(&all, Session { id: refresh.session, user: person.id }, &refresh).await
}

/// Takes a refresh token and gives new tokens. A token that was used before ends its session.
#[utoipa::path(post, path = "/api/v1/users/refresh", request_body = Given,
    responses((status = 201, body = Tokens), (status = 401, description = "over, or used before")))]
pub(super) async fn refresh(State(all): State<Users>, Json(given): Json<Given>) -> Result<Response, Problem> {
    let over = || Problem::new(StatusCode::UNAUTHORIZED, "session-over", "The session has ended; sign in again.");
    let given = Refresh::parse(&given.refresh_token).ok_or_else(over)?;
    let mut transaction = all.pool.begin().await?;
    match logins::refresh(&mut transaction, &given).await? {
        Refreshed::Over => Err(over()),
        Refreshed::Again(session, next) => {
            transaction.commit().await?;
            give(&all, session, &next).await
        }
        Refreshed::Reused(session) => {
            transaction.commit().await?;
            tracing::warn!(session = %session.id, user = %session.user, "a refresh token came a second time");
            Err(over())
        }
    }
}

/// Signs out: the session is not refreshed any more; its access token counts elsewhere until it expires.
#[utoipa::path(post, path = "/api/v1/users/sign-out", responses((status = 204), (status = 401)))]
pub(super) async fn sign_out(State(all): State<Users>, SignedIn(session): SignedIn) -> Result<StatusCode, Problem> {
    let mut connection = all.pool.acquire().await?;
    logins::end(&mut connection, session.user, session.id, "signed-out").await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The public keys with which tokens can be verified (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", responses((status = 200, description = "a JSON Web Key Set")))]
pub(super) async fn jwks(State(all): State<Users>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, "public, max-age=30")];
    (headers, all.keys.ring().jwks().to_string()).into_response()
}
