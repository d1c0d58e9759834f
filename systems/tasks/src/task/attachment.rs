//! Files that hang on tasks: brought by members, read by whoever has a link that is still good.
//!
//! Invariant: a file is durable before a row speaks of it.

use super::Tasks;
use super::item::none;
use crate::access::{Access, SignedIn};
use crate::attachments::{self, Attachment, New};
use crate::tasks;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Path, Query, Whole};
use plimsoll_kit::files::download_headers;
use plimsoll_kit::links::Signed;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// What a file is called.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Named {
    /// 1 to 200 characters.
    name: String,
}

/// An attachment, and where its bytes are for a while.
#[derive(Serialize, ToSchema)]
pub(super) struct Linked {
    #[serde(flatten)]
    attachment: Attachment,
    /// Needs no token; good for some minutes.
    url: String,
}

/// What hangs on a task.
#[derive(Serialize, ToSchema)]
pub(super) struct Attachments {
    attachments: Vec<Linked>,
}

fn linked(all: &Tasks, attachment: Attachment) -> Linked {
    Linked { url: all.links.to(&format!("/api/v1/files/{}", attachment.id)), attachment }
}

/// Hangs a file on a task: the body is the file, at most 5 MiB.
#[utoipa::path(post, path = "/api/v1/tasks/{id}/attachments", params(("id" = Uuid, Path), Named),
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 201, body = Linked), (status = 401), (status = 404), (status = 413), (status = 422)))]
#[expect(clippy::too_many_arguments, reason = "each takes one part out of the request")]
pub(super) async fn create(
    State(all): State<Tasks>,
    SignedIn(session): SignedIn,
    Path(task): Path<Uuid>,
    Query(named): Query<Named>,
    headers: HeaderMap,
    Whole(bytes): Whole,
) -> Result<Response, Problem> {
    let told = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type: String = told.unwrap_or("application/octet-stream").chars().take(200).collect();
    let name = named.name.trim();
    let fits = (1..=200).contains(&name.chars().count()) && !name.chars().any(|c| c.is_control() || c == '/');
    if !fits || bytes.is_empty() {
        return Err(Problem::unprocessable(
            "not-acceptable",
            "A file has a name of 1 to 200 characters, and a content.",
        ));
    }
    let Access { pool, .. } = &all.access;
    tasks::of(pool, task, session.user).await?.ok_or_else(none)?;
    let (id, hash) = (Uuid::now_v7(), Sha256::digest(&bytes));
    let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    all.files.put(id, bytes).await.map_err(|why| Problem::internal(&why))?;
    let mut transaction = pool.begin().await?;
    tasks::hold(&mut transaction, task, session.user).await?.ok_or_else(none)?;
    let new = New { id, task, by: session.user, named: (name, &media_type), content: (length, &hash) };
    let full = || Problem::unprocessable("too-many", "Fifty attachments hang on this task already.");
    let attachment = attachments::create(&mut transaction, &new).await?.ok_or_else(full)?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, axum::Json(linked(&all, attachment))).into_response())
}

/// Lists what hangs on a task, each with a link.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/attachments", params(("id" = Uuid, Path)),
    responses((status = 200, body = Attachments), (status = 401), (status = 404)))]
pub(super) async fn list(
    State(all): State<Tasks>,
    SignedIn(session): SignedIn,
    Path(task): Path<Uuid>,
) -> Result<Response, Problem> {
    let pool = &all.access.pool;
    tasks::of(pool, task, session.user).await?.ok_or_else(none)?;
    let attachments = attachments::of_task(pool, task).await?.into_iter().map(|one| linked(&all, one)).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(Attachments { attachments })).into_response())
}

/// Takes a file from a task; its links lead nowhere from then on.
#[utoipa::path(delete, path = "/api/v1/tasks/{id}/attachments/{attachment}",
    params(("id" = Uuid, Path), ("attachment" = Uuid, Path)),
    responses((status = 204), (status = 401), (status = 404)))]
pub(super) async fn delete(
    State(all): State<Tasks>,
    SignedIn(session): SignedIn,
    Path((task, id)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, Problem> {
    let pool = &all.access.pool;
    tasks::of(pool, task, session.user).await?.ok_or_else(none)?;
    if attachments::delete(pool, task, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("No such attachment hangs on this task."))
    }
}

/// Sends a file to whoever has a link to it. A browser keeps it as a file and does not show it: anybody may have brought
/// anything.
#[utoipa::path(get, path = "/api/v1/files/{id}", params(("id" = Uuid, Path), Signed),
    responses((status = 200, description = "the file"), (status = 400), (status = 403, description = "not a good link"),
        (status = 404)))]
pub(super) async fn download(
    State(all): State<Tasks>,
    Path(id): Path<Uuid>,
    Query(link): Query<Signed>,
) -> Result<Response, Problem> {
    all.links.check(&format!("/api/v1/files/{id}"), &link)?;
    let gone = || Problem::not_found("The file is gone.");
    let attachment = attachments::by_id(&all.access.pool, id).await?.ok_or_else(gone)?;
    let bytes = all.files.get(id).await.map_err(|why| Problem::internal(&why))?.ok_or_else(gone)?;
    let headers = download_headers(&attachment.name, &attachment.media_type, &attachment.sha256);
    Ok((headers, Body::from(bytes)).into_response())
}
