//! Tokens as they are given, and the public keys with which they can be verified.

use super::Auth;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use plimsoll_kit::Problem;
use plimsoll_kit::logins::Session;
use plimsoll_kit::refresh::Refresh;
use plimsoll_kit::sign_in::Tokens;

/// Gives tokens for a session.
pub(super) fn give(auth: &Auth, session: Session, refresh: &Refresh) -> Result<Response, Problem> {
    let access_token = auth.access.issue(session)?;
    Ok(Tokens::of(session, access_token, refresh).into_response())
}

/// The public keys with which tokens can be verified (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", responses((status = 200, description = "a JSON Web Key Set")))]
pub(super) async fn jwks(State(auth): State<Auth>) -> Response {
    auth.access.keys.jwks()
}
