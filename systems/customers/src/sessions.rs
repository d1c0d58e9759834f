//! Sessions: a sign-in and all its refreshes.
//!
//! A refresh token is used once: each refresh gives a new one, of which only the hash is kept. One that was used before
//! ends its session (RFC 9700 §4.14.2), for then two hold it. Access tokens name their session, which is looked up at every
//! request, so that signing out counts at once.

use crate::cache::{self, Key};
use crate::users::{Role, User};
use plimsoll_kit::refresh::Refresh;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;

/// Seconds after which a session ends, however often it was refreshed.
pub const SESSION_S: i64 = 7 * 24 * 3600;

/// A session that counts, and whose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: Uuid,
    /// Grows by one when it ends.
    pub version: i64,
    /// The user.
    pub user: Uuid,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// A session that has ended: what the cache must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its id.
    pub id: Uuid,
    /// Its last version.
    pub version: i64,
}

/// Begins a session within the transaction of the sign-in; `None`: the user was changed since it was read, and what was
/// verified may not count any more.
///
/// # Errors
/// The database failed.
pub async fn begin(transaction: &mut PgConnection, user: &User) -> Result<Option<Refresh>, sqlx::Error> {
    let refresh = Refresh::fresh(Uuid::now_v7());
    let begun = sqlx::query(
        "INSERT INTO sessions (id, user_id, refresh_hash, ends_at) \
         SELECT $1, id, $3, now() + make_interval(secs => $4) FROM users \
         WHERE id = $2 AND version = $5 AND disabled_at IS NULL FOR SHARE",
    )
    .bind(refresh.session)
    .bind(user.id)
    .bind(refresh.hash())
    .bind(SESSION_S as f64)
    .bind(user.version)
    .execute(transaction)
    .await?;
    Ok((begun.rows_affected() == 1).then_some(refresh))
}

/// What came of a refresh token.
#[derive(Debug)]
pub enum Refreshed {
    /// The session goes on with this one.
    Again(Session, Refresh),
    /// It was used before; the session has ended now, if it had not already.
    Reused(Session, Ended),
    /// There is no such session, or it has ended.
    Over,
}

/// Takes a refresh token and gives the next, within the caller's transaction.
///
/// # Errors
/// The database failed; the token may still be good.
pub async fn refresh(transaction: &mut PgConnection, given: &Refresh) -> Result<Refreshed, sqlx::Error> {
    let row = sqlx::query(
        "SELECT s.id, s.version, s.refresh_hash, u.id AS user_id, u.name, u.role FROM sessions s \
         JOIN users u ON u.id = s.user_id \
         WHERE s.id = $1 AND s.ended_at IS NULL AND s.ends_at > now() AND u.disabled_at IS NULL FOR UPDATE OF s",
    )
    .bind(given.session)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = row else { return Ok(Refreshed::Over) };
    let session = read(&row)?;
    // Hashes of 32 random bytes: what their comparison takes tells nothing of use.
    if row.try_get::<&[u8], _>("refresh_hash")? != given.hash() {
        let ended = end(transaction, session.id, "refresh-reused").await?;
        return Ok(ended.map_or(Refreshed::Over, |ended| Refreshed::Reused(session, ended)));
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
    let row = sqlx::query(
        "SELECT s.id, s.version, u.id AS user_id, u.name, u.role FROM sessions s JOIN users u ON u.id = s.user_id \
         WHERE s.id = $1 AND s.ended_at IS NULL AND s.ends_at > now() AND u.disabled_at IS NULL",
    )
    .bind(id)
    .fetch_optional(pool)
    .await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &sqlx::postgres::PgRow) -> Result<Session, sqlx::Error> {
    let role: &str = row.try_get("role")?;
    Ok(Session {
        id: row.try_get("id")?,
        version: row.try_get("version")?,
        user: row.try_get("user_id")?,
        name: row.try_get("name")?,
        role: Role::parse(role).ok_or_else(|| sqlx::Error::Decode(format!("no role {role}").into()))?,
    })
}

/// Ends a session within the caller's transaction; `None`: it had ended already.
///
/// # Errors
/// The database failed.
pub async fn end(transaction: &mut PgConnection, id: Uuid, why: &str) -> Result<Option<Ended>, sqlx::Error> {
    let sql = "UPDATE sessions SET ended_at = now(), ended_why = $2, version = version + 1 \
               WHERE id = $1 AND ended_at IS NULL RETURNING version";
    let version: Option<i64> = sqlx::query_scalar(sql).bind(id).bind(why).fetch_optional(&mut *transaction).await?;
    let Some(version) = version else { return Ok(None) };
    cache::changed(transaction, Key::Session(id), version).await?;
    Ok(Some(Ended { id, version }))
}

/// Ends all sessions of a user that has changed.
///
/// # Errors
/// The database failed.
pub async fn end_all_of(transaction: &mut PgConnection, user: Uuid) -> Result<Vec<Ended>, sqlx::Error> {
    let sql = "UPDATE sessions SET ended_at = now(), ended_why = 'user-changed', version = version + 1 \
               WHERE user_id = $1 AND ended_at IS NULL RETURNING id, version";
    let rows = sqlx::query(sql).bind(user).fetch_all(&mut *transaction).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let ended = Ended { id: row.try_get("id")?, version: row.try_get("version")? };
        cache::changed(transaction, Key::Session(ended.id), ended.version).await?;
        all.push(ended);
    }
    Ok(all)
}

/// Forgets sessions that are over for a day.
///
/// # Errors
/// The database failed.
pub async fn forget_old(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let sql = "DELETE FROM sessions WHERE least(ends_at, ended_at) < now() - interval '1 day'";
    Ok(sqlx::query(sql).execute(pool).await?.rows_affected())
}
