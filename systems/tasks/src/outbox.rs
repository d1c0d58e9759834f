//! What people are to be told, in PostgreSQL: a queue that many replicas empty.
//!
//! A replica claims what is due for a while (`SKIP LOCKED`, then `next_at`), sends it without holding anything, and writes
//! down what came of it. If it dies in between, another sends it again: at least once.
//!
//! Invariant: a notification is written in the transaction of what it tells of, once for each occasion; it is told to nobody
//! whose task it is no more.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use std::time::Duration;
use uuid::Uuid;

/// So many are claimed at once.
const CLAIMED_MAX: i64 = 16;

/// Why somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A task became theirs.
    Assigned,
    /// A task of theirs is to be done soon.
    Due,
}

impl Kind {
    /// As it is stored and sent.
    pub fn word(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Due => "due",
        }
    }
}

/// A notification that is ours to send for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The same at every attempt.
    pub id: Uuid,
    /// Why.
    pub kind: Kind,
    /// Which attempt this is, from 1.
    pub attempt: i32,
    /// Who is told.
    pub user: Uuid,
    /// Their address.
    pub email: String,
    /// Their name.
    pub name: String,
    /// Of which task.
    pub task: Uuid,
    /// Its title.
    pub title: String,
    /// When it is to be done; UTC, RFC 3339.
    pub due_at: Option<String>,
    /// The mail was taken at an earlier attempt.
    pub mailed: bool,
    /// The webhook was taken at an earlier attempt.
    pub hooked: bool,
    /// What it tells of is still so.
    pub stands: bool,
}

impl Notification {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let kind = if row.try_get::<&str, _>("kind")? == "due" { Kind::Due } else { Kind::Assigned };
        Ok(Self {
            id: row.try_get("id")?,
            kind,
            attempt: row.try_get("attempts")?,
            user: row.try_get("user_id")?,
            email: row.try_get("email")?,
            name: row.try_get("name")?,
            task: row.try_get("task_id")?,
            title: row.try_get("title")?,
            due_at: row.try_get("due_at")?,
            mailed: row.try_get("mailed")?,
            hooked: row.try_get("hooked")?,
            stands: row.try_get("stands")?,
        })
    }
}

/// Somebody is to be told that a task became theirs with this version of it.
///
/// # Errors
/// The database failed.
pub async fn assigned(transaction: &mut PgConnection, task: Uuid, version: i64, user: Uuid) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO notifications (user_id, task_id, kind, occasion) VALUES ($1, $2, 'assigned', $3) \
               ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(user).bind(task).bind(version.to_string()).execute(transaction).await.map(drop)
}

/// All whose tasks are to be done within `before`, or should have been within the last day, are to be told; once for each
/// moment that a task was given. Answers how many are told now.
///
/// # Errors
/// The database failed.
pub async fn remind(pool: &PgPool, before: Duration) -> Result<u64, sqlx::Error> {
    let sql = "INSERT INTO notifications (user_id, task_id, kind, occasion) \
               SELECT assignee, id, 'due', extract(epoch FROM due_at)::text FROM tasks \
               WHERE status <> 'done' AND assignee IS NOT NULL \
                 AND due_at > now() - interval '1 day' AND due_at <= now() + make_interval(secs => $1) \
               ON CONFLICT DO NOTHING";
    Ok(sqlx::query(sql).bind(before.as_secs_f64()).execute(pool).await?.rows_affected())
}

/// Claims what is due; nobody else gets it before `lease` is over.
///
/// # Errors
/// The database failed; nothing is claimed.
pub async fn claim(pool: &PgPool, lease: Duration) -> Result<Vec<Notification>, sqlx::Error> {
    let sql = "WITH due AS ( \
                 SELECT id FROM notifications WHERE ended_at IS NULL AND next_at <= now() \
                 ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED), \
               claimed AS ( \
                 UPDATE notifications n SET attempts = n.attempts + 1, next_at = now() + make_interval(secs => $2) \
                 FROM due WHERE n.id = due.id RETURNING n.*) \
               SELECT c.id, c.kind, c.attempts, c.user_id, u.email, u.name, c.task_id, t.title, \
                 to_char(t.due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS due_at, \
                 c.mailed_at IS NOT NULL AS mailed, c.hooked_at IS NOT NULL AS hooked, \
                 coalesce(t.assignee = c.user_id AND (c.kind = 'assigned' \
                   OR (t.status <> 'done' AND extract(epoch FROM t.due_at)::text = c.occasion)), false) AS stands \
               FROM claimed c JOIN users u ON u.id = c.user_id JOIN tasks t ON t.id = c.task_id";
    let rows = sqlx::query(sql).bind(CLAIMED_MAX).bind(lease.as_secs_f64()).fetch_all(pool).await?;
    rows.iter().map(Notification::read).collect()
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The mail has been taken, now or before.
    pub mailed: bool,
    /// The webhook has been taken, now or before.
    pub hooked: bool,
    /// What follows.
    pub then: Then,
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// Nothing: everybody has it.
    Sent,
    /// Nothing: it isn't so any more.
    Overtaken,
    /// Nothing: it can't be sent.
    GivenUp(String),
    /// Another attempt, not before this.
    Again(Duration, String),
}

/// Writes down what came of an attempt.
///
/// # Errors
/// The database failed; it will be sent again.
pub async fn settle(pool: &PgPool, id: Uuid, outcome: &Outcome) -> Result<(), sqlx::Error> {
    let (how, wait, error) = match &outcome.then {
        Then::Sent => (Some("sent"), Duration::ZERO, None),
        Then::Overtaken => (Some("overtaken"), Duration::ZERO, None),
        Then::GivenUp(why) => (Some("given-up"), Duration::ZERO, Some(why)),
        Then::Again(wait, why) => (None, *wait, Some(why)),
    };
    let sql = "UPDATE notifications SET ended_how = $2, ended_at = CASE WHEN $2::text IS NULL THEN NULL ELSE now() END, \
                 next_at = now() + make_interval(secs => $3), error = $4, \
                 mailed_at = coalesce(mailed_at, CASE WHEN $5 THEN now() END), \
                 hooked_at = coalesce(hooked_at, CASE WHEN $6 THEN now() END) \
               WHERE id = $1 AND ended_at IS NULL";
    sqlx::query(sql)
        .bind(id)
        .bind(how)
        .bind(wait.as_secs_f64())
        .bind(error)
        .bind(outcome.mailed)
        .bind(outcome.hooked)
        .execute(pool)
        .await
        .map(drop)
}

/// Forgets what ended a month ago; tasks whose moment lies further back than a day are not told of again.
///
/// # Errors
/// The database failed.
pub async fn forget_old(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let sql = "DELETE FROM notifications WHERE ended_at < now() - interval '30 days'";
    Ok(sqlx::query(sql).execute(pool).await?.rows_affected())
}
