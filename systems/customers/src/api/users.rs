//! Users: who may see customers, and what they may do.

use super::Api;
use super::sessions::forget;
use super::signed_in::{Admin, SignedIn};
use crate::audit::{self, Event};
use crate::users::{self, Change, Role, User};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path, Query};
use plimsoll_kit::lockout;
use plimsoll_kit::precondition::{IfMatch, header_of};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const PAGE: i64 = 100;
/// NIST SP 800-63B: at least 8; an upper bound so that nobody sends a novel to be hashed.
const PASSWORD_MIN: usize = 8;
const PASSWORD_MAX: usize = 128;

/// A user to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    /// 3 to 64 letters, digits and `.@_-`.
    name: String,
    /// What it may do.
    role: Role,
    /// 8 to 128 characters.
    password: String,
}

/// What changes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Changed {
    /// Another role.
    role: Option<Role>,
    /// May it not sign in?
    disabled: Option<bool>,
    /// A new password.
    password: Option<String>,
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

/// Which users.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only names after this one: `next` of the page before.
    #[serde(default)]
    after: String,
}

/// A page of users, in order of name.
#[derive(Serialize, ToSchema)]
pub(super) struct Page {
    users: Vec<User>,
    /// `after` of the next page; null on the last.
    next: Option<String>,
}

/// Lists users.
#[utoipa::path(get, path = "/api/users", params(Which), responses((status = 200, body = Page), (status = 403)))]
pub(super) async fn list(
    State(api): State<Api>,
    _: Admin,
    Query(which): Query<Which>,
) -> Result<axum::Json<Page>, Problem> {
    let mut users = users::list(&api.pool, &which.after, PAGE + 1).await?;
    let shown = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let more = users.len() > shown;
    users.truncate(shown);
    let next = users.last().filter(|_| more).map(|user| user.name.clone());
    Ok(axum::Json(Page { users, next }))
}

/// Creates a user.
#[utoipa::path(post, path = "/api/users", request_body = NewUser,
    responses((status = 201, body = User), (status = 403), (status = 409, description = "taken"), (status = 422)))]
pub(super) async fn create(
    State(api): State<Api>,
    Admin(admin): Admin,
    Json(new): Json<NewUser>,
) -> Result<Response, Problem> {
    let wrong = || Problem::unprocessable("not-acceptable", "A name has 3 to 64 letters, digits and .@_-");
    let name = users::plain_name(&new.name).ok_or_else(wrong)?;
    let hash = hash(&api, new.password).await?;
    let mut transaction = api.pool.begin().await?;
    let taken = || Problem::conflict("taken", "There is a user of this name.");
    let user = users::create(&mut transaction, &name, new.role, &hash).await?.ok_or_else(taken)?;
    let (subject, detail) = (format!("user {name}"), json!({ "role": new.role }));
    let event = Event { actor: &admin.name, act: "create-user", subject, outcome: "done", detail };
    audit::append(&mut transaction, &event).await?;
    transaction.commit().await?;
    let place = [(header::LOCATION, format!("/api/users/{}", user.id))];
    Ok((StatusCode::CREATED, header_of(user.version), place, axum::Json(user)).into_response())
}

/// Changes a user's role, password, or whether it may sign in; it is signed out everywhere.
#[utoipa::path(patch, path = "/api/users/{id}", request_body = Changed, params(("id" = Uuid, Path),
    ("If-Match" = String, Header)), responses((status = 200, body = User), (status = 404),
        (status = 409, description = "that is yourself"), (status = 412), (status = 428)))]
pub(super) async fn change(
    State(api): State<Api>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    seen: IfMatch,
    Json(changed): Json<Changed>,
) -> Result<Response, Problem> {
    if id == admin.user && (changed.disabled == Some(true) || changed.role.is_some_and(|role| role != Role::Admin)) {
        return Err(Problem::conflict("yourself", "You cannot take your own rights away."));
    }
    let fields = [
        ("role", changed.role.is_some()),
        ("disabled", changed.disabled.is_some()),
        ("password", changed.password.is_some()),
    ];
    let fields: Vec<&str> = fields.into_iter().filter_map(|(name, given)| given.then_some(name)).collect();
    let password_hash = match changed.password {
        Some(password) => Some(hash(&api, password).await?),
        None => None,
    };
    let change = Change { role: changed.role, disabled: changed.disabled, password_hash };
    let mut transaction = api.pool.begin().await?;
    let none = || Problem::not_found("There is no such user.");
    let before = users::hold(&mut transaction, id).await?.ok_or_else(none)?;
    seen.check(before.version)?;
    if fields.is_empty() {
        return Ok((header_of(before.version), axum::Json(before)).into_response());
    }
    let (user, ended) = users::change(&mut transaction, id, &change).await?;
    let detail = json!({ "changed": fields, "role": user.role, "disabled": user.disabled });
    let subject = format!("user {}", user.name);
    let event = Event { actor: &admin.name, act: "change-user", subject, outcome: "done", detail };
    audit::append(&mut transaction, &event).await?;
    transaction.commit().await?;
    forget(&api, &ended).await;
    Ok((header_of(user.version), axum::Json(user)).into_response())
}

/// Changes one's own password; one is signed out everywhere.
#[utoipa::path(put, path = "/api/users/current/password", request_body = NewPassword,
    responses((status = 204), (status = 403, description = "the current one is wrong"), (status = 409), (status = 422), (status = 429)))]
pub(super) async fn change_password(
    State(api): State<Api>,
    SignedIn(session): SignedIn,
    Json(request): Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    acceptable(&request.new)?;
    let turn = api.hashers.turn().await?;
    // Whoever holds a token may no more try passwords out than anybody else.
    if lockout::remaining(&api.pool, &session.name).await?.is_some() {
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "locked-out", "Too many wrong passwords; wait."));
    }
    let (user, stored) = users::for_sign_in(&api.pool, &session.name).await?.unzip();
    if !turn.verify(request.current, stored).await? {
        lockout::failed(&api.pool, &session.name).await?;
        return Err(Problem::new(StatusCode::FORBIDDEN, "wrong-password", "The current password is wrong."));
    }
    lockout::succeeded(&api.pool, &session.name).await?;
    let change = Change { password_hash: Some(hash(&api, request.new).await?), ..Change::default() };
    let mut transaction = api.pool.begin().await?;
    // What was verified must still be what counts: an administrator may have set another password meanwhile.
    let now = users::hold(&mut transaction, session.user).await?;
    if now.map(|user| user.version) != user.map(|user| user.version) {
        return Err(Problem::conflict("changed-meanwhile", "This user was changed meanwhile; sign in again."));
    }
    let (user, ended) = users::change(&mut transaction, session.user, &change).await?;
    let (subject, detail) = (format!("user {}", user.name), json!({ "changed": ["password"] }));
    let event = Event { actor: &user.name, act: "change-user", subject, outcome: "done", detail };
    audit::append(&mut transaction, &event).await?;
    transaction.commit().await?;
    forget(&api, &ended).await;
    Ok(StatusCode::NO_CONTENT)
}

fn acceptable(password: &str) -> Result<(), Problem> {
    let length = password.chars().count();
    if (PASSWORD_MIN..=PASSWORD_MAX).contains(&length) {
        return Ok(());
    }
    Err(Problem::unprocessable("not-acceptable", "A password has 8 to 128 characters."))
}

async fn hash(api: &Api, password: String) -> Result<String, Problem> {
    acceptable(&password)?;
    Ok(api.hashers.hash(password).await?)
}
