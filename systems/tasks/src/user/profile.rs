//! Profiles: one's own, whole; others' by name.

use crate::access::{Access, SignedIn};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path, Query};
use plimsoll_kit::people::{self, Face, Person};
use plimsoll_kit::precondition::{IfMatch, header_of};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const FOUND_MAX: i64 = 20;
/// Shorter beginnings find half of all people.
const QUERY_CHARS_MIN: usize = 2;

/// What changes; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Changed {
    /// 1 to 100 characters.
    name: Option<String>,
}

/// Whom to find.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// The beginning of a name (at least two characters), or a whole address.
    query: String,
}

/// People who were found, at most twenty.
#[derive(Serialize, ToSchema)]
pub(super) struct Found {
    users: Vec<Face>,
}

fn none() -> Problem {
    Problem::not_found("There is no such person.")
}

/// Shows who is signed in.
#[utoipa::path(get, path = "/api/v1/users/me", responses((status = 200, body = Person), (status = 401)))]
pub(super) async fn own(State(access): State<Access>, SignedIn(session): SignedIn) -> Result<Response, Problem> {
    let person = people::by_id(&access.pool, session.user).await?.ok_or_else(none)?;
    Ok((header_of(person.version), axum::Json(person)).into_response())
}

/// Changes who is signed in.
#[utoipa::path(patch, path = "/api/v1/users/me", request_body = Changed,
    params(("If-Match" = String, Header, description = "the ETag that you have seen")),
    responses((status = 200, body = Person), (status = 401), (status = 412), (status = 422), (status = 428)))]
pub(super) async fn amend(
    State(access): State<Access>,
    SignedIn(session): SignedIn,
    seen: IfMatch,
    Json(changed): Json<Changed>,
) -> Result<Response, Problem> {
    let unfit = || Problem::unprocessable("not-acceptable", "A name has 1 to 100 characters.");
    let name = changed.name.map(|name| people::plain_name(&name).ok_or_else(unfit)).transpose()?;
    let mut transaction = access.pool.begin().await?;
    let before = people::hold(&mut transaction, session.user).await?.ok_or_else(none)?;
    seen.check(before.version)?;
    let person = match name.filter(|name| *name != before.name) {
        Some(name) => people::rename(&mut transaction, session.user, &name).await?,
        None => before,
    };
    transaction.commit().await?;
    Ok((header_of(person.version), axum::Json(person)).into_response())
}

/// Shows somebody, as others see them.
#[utoipa::path(get, path = "/api/v1/users/{id}", params(("id" = Uuid, Path)),
    responses((status = 200, body = Face), (status = 401), (status = 404)))]
pub(super) async fn show(
    State(access): State<Access>,
    _: SignedIn,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<Face>, Problem> {
    let person = people::by_id(&access.pool, id).await?.ok_or_else(none)?;
    Ok(axum::Json(Face { id: person.id, name: person.name }))
}

/// Finds people, so that one can work with them.
#[utoipa::path(get, path = "/api/v1/users", params(Which),
    responses((status = 200, body = Found), (status = 400), (status = 401)))]
pub(super) async fn find(
    State(access): State<Access>,
    _: SignedIn,
    Query(which): Query<Which>,
) -> Result<axum::Json<Found>, Problem> {
    let text = which.query.trim();
    if text.chars().count() < QUERY_CHARS_MIN {
        return Err(Problem::bad_request("query has at least two characters."));
    }
    Ok(axum::Json(Found { users: people::find(&access.pool, text, FOUND_MAX).await? }))
}
