//! What must not happen twice: answers remembered by `Idempotency-Key`, in the same transaction as the deed.
//!
//! Invariant: a deed and the memory of its answer are committed together or not at all. Two requests with one key at
//! the same time wait for each other on the primary key.
//!
//! The table `idempotency_keys` is made by a service's own first migration.

use crate::Problem;
use axum::extract::FromRequestParts;
use http::request::Parts;
use serde_json::Value;
use sqlx::{PgConnection, PgPool, Row};

/// The header, 1 to 255 visible ASCII characters; `None` when the client sent none.
pub struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let key = value.to_str().unwrap_or_default();
        if key.is_empty() || key.len() > 255 || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Problem::bad_request("Idempotency-Key must be 1 to 255 visible ASCII characters."));
        }
        Ok(Self(Some(key.to_owned())))
    }
}

/// An answer given before.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: Value,
}

/// A key was used again for a different request, or the database failed.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// The client must choose another key.
    #[error("the idempotency key was used for a different request")]
    OtherRequest,
    /// Retry.
    #[error("cannot read or write idempotency keys")]
    Database(#[from] sqlx::Error),
}

impl From<IdempotencyError> for Problem {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::OtherRequest => Self::unprocessable(
                "idempotency-key-reused",
                "This Idempotency-Key was used for a different request; choose another.",
            ),
            IdempotencyError::Database(why) => why.into(),
        }
    }
}

/// A key within its scope (the operation), and what the request was (a hash of it).
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Name of the operation.
    pub scope: &'a str,
    /// The client's key.
    pub key: &'a str,
    /// Hash of what was asked.
    pub fingerprint: &'a [u8],
}

impl Claim<'_> {
    /// The answer given before under this key, without claiming it; spares work, decides nothing.
    ///
    /// # Errors
    /// The key belongs to another request, or the database failed.
    pub async fn recall(&self, pool: &PgPool) -> Result<Option<Answered>, IdempotencyError> {
        self.find(&mut *pool.acquire().await?).await
    }

    /// Claims the key within the caller's transaction: `None` means do the deed, then [`Claim::remember`].
    ///
    /// # Errors
    /// As [`Claim::recall`].
    pub async fn take(&self, transaction: &mut PgConnection) -> Result<Option<Answered>, IdempotencyError> {
        let taken = sqlx::query(
            "INSERT INTO idempotency_keys (scope, key, fingerprint) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(self.scope)
        .bind(self.key)
        .bind(self.fingerprint)
        .execute(&mut *transaction)
        .await?;
        if taken.rows_affected() == 1 { Ok(None) } else { self.find(transaction).await }
    }

    /// Remembers the answer within the caller's transaction.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remember(&self, transaction: &mut PgConnection, answered: &Answered) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE idempotency_keys SET status = $3, body = $4 WHERE scope = $1 AND key = $2")
            .bind(self.scope)
            .bind(self.key)
            .bind(i16::try_from(answered.status).unwrap_or(500))
            .bind(&answered.body)
            .execute(transaction)
            .await
            .map(drop)
    }

    async fn find(&self, connection: &mut PgConnection) -> Result<Option<Answered>, IdempotencyError> {
        let row = sqlx::query("SELECT fingerprint, status, body FROM idempotency_keys WHERE scope = $1 AND key = $2")
            .bind(self.scope)
            .bind(self.key)
            .fetch_optional(connection)
            .await?;
        let Some(row) = row else { return Ok(None) };
        if row.try_get::<Vec<u8>, _>("fingerprint")? != self.fingerprint {
            return Err(IdempotencyError::OtherRequest);
        }
        let status: Option<i16> = row.try_get("status")?;
        let body: Option<Value> = row.try_get("body")?;
        Ok(status.zip(body).map(|(status, body)| Answered { status: u16::try_from(status).unwrap_or(500), body }))
    }
}

/// Forgets keys older than a day; a client that retries later than that is a new client.
///
/// # Errors
/// The database failed.
pub async fn forget_old(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let done =
        sqlx::query("DELETE FROM idempotency_keys WHERE created_at < now() - interval '1 day'").execute(pool).await?;
    Ok(done.rows_affected())
}
