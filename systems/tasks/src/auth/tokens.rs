//! Tokens as they are given, and the public keys with which they can be verified.

use super::Auth;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::keys::ACCESS_S;
use plimsoll_kit::logins::Session;
use plimsoll_kit::refresh::Refresh;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

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

/// Gives tokens for a session.
pub(super) fn give(auth: &Auth, session: Session, refresh: &Refresh) -> Result<Response, Problem> {
    let access_token = auth.access.issue(session)?;
    let (expires_in, refresh_token, user_id) = (ACCESS_S, refresh.text(), session.user);
    let tokens = Tokens { access_token, token_type: "Bearer", expires_in, refresh_token, user_id };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], axum::Json(tokens)).into_response())
}

/// The public keys with which tokens can be verified (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", responses((status = 200, description = "a JSON Web Key Set")))]
pub(super) async fn jwks(State(auth): State<Auth>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, "public, max-age=30")];
    (headers, auth.access.keys.ring().jwks().to_string()).into_response()
}
