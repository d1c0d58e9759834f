//! Requests that must not happen twice: the key that the client chose, and what it stands for.

use crate::Problem;
use crate::idempotency::{Answered, Claim, IdempotencyKey};
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

/// A key of somebody for one request.
pub struct Once {
    scope: String,
    key: String,
    fingerprint: Vec<u8>,
}

impl Once {
    /// Of this person, for this.
    ///
    /// # Errors
    /// 400: the client sent no key.
    pub fn new(key: IdempotencyKey, scope: &str, user: Uuid, request: &impl Serialize) -> Result<Self, Problem> {
        let missing = || Problem::bad_request("Send an Idempotency-Key, so that it does not happen twice.");
        let key = key.0.ok_or_else(missing)?;
        let text = serde_json::to_vec(request).map_err(|why| Problem::internal(&why))?;
        Ok(Self { scope: format!("{scope}:{user}"), key, fingerprint: Sha256::digest(text).to_vec() })
    }

    /// The key as the kit knows it.
    pub fn claim(&self) -> Claim<'_> {
        Claim { scope: &self.scope, key: &self.key, fingerprint: &self.fingerprint }
    }

    /// Remembers what is answered, within the transaction.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remember(
        &self,
        transaction: &mut PgConnection,
        status: u16,
        body: &impl Serialize,
    ) -> Result<Answered, Problem> {
        let body = serde_json::to_value(body).map_err(|why| Problem::internal(&why))?;
        let answered = Answered { status, body };
        self.claim().remember(transaction, &answered).await?;
        Ok(answered)
    }
}

/// The answer, given now or before.
pub fn answer(answered: Answered) -> axum::response::Response {
    use axum::response::IntoResponse;
    let status = http::StatusCode::from_u16(answered.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    (status, axum::Json(answered.body)).into_response()
}
