//! What people are to be told, in PostgreSQL: a queue that many replicas empty.
//!
//! A replica claims what is due for a while (`SKIP LOCKED`, then `next_at`), sends it without holding anything, and writes
//! down what came of it. If it dies in between, another sends it again.

use super::Then;
use sqlx::{PgConnection, PgPool, Row};
use std::time::Duration;
use uuid::Uuid;

/// So many are claimed at once.
const CLAIMED_MAX: i64 = 16;

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is theirs.
    Confirmed,
    /// Nothing came of it.
    Cancelled,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A notice that is ours to send for a while.
pub(super) struct Notice {
    /// The same at every attempt.
    pub(super) id: Uuid,
    pub(super) order: Uuid,
    pub(super) kind: Kind,
    /// Which attempt this is, from 1.
    pub(super) attempt: i32,
    pub(super) email: String,
    pub(super) name: String,
    pub(super) text: String,
}

/// Takes note of who somebody is; an older word than the one that is known changes nothing.
pub(super) async fn note_person(
    transaction: &mut PgConnection,
    (user, version): (Uuid, i64),
    email: &str,
    name: &str,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO people AS p (user_id, version, email, name) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (user_id) DO UPDATE SET version = $2, email = $3, name = $4 WHERE p.version < $2";
    sqlx::query(sql).bind(user).bind(version).bind(email).bind(name).execute(transaction).await.map(drop)
}

/// Somebody is to be told of an order, once.
pub(super) async fn write(
    transaction: &mut PgConnection,
    (user, order): (Uuid, Uuid),
    kind: Kind,
    text: &str,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO notices (user_id, order_id, kind, text) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(user).bind(order).bind(kind.word()).bind(text).execute(transaction).await.map(drop)
}

/// Claims what is due, to people who are known by now; nobody else gets it before `lease` is over.
pub(super) async fn claim(pool: &PgPool, lease: Duration) -> Result<Vec<Notice>, sqlx::Error> {
    let sql = "WITH due AS ( \
                 SELECT n.id, p.email, p.name FROM notices n JOIN people p ON p.user_id = n.user_id \
                 WHERE n.ended_at IS NULL AND n.next_at <= now() ORDER BY n.next_at LIMIT $1 FOR UPDATE OF n SKIP LOCKED) \
               UPDATE notices n SET attempts = n.attempts + 1, next_at = now() + make_interval(secs => $2) \
               FROM due WHERE n.id = due.id \
               RETURNING n.id, n.order_id, n.kind, n.attempts, n.text, due.email, due.name";
    let rows = sqlx::query(sql).bind(CLAIMED_MAX).bind(lease.as_secs_f64()).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let is_confirmed = row.try_get::<&str, _>("kind")? == "confirmed";
            Ok(Notice {
                id: row.try_get("id")?,
                order: row.try_get("order_id")?,
                kind: if is_confirmed { Kind::Confirmed } else { Kind::Cancelled },
                attempt: row.try_get("attempts")?,
                email: row.try_get("email")?,
                name: row.try_get("name")?,
                text: row.try_get("text")?,
            })
        })
        .collect()
}

/// Writes down what came of an attempt.
pub(super) async fn settle(pool: &PgPool, id: Uuid, then: &Then) -> Result<(), sqlx::Error> {
    let (how, wait, error) = match then {
        Then::Sent => (Some("sent"), Duration::ZERO, None),
        Then::GivenUp(why) => (Some("given-up"), Duration::ZERO, Some(why)),
        Then::Again(wait, why) => (None, *wait, Some(why)),
    };
    let sql = "UPDATE notices SET ended_how = $2, ended_at = CASE WHEN $2::text IS NULL THEN NULL ELSE now() END, \
                 next_at = now() + make_interval(secs => $3), error = $4 WHERE id = $1 AND ended_at IS NULL";
    sqlx::query(sql).bind(id).bind(how).bind(wait.as_secs_f64()).bind(error).execute(pool).await.map(drop)
}

/// Forgets what was told a month ago.
pub(super) async fn forget_old(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let sql = "DELETE FROM notices WHERE ended_at < now() - interval '30 days'";
    Ok(sqlx::query(sql).execute(pool).await?.rows_affected())
}
