//! Administration: list, search, disable, enable, and the audit of all that.

use super::Api;
use super::sessions::Admin;
use crate::accounts::{self, Account};
use crate::audit::{self, Entry, Event};
use axum::Json;
use axum::extract::State;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Path, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const PAGE_DEFAULT: i64 = 50;
const PAGE_MAX: i64 = 200;

/// Which accounts.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Names that begin with this.
    #[serde(default)]
    query: String,
    /// Only names after this one: `next` of the page before.
    #[serde(default)]
    after: String,
    /// 1 to 200; default 50.
    limit: Option<i64>,
}

/// A page of accounts, in order of name.
#[derive(Serialize, ToSchema)]
pub(super) struct Page {
    accounts: Vec<Account>,
    /// `after` of the next page; null on the last.
    next: Option<String>,
}

/// Lists and searches accounts.
#[utoipa::path(get, path = "/api/admin/accounts", params(Which), responses((status = 200, body = Page), (status = 403)))]
pub(super) async fn list(State(api): State<Api>, _: Admin, Query(which): Query<Which>) -> Result<Json<Page>, Problem> {
    let limit = which.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let prefix = which.query.trim().to_lowercase();
    let mut accounts = accounts::list(&api.pool, &prefix, &which.after, limit + 1).await?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = accounts.len() > shown;
    accounts.truncate(shown);
    let next = accounts.last().filter(|_| more).map(|account| account.name.clone());
    Ok(Json(Page { accounts, next }))
}

/// Disables an account: it cannot sign in, and its sessions end at their next request.
#[utoipa::path(post, path = "/api/admin/accounts/{id}/disable", params(("id" = i64, Path)),
    responses((status = 200, body = Account), (status = 404), (status = 409, description = "that is yourself")))]
pub(super) async fn disable(
    State(api): State<Api>,
    Admin(admin): Admin,
    Path(id): Path<i64>,
) -> Result<Json<Account>, Problem> {
    if id == admin.id {
        return Err(Problem::conflict("yourself", "You cannot disable your own account."));
    }
    set_disabled(&api, &admin, id, true).await.map(Json)
}

/// Enables an account again.
#[utoipa::path(post, path = "/api/admin/accounts/{id}/enable", params(("id" = i64, Path)),
    responses((status = 200, body = Account), (status = 404)))]
pub(super) async fn enable(
    State(api): State<Api>,
    Admin(admin): Admin,
    Path(id): Path<i64>,
) -> Result<Json<Account>, Problem> {
    set_disabled(&api, &admin, id, false).await.map(Json)
}

async fn set_disabled(api: &Api, admin: &Account, id: i64, disabled: bool) -> Result<Account, Problem> {
    let mut transaction = api.pool.begin().await?;
    let account = accounts::set_disabled(&mut transaction, id, disabled).await?;
    let account = account.ok_or_else(|| Problem::not_found("There is no such account."))?;
    let act = if disabled { "disable" } else { "enable" };
    let event = Event { actor: &admin.name, act, subject: &account.name, outcome: "done" };
    audit::record(&mut *transaction, event).await?;
    transaction.commit().await?;
    Ok(account)
}

/// Which part of the audit.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// Only entries before this id: `next` of the page before.
    before: Option<i64>,
    /// 1 to 200; default 50.
    limit: Option<i64>,
}

/// A page of the audit, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditPage {
    entries: Vec<Entry>,
    /// `before` of the next page; null on the last.
    next: Option<i64>,
}

/// Reads the audit.
#[utoipa::path(get, path = "/api/admin/audit", params(Part), responses((status = 200, body = AuditPage), (status = 403)))]
pub(super) async fn audit(
    State(api): State<Api>,
    _: Admin,
    Query(part): Query<Part>,
) -> Result<Json<AuditPage>, Problem> {
    let limit = part.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let entries = audit::list(&api.pool, part.before, limit).await?;
    let full = i64::try_from(entries.len()).is_ok_and(|count| count == limit);
    let next = entries.last().filter(|_| full).map(|entry| entry.id);
    Ok(Json(AuditPage { entries, next }))
}
