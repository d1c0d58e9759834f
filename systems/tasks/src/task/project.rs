//! Projects, and who works in them.

use crate::access::{Access, SignedIn};
use crate::projects::{self, Project};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path};
use plimsoll_kit::people;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

const SHOWN_MAX: i64 = 200;

/// A project to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProject {
    /// 1 to 100 characters.
    name: String,
}

/// One's projects, the newest 200.
#[derive(Serialize, ToSchema)]
pub(super) struct Projects {
    projects: Vec<Project>,
}

/// A project and who works in it.
#[derive(Serialize, ToSchema)]
pub(super) struct Whole {
    #[serde(flatten)]
    project: Project,
    members: Vec<Uuid>,
}

pub(super) fn none() -> Problem {
    Problem::not_found("You have no such project.")
}

/// Lists one's projects.
#[utoipa::path(get, path = "/api/v1/projects", responses((status = 200, body = Projects), (status = 401)))]
pub(super) async fn list(
    State(access): State<Access>,
    SignedIn(session): SignedIn,
) -> Result<axum::Json<Projects>, Problem> {
    Ok(axum::Json(Projects { projects: projects::all_of(&access.pool, session.user, SHOWN_MAX).await? }))
}

/// Creates a project; one is its owner and first member.
#[utoipa::path(post, path = "/api/v1/projects", request_body = NewProject,
    responses((status = 201, body = Project), (status = 401), (status = 422)))]
pub(super) async fn create(
    State(access): State<Access>,
    SignedIn(session): SignedIn,
    Json(new): Json<NewProject>,
) -> Result<Response, Problem> {
    let unfit = || Problem::unprocessable("not-acceptable", "A name has 1 to 100 characters.");
    let name = people::plain_name(&new.name).ok_or_else(unfit)?;
    let mut transaction = access.pool.begin().await?;
    let project = projects::create(&mut transaction, &name, session.user).await?;
    transaction.commit().await?;
    let place = [(header::LOCATION, format!("/api/v1/projects/{}", project.id))];
    Ok((StatusCode::CREATED, place, axum::Json(project)).into_response())
}

/// Shows a project and its members, to them.
#[utoipa::path(get, path = "/api/v1/projects/{id}", params(("id" = Uuid, Path)),
    responses((status = 200, body = Whole), (status = 401), (status = 404)))]
pub(super) async fn show(
    State(access): State<Access>,
    SignedIn(session): SignedIn,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<Whole>, Problem> {
    let mut connection = access.pool.acquire().await?;
    let project = projects::of(&mut connection, id, session.user).await?.ok_or_else(none)?;
    drop(connection);
    Ok(axum::Json(Whole { project, members: projects::members(&access.pool, id).await? }))
}

/// Adds a member; only the owner may.
#[utoipa::path(put, path = "/api/v1/projects/{id}/members/{user}",
    params(("id" = Uuid, Path), ("user" = Uuid, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn add(
    State(access): State<Access>,
    SignedIn(session): SignedIn,
    Path((id, user)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, Problem> {
    let mut transaction = access.pool.begin().await?;
    let project = projects::of(&mut transaction, id, session.user).await?.ok_or_else(none)?;
    if project.owner != session.user {
        return Err(Problem::forbidden("Only the owner of a project adds members."));
    }
    if !projects::add(&mut transaction, id, user).await? {
        return Err(Problem::not_found("There is no such person."));
    }
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a member, whose tasks are nobody's from then on: the owner anybody but themselves, others themselves.
#[utoipa::path(delete, path = "/api/v1/projects/{id}/members/{user}",
    params(("id" = Uuid, Path), ("user" = Uuid, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404),
        (status = 409, description = "that is the owner")))]
pub(super) async fn remove(
    State(access): State<Access>,
    SignedIn(session): SignedIn,
    Path((id, user)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, Problem> {
    let mut transaction = access.pool.begin().await?;
    let project = projects::of(&mut transaction, id, session.user).await?.ok_or_else(none)?;
    if project.owner == user {
        return Err(Problem::conflict("owner", "A project keeps its owner."));
    }
    if project.owner != session.user && user != session.user {
        return Err(Problem::forbidden("Only the owner of a project removes others."));
    }
    if !projects::remove(&mut transaction, id, user).await? {
        return Err(Problem::not_found("That is no member."));
    }
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
