//! Signing up, and changing one's password.

use super::Auth;
use super::session::locked_out;
use super::tokens::give;
use crate::access::SignedIn;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use plimsoll_kit::Problem;
use plimsoll_kit::extract::Json;
use plimsoll_kit::logins::{self, Session};
use plimsoll_kit::sign_in::{Tokens, device_of};
use plimsoll_kit::{lockout, people};
use serde::Deserialize;
use utoipa::ToSchema;

/// Somebody new.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignUp {
    /// Where mail goes; one person has it.
    email: String,
    /// What others see: 1 to 100 characters.
    name: String,
    /// 8 to 128 characters.
    password: String,
}

/// A password for oneself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    /// The one until now.
    current: String,
    /// The one from now on.
    new: String,
}

/// Signs up, and in.
#[utoipa::path(post, path = "/api/v1/auth/sign-up", request_body = SignUp,
    responses((status = 201, body = Tokens), (status = 409, description = "the address is taken"), (status = 422),
        (status = 429, description = "too many requests")))]
pub(super) async fn sign_up(
    State(auth): State<Auth>,
    headers: HeaderMap,
    Json(request): Json<SignUp>,
) -> Result<Response, Problem> {
    let unfit = |what| Problem::unprocessable("not-acceptable", what);
    let email = people::plain_email(&request.email).ok_or_else(|| unfit("That is no e-mail address."))?;
    let name = people::plain_name(&request.name).ok_or_else(|| unfit("A name has 1 to 100 characters."))?;
    acceptable(&request.password)?;
    let hash = auth.hashers.hash(request.password).await?;
    let mut transaction = auth.access.pool.begin().await?;
    let taken = || Problem::conflict("taken", "Somebody has signed up with this address.").with("field", "email");
    let person = people::create(&mut transaction, (&email, &name), &hash).await?.ok_or_else(taken)?;
    let begun = logins::begin(&mut transaction, (person.id, &hash), &device_of(&headers)).await?;
    let refresh = begun.ok_or_else(taken)?;
    transaction.commit().await?;
    give(&auth, Session { id: refresh.session, user: person.id }, &refresh)
}

/// Changes one's password; one is signed out everywhere.
#[utoipa::path(put, path = "/api/v1/auth/password", request_body = NewPassword,
    responses((status = 204), (status = 401), (status = 403, description = "the current one is wrong"),
        (status = 409, description = "it was changed meanwhile"), (status = 422), (status = 429)))]
pub(super) async fn change_password(
    State(auth): State<Auth>,
    SignedIn(session): SignedIn,
    Json(request): Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    let pool = &auth.access.pool;
    acceptable(&request.new)?;
    let gone = || Problem::unauthorized("Sign in again.");
    let person = people::by_id(pool, session.user).await?.ok_or_else(gone)?;
    let email = person.email.to_lowercase();
    let turn = auth.hashers.turn().await?;
    // Whoever holds a token may no more try passwords out than anybody else.
    if let Some(remaining) = lockout::remaining(pool, &email).await? {
        return Err(locked_out(remaining.as_secs()));
    }
    let (_, seen) = people::for_sign_in(pool, &email).await?.ok_or_else(gone)?;
    if !turn.verify(request.current, Some(seen.clone())).await? {
        lockout::failed(pool, &email).await?;
        return Err(Problem::new(StatusCode::FORBIDDEN, "wrong-password", "The current password is wrong."));
    }
    lockout::succeeded(pool, &email).await?;
    let new = auth.hashers.hash(request.new).await?;
    let mut transaction = pool.begin().await?;
    if !people::change_password(&mut transaction, session.user, (&seen, &new)).await? {
        return Err(Problem::conflict("changed-meanwhile", "The password was changed meanwhile; sign in again."));
    }
    logins::end_all_of(&mut transaction, session.user).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn acceptable(password: &str) -> Result<(), Problem> {
    if people::is_password(password) {
        return Ok(());
    }
    Err(Problem::unprocessable("not-acceptable", "A password has 8 to 128 characters."))
}
