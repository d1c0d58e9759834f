//! Signing up, and who one is.

use super::session::give;
use super::{SignedIn, Users, tell};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::Json;
use plimsoll_kit::logins::{self, Session};
use plimsoll_kit::people::{self, Person};
use plimsoll_kit::precondition::{IfMatch, header_of};
use plimsoll_kit::sign_in::{Tokens, device_of};
use serde::Deserialize;
use utoipa::ToSchema;

/// Somebody new.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignUp {
    /// Where mail goes; one person has it.
    email: String,
    /// 1 to 100 characters.
    name: String,
    /// 8 to 128 characters.
    password: String,
}

/// What changes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Changed {
    /// 1 to 100 characters.
    name: String,
}

fn unfit(detail: &str) -> Problem {
    Problem::unprocessable("not-acceptable", detail)
}

fn none() -> Problem {
    Problem::unauthorized("Sign in again.")
}

/// Signs up, and in.
#[utoipa::path(post, path = "/api/v1/users/sign-up", request_body = SignUp,
    responses((status = 201, body = Tokens), (status = 409, description = "the address is taken"), (status = 422)))]
pub(super) async fn sign_up(
    State(all): State<Users>,
    headers: HeaderMap,
    Json(request): Json<SignUp>,
) -> Result<Response, Problem> {
    let email = people::plain_email(&request.email).ok_or_else(|| unfit("That is no e-mail address."))?;
    let name = people::plain_name(&request.name).ok_or_else(|| unfit("A name has 1 to 100 characters."))?;
    if !people::is_password(&request.password) {
        return Err(unfit("A password has 8 to 128 characters."));
    }
    let hash = all.hashers.hash(request.password).await?;
    let mut transaction = all.pool.begin().await?;
    let taken = || Problem::conflict("taken", "Somebody has signed up with this address.").with("field", "email");
    let person = people::create(&mut transaction, (&email, &name), &hash).await?.ok_or_else(taken)?;
    tell(&mut transaction, &person).await?;
    let begun = logins::begin(&mut transaction, (person.id, &hash), &device_of(&headers)).await?;
    let refresh = begun.ok_or_else(taken)?;
    transaction.commit().await?;
    all.wake.wake();
    give(&all, Session { id: refresh.session, user: person.id }, &refresh).await
}

/// Shows who is signed in.
#[utoipa::path(get, path = "/api/v1/users/me", responses((status = 200, body = Person), (status = 401)))]
pub(super) async fn own(State(all): State<Users>, SignedIn(session): SignedIn) -> Result<Response, Problem> {
    let person = people::by_id(&all.pool, session.user).await?.ok_or_else(none)?;
    Ok((header_of(person.version), axum::Json(person)).into_response())
}

/// Gives who is signed in another name.
#[utoipa::path(patch, path = "/api/v1/users/me", request_body = Changed,
    params(("If-Match" = String, Header, description = "the ETag that you have seen")),
    responses((status = 200, body = Person), (status = 401), (status = 412), (status = 422), (status = 428)))]
pub(super) async fn amend(
    State(all): State<Users>,
    SignedIn(session): SignedIn,
    seen: IfMatch,
    Json(changed): Json<Changed>,
) -> Result<Response, Problem> {
    let name = people::plain_name(&changed.name).ok_or_else(|| unfit("A name has 1 to 100 characters."))?;
    let mut transaction = all.pool.begin().await?;
    let before = people::hold(&mut transaction, session.user).await?.ok_or_else(none)?;
    seen.check(before.version)?;
    let person = people::rename(&mut transaction, session.user, &name).await?;
    tell(&mut transaction, &person).await?;
    transaction.commit().await?;
    all.wake.wake();
    Ok((header_of(person.version), axum::Json(person)).into_response())
}
