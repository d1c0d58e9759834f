//! Reading the audit.

use super::Api;
use super::signed_in::Admin;
use crate::audit::{self, Entry, Part};
use axum::extract::State;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::Query;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const PAGE_DEFAULT: i64 = 50;
const PAGE_MAX: i64 = 200;

/// Which part of the audit.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only rows before this number: `next` of the page before.
    before: Option<i64>,
    /// Only what this name did.
    #[serde(default)]
    actor: String,
    /// Only what was done to this: `customer ID`, `user NAME`, `session ID`.
    #[serde(default)]
    subject: String,
    /// 1 to 200; default 50.
    limit: Option<i64>,
}

/// A page of the audit, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Page {
    entries: Vec<Entry>,
    /// `before` of the next page; null on the last.
    next: Option<i64>,
}

/// Reads the audit. Each row's hash is of the row and the hash before; `customers audit` follows them all.
#[utoipa::path(get, path = "/api/audit", params(Which), responses((status = 200, body = Page), (status = 403)))]
pub(super) async fn list(
    State(api): State<Api>,
    _: Admin,
    Query(which): Query<Which>,
) -> Result<axum::Json<Page>, Problem> {
    let limit = which.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let part = Part { before: which.before, actor: &which.actor, subject: &which.subject, limit };
    let entries = audit::list(&api.pool, &part).await?;
    let full = i64::try_from(entries.len()).is_ok_and(|count| count == limit);
    let next = entries.last().filter(|_| full).map(|entry| entry.seq);
    Ok(axum::Json(Page { entries, next }))
}
