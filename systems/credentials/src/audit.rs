//! Who did what: rows that the database refuses to change or delete.

use plimsoll_kit::trace::RequestContext;
use serde::Serialize;
use sqlx::{PgExecutor, PgPool, Row};
use utoipa::ToSchema;

/// Something worth remembering.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Name of who did it; for a sign-in, the name that was typed.
    pub actor: &'a str,
    /// `register`, `sign-in`, `sign-out`, `disable`, `enable`, `list`.
    pub act: &'a str,
    /// What it was done to.
    pub subject: &'a str,
    /// `done`, `refused`, `locked-out`.
    pub outcome: &'a str,
}

/// A row of the audit.
#[derive(Debug, Serialize, ToSchema)]
pub struct Entry {
    /// Grows with time.
    pub id: i64,
    /// When, UTC, RFC 3339.
    pub at: String,
    /// Who.
    pub actor: String,
    /// What.
    pub act: String,
    /// To whom.
    pub subject: String,
    /// How it ended.
    pub outcome: String,
    /// The request's correlation id.
    pub correlation: String,
}

/// Writes an event, within the caller's transaction if there is one.
///
/// # Errors
/// The database failed; then the act must not be reported as done.
pub async fn record(executor: impl PgExecutor<'_>, event: Event<'_>) -> Result<(), sqlx::Error> {
    let correlation = RequestContext::current().map_or_else(|| "-".into(), |context| context.correlation);
    sqlx::query("INSERT INTO audit (actor, act, subject, outcome, correlation) VALUES ($1, $2, $3, $4, $5)")
        .bind(event.actor)
        .bind(event.act)
        .bind(event.subject)
        .bind(event.outcome)
        .bind(&*correlation)
        .execute(executor)
        .await
        .map(drop)
}

/// The newest entries before `before` (exclusive; `None`: from the newest), at most `limit`.
///
/// # Errors
/// The database failed.
pub async fn list(pool: &PgPool, before: Option<i64>, limit: i64) -> Result<Vec<Entry>, sqlx::Error> {
    let rows = sqlx::query(
        r#"SELECT id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, actor, act, subject,
                  outcome, correlation
           FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2"#,
    )
    .bind(before.unwrap_or(i64::MAX))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Entry {
                id: row.try_get("id")?,
                at: row.try_get("at")?,
                actor: row.try_get("actor")?,
                act: row.try_get("act")?,
                subject: row.try_get("subject")?,
                outcome: row.try_get("outcome")?,
                correlation: row.try_get("correlation")?,
            })
        })
        .collect()
}
