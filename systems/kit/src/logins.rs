//! Sessions: a sign-in and all its refreshes; at most five a person.
//!
//! A refresh token is used once: each refresh gives a new one, of which only the hash is kept. One that was used before
//! ends its session (RFC 9700 §4.14.2), for then two hold it. Access tokens name their session; whether it is looked up at
//! every request, so that signing out counts at once, is the service's to say.
//!
//! The table `sessions` is made by a service's own first migration.

use crate::refresh::Refresh;
use serde::Serialize;
use sqlx::{PgConnection, PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

/// Seconds after which a session ends, however often it was refreshed.
pub const SESSION_S: i64 = 7 * 24 * 3600;
/// Sessions that one person may have; a sign-in more ends the one that was refreshed longest ago.
pub const SESSIONS_MAX: i64 = 5;

/// A session that counts, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: Uuid,
    /// The person.
    pub user: Uuid,
}

/// Begins a session within the transaction of a sign-in, and ends those that are too many. `None`: the password that was
/// verified is not the one that counts any more.
///
/// # Errors
/// The database failed.
pub async fn begin(
    transaction: &mut PgConnection,
    (user, password_hash): (Uuid, &str),
    device: &str,
) -> Result<Option<Refresh>, sqlx::Error> {
    // Held, so that of two who sign in at once one counts the other's session.
    let sql = "SELECT id FROM users WHERE id = $1 AND password_hash = $2 FOR NO KEY UPDATE";
    let held = sqlx::query(sql).bind(user).bind(password_hash).fetch_optional(&mut *transaction).await?;
    if held.is_none() {
        return Ok(None);
    }
    let refresh = Refresh::fresh(Uuid::now_v7());
    sqlx::query(
        "INSERT INTO sessions (id, user_id, refresh_hash, device, ends_at) \
         VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))",
    )
    .bind(refresh.session)
    .bind(user)
    .bind(refresh.hash())
    .bind(device)
    .bind(SESSION_S as f64)
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "UPDATE sessions SET ended_at = now(), ended_why = 'one-too-many' WHERE id IN ( \
           SELECT id FROM sessions WHERE user_id = $1 AND ended_at IS NULL AND ends_at > now() \
           ORDER BY refreshed_at DESC, id DESC OFFSET $2)",
    )
    .bind(user)
    .bind(SESSIONS_MAX)
    .execute(transaction)
    .await?;
    Ok(Some(refresh))
}

/// What came of a refresh token.
#[derive(Debug)]
pub enum Refreshed {
    /// The session goes on with this one.
    Again(Session, Refresh),
    /// It was used before; the session has ended now.
    Reused(Session),
    /// There is no such session, or it has ended.
    Over,
}

/// Takes a refresh token and gives the next, within the caller's transaction.
///
/// # Errors
/// The database failed; the token may still be good.
pub async fn refresh(transaction: &mut PgConnection, given: &Refresh) -> Result<Refreshed, sqlx::Error> {
    let row = sqlx::query(
        "SELECT user_id, refresh_hash FROM sessions WHERE id = $1 AND ended_at IS NULL AND ends_at > now() FOR UPDATE",
    )
    .bind(given.session)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = row else { return Ok(Refreshed::Over) };
    let session = Session { id: given.session, user: row.try_get("user_id")? };
    // Hashes of 32 random bytes: what their comparison takes tells nothing of use.
    if row.try_get::<&[u8], _>("refresh_hash")? != given.hash() {
        end(transaction, session.user, session.id, "refresh-reused").await?;
        return Ok(Refreshed::Reused(session));
    }
    let next = Refresh::fresh(session.id);
    sqlx::query("UPDATE sessions SET refresh_hash = $2, refreshed_at = now() WHERE id = $1")
        .bind(session.id)
        .bind(next.hash())
        .execute(transaction)
        .await?;
    Ok(Refreshed::Again(session, next))
}

/// The session, if it counts.
///
/// # Errors
/// The database failed.
pub async fn look_up(pool: &PgPool, id: Uuid) -> Result<Option<Session>, sqlx::Error> {
    let sql = "SELECT user_id FROM sessions WHERE id = $1 AND ended_at IS NULL AND ends_at > now()";
    let user: Option<Uuid> = sqlx::query_scalar(sql).bind(id).fetch_optional(pool).await?;
    Ok(user.map(|user| Session { id, user }))
}

/// Ends one of a person's sessions; `false`: it is none, or had ended already.
///
/// # Errors
/// The database failed.
pub async fn end(connection: &mut PgConnection, user: Uuid, id: Uuid, why: &str) -> Result<bool, sqlx::Error> {
    let sql = "UPDATE sessions SET ended_at = now(), ended_why = $3 \
               WHERE id = $2 AND user_id = $1 AND ended_at IS NULL AND ends_at > now()";
    Ok(sqlx::query(sql).bind(user).bind(id).bind(why).execute(connection).await?.rows_affected() == 1)
}

/// Ends all sessions of a person whose password was changed.
///
/// # Errors
/// The database failed.
pub async fn end_all_of(transaction: &mut PgConnection, user: Uuid) -> Result<u64, sqlx::Error> {
    let sql = "UPDATE sessions SET ended_at = now(), ended_why = 'password-changed' \
               WHERE user_id = $1 AND ended_at IS NULL";
    Ok(sqlx::query(sql).bind(user).execute(transaction).await?.rows_affected())
}

/// A session as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Open {
    /// Its id.
    pub id: Uuid,
    /// What the client called itself.
    pub device: String,
    /// UTC, RFC 3339.
    pub began_at: String,
    /// UTC, RFC 3339.
    pub refreshed_at: String,
}

/// The sessions of a person that count, the latest first.
///
/// # Errors
/// The database failed.
pub async fn open_of(pool: &PgPool, user: Uuid) -> Result<Vec<Open>, sqlx::Error> {
    let sql = "SELECT id, device, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS began_at, \
                 to_char(refreshed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS refreshed_at \
               FROM sessions WHERE user_id = $1 AND ended_at IS NULL AND ends_at > now() \
               ORDER BY sessions.refreshed_at DESC, id DESC";
    let rows = sqlx::query(sql).bind(user).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            Ok(Open {
                id: row.try_get("id")?,
                device: row.try_get("device")?,
                began_at: row.try_get("began_at")?,
                refreshed_at: row.try_get("refreshed_at")?,
            })
        })
        .collect()
}

/// Forgets sessions that are over for a day.
///
/// # Errors
/// The database failed.
pub async fn forget_old(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let sql = "DELETE FROM sessions WHERE least(ends_at, ended_at) < now() - interval '1 day'";
    Ok(sqlx::query(sql).execute(pool).await?.rows_affected())
}
