//! Tasks: create, read, find, change, delete.

use super::project::none as no_project;
use crate::access::{Access, SignedIn};
use crate::search::{self, Filter, Page, SearchError};
use crate::tasks::{self, Draft, Status, Task};
use crate::{outbox, projects};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path, Query};
use plimsoll_kit::idempotency::{Answered, Claim, IdempotencyKey};
use plimsoll_kit::precondition::{IfMatch, header_of, is_known};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

const SCOPE: &str = "tasks";

/// A task to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTask {
    /// The project that it is of.
    project: Uuid,
    /// 1 to 200 characters.
    title: String,
    /// At most 10,000 characters.
    #[serde(default)]
    description: String,
    /// How far it is; default `open`.
    status: Option<Status>,
    /// Whose it is: a member of the project, or nobody's.
    assignee: Option<Uuid>,
    /// When it is to be done, RFC 3339.
    due_at: Option<String>,
}

impl NewTask {
    fn draft(self) -> Result<Draft, Problem> {
        let Self { title, description, status, assignee, due_at, .. } = self;
        let status = status.unwrap_or(Status::Open);
        Draft { title, description, status, assignee, due_at }.checked().map_err(unfit)
    }
}

pub(super) fn none() -> Problem {
    Problem::not_found("You have no such task.")
}

fn unfit(what: &str) -> Problem {
    Problem::unprocessable("not-acceptable", what)
}

/// Finds tasks of one's projects, page by page.
#[utoipa::path(get, path = "/api/v1/tasks", params(Filter),
    responses((status = 200, body = Page), (status = 400), (status = 401)))]
pub(super) async fn list(
    State(access): State<Access>,
    SignedIn(session): SignedIn,
    Query(filter): Query<Filter>,
) -> Result<axum::Json<Page>, Problem> {
    Ok(axum::Json(search::page(&access.pool, session.user, &filter).await?))
}

/// Creates a task.
#[utoipa::path(post, path = "/api/v1/tasks", request_body = NewTask,
    params(("Idempotency-Key" = Option<String>, Header, description = "repeat it to get the same answer")),
    responses((status = 201, body = Task), (status = 401), (status = 404, description = "no such project"),
        (status = 422)))]
pub(super) async fn create(
    State(access): State<Access>,
    SignedIn(session): SignedIn,
    IdempotencyKey(key): IdempotencyKey,
    Json(new): Json<NewTask>,
) -> Result<Response, Problem> {
    let (project, draft) = (new.project, new.draft()?);
    let fingerprint = Sha256::digest(json!([session.user, project, draft]).to_string());
    // Keys are of one person: nobody gets another's answer.
    let key = key.map(|key| format!("{} {key}", session.user.simple()));
    let claim = key.as_deref().map(|key| Claim { scope: SCOPE, key, fingerprint: &fingerprint });
    let mut transaction = access.pool.begin().await?;
    if let Some(claim) = &claim
        && let Some(before) = claim.take(&mut transaction).await?
    {
        let task: Task = serde_json::from_value(before.body).map_err(|why| Problem::internal(&why))?;
        return Ok(created(&task));
    }
    projects::of(&mut transaction, project, session.user).await?.ok_or_else(no_project)?;
    assignable(&mut transaction, project, draft.assignee).await?;
    let task = tasks::create(&mut transaction, project, &draft, session.user).await?;
    tell(&mut transaction, &task, session.user).await?;
    if let Some(claim) = &claim {
        claim.remember(&mut transaction, &Answered { status: 201, body: json!(task) }).await?;
    }
    transaction.commit().await?;
    Ok(created(&task))
}

/// A task can be a member's, or nobody's.
async fn assignable(transaction: &mut PgConnection, project: Uuid, assignee: Option<Uuid>) -> Result<(), Problem> {
    match assignee {
        Some(assignee) if !projects::has(transaction, project, assignee).await? => {
            Err(unfit("assignee is no member of the project."))
        }
        _ => Ok(()),
    }
}

/// Whoever has a task now is told, unless they took it themselves.
async fn tell(transaction: &mut PgConnection, task: &Task, by: Uuid) -> Result<(), Problem> {
    match task.draft.assignee {
        Some(assignee) if assignee != by => Ok(outbox::assigned(transaction, task.id, task.version, assignee).await?),
        _ => Ok(()),
    }
}

/// Shows a task.
#[utoipa::path(get, path = "/api/v1/tasks/{id}", params(("id" = Uuid, Path)),
    responses((status = 200, body = Task), (status = 304, description = "you have it"), (status = 401), (status = 404)))]
pub(super) async fn show(
    State(access): State<Access>,
    SignedIn(session): SignedIn,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let task = tasks::of(&access.pool, id, session.user).await?.ok_or_else(none)?;
    if is_known(&headers, task.version) {
        return Ok((StatusCode::NOT_MODIFIED, header_of(task.version)).into_response());
    }
    Ok(answer(StatusCode::OK, &task))
}

/// Changes some fields of a task (RFC 7396).
#[utoipa::path(patch, path = "/api/v1/tasks/{id}", request_body = Object, params(("id" = Uuid, Path),
    ("If-Match" = String, Header, description = "the ETag that you have seen")),
    responses((status = 200, body = Task), (status = 401), (status = 404), (status = 412), (status = 422),
        (status = 428)))]
pub(super) async fn amend(
    State(access): State<Access>,
    SignedIn(session): SignedIn,
    Path(id): Path<Uuid>,
    seen: IfMatch,
    Json(patch): Json<Map<String, Value>>,
) -> Result<Response, Problem> {
    let mut transaction = access.pool.begin().await?;
    let before = tasks::hold(&mut transaction, id, session.user).await?.ok_or_else(none)?;
    seen.check(before.version)?;
    let draft = patched(&before.draft, patch)?.checked().map_err(unfit)?;
    if draft == before.draft {
        return Ok(answer(StatusCode::OK, &before));
    }
    if draft.assignee != before.draft.assignee {
        assignable(&mut transaction, before.project, draft.assignee).await?;
    }
    let task = tasks::replace(&mut transaction, id, &draft).await?;
    if draft.assignee != before.draft.assignee {
        tell(&mut transaction, &task, session.user).await?;
    }
    transaction.commit().await?;
    Ok(answer(StatusCode::OK, &task))
}

/// `null` takes a field back to what it is when nothing is said of it.
fn patched(before: &Draft, patch: Map<String, Value>) -> Result<Draft, Problem> {
    let malformed = |why: serde_json::Error| Problem::unprocessable("malformed-body", why.to_string());
    let mut fields = match serde_json::to_value(before).map_err(malformed)? {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() && fields.contains_key(&name) {
            fields.remove(&name);
        } else {
            fields.insert(name, value);
        }
    }
    serde_json::from_value(Value::Object(fields)).map_err(malformed)
}

/// Deletes a task for good.
#[utoipa::path(delete, path = "/api/v1/tasks/{id}", params(("id" = Uuid, Path),
    ("If-Match" = String, Header, description = "the ETag that you have seen")),
    responses((status = 204), (status = 401), (status = 404), (status = 412), (status = 428)))]
pub(super) async fn delete(
    State(access): State<Access>,
    SignedIn(session): SignedIn,
    Path(id): Path<Uuid>,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    let mut transaction = access.pool.begin().await?;
    let before = tasks::hold(&mut transaction, id, session.user).await?.ok_or_else(none)?;
    seen.check(before.version)?;
    tasks::delete(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn answer(status: StatusCode, task: &Task) -> Response {
    (status, header_of(task.version), [(header::CACHE_CONTROL, "private, no-cache")], axum::Json(task)).into_response()
}

fn created(task: &Task) -> Response {
    ([(header::LOCATION, format!("/api/v1/tasks/{}", task.id))], answer(StatusCode::CREATED, task)).into_response()
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Mistake(what) => Self::bad_request(what),
            SearchError::Database(why) => why.into(),
        }
    }
}
