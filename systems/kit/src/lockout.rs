//! Five wrong passwords in a row lock a name out for fifteen minutes.
//!
//! The table `sign_in_failures` is made by a service's own first migration. Counted by name, whether or not such a user exists, so that the answer tells nothing; in PostgreSQL, since the cache
//! may be away. Overshoot: a guess is counted after it was verified, and looked for when its turn to be verified comes, so
//! at most one more guess for each hashing thread can slip through. Whoever signs in rightly many times at once is not
//! taken for a guesser.

use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::time::Duration;

/// Wrong passwords in a row that lock.
const FAILURES_MAX: i32 = 5;
/// How long it is locked after the last of them, in seconds.
const LOCKED_FOR_S: f64 = 15.0 * 60.0;

/// How long the name is still locked out; `None` if it is not.
///
/// # Errors
/// The database failed; refuse the sign-in.
pub async fn remaining(pool: &PgPool, name: &str) -> Result<Option<Duration>, sqlx::Error> {
    let sql = "SELECT greatest(1, ceil(extract(epoch FROM last_at + make_interval(secs => $2) - now())))::bigint \
               FROM sign_in_failures \
               WHERE name_hash = $1 AND failures >= $3 AND last_at > now() - make_interval(secs => $2)";
    let left_s: Option<i64> =
        sqlx::query_scalar(sql).bind(hash(name)).bind(LOCKED_FOR_S).bind(FAILURES_MAX).fetch_optional(pool).await?;
    Ok(left_s.map(|left_s| Duration::from_secs(u64::try_from(left_s).unwrap_or(1))))
}

/// Counts a wrong password.
///
/// # Errors
/// The database failed.
pub async fn failed(pool: &PgPool, name: &str) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO sign_in_failures AS f (name_hash, failures) VALUES ($1, 1) ON CONFLICT (name_hash) \
               DO UPDATE SET last_at = now(), \
                 failures = CASE WHEN f.last_at < now() - make_interval(secs => $2) THEN 1 ELSE f.failures + 1 END";
    sqlx::query(sql).bind(hash(name)).bind(LOCKED_FOR_S).execute(pool).await.map(drop)
}

/// Forgets the wrong ones: the right password was given.
///
/// # Errors
/// The database failed.
pub async fn succeeded(pool: &PgPool, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM sign_in_failures WHERE name_hash = $1").bind(hash(name)).execute(pool).await.map(drop)
}

/// Forgets what is older than the lock.
///
/// # Errors
/// The database failed.
pub async fn forget_old(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let sql = "DELETE FROM sign_in_failures WHERE last_at < now() - make_interval(secs => $1)";
    Ok(sqlx::query(sql).bind(LOCKED_FOR_S).execute(pool).await?.rows_affected())
}

fn hash(name: &str) -> Vec<u8> {
    Sha256::digest(name.as_bytes()).to_vec()
}
