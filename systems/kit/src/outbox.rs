//! What is to be published, written in the transaction of what it tells of, and handed to the bus afterwards.
//!
//! The table `outbox` is made by a service's own first migration.
//!
//! Invariant: what a committed transaction wrote is published at least once, whoever dies when; what another one wrote,
//! never. A message keeps its id.

use crate::bus::{Bus, Message};
use futures_util::future::join_all;
use serde::Serialize;
use sqlx::{PgConnection, PgPool, Row};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

/// So many are handed over at once.
const TAKEN_MAX: i64 = 64;
/// How often it is looked for what another replica wrote and died on.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After a failure, so that a broker that is away is not asked all the time.
const PAUSE: Duration = Duration::from_millis(200);

/// Tells the one who publishes that there is something; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// After a commit.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Writes a message within the caller's transaction.
///
/// # Errors
/// The database failed.
pub async fn write(transaction: &mut PgConnection, topic: &str, body: &impl Serialize) -> Result<(), sqlx::Error> {
    let body = serde_json::to_value(body).map_err(|why| sqlx::Error::Encode(why.into()))?;
    let sql = "INSERT INTO outbox (id, topic, body) VALUES ($1, $2, $3)";
    sqlx::query(sql).bind(Uuid::now_v7()).bind(topic).bind(body).execute(transaction).await.map(drop)
}

/// Publishes what is written, again and again, until `stopped` says so.
pub async fn publish(pool: PgPool, bus: Bus, wake: Wake, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        match round(&pool, &bus).await {
            // There may be more.
            Ok(Round { taken, failed: 0 }) if taken > 0 => continue,
            Ok(Round { failed: 0, .. }) => {}
            Ok(Round { failed, .. }) => {
                tracing::warn!(failed, "messages wait for the event bus");
                tokio::time::sleep(PAUSE).await;
            }
            Err(why) => tracing::warn!(error = %why, "messages wait"),
        }
        tokio::select! {
            () = wake.0.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stopped.changed() => {}
        }
    }
}

struct Round {
    taken: usize,
    failed: usize,
}

async fn round(pool: &PgPool, bus: &Bus) -> Result<Round, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let sql = "SELECT id, topic, body FROM outbox ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED";
    let rows = sqlx::query(sql).bind(TAKEN_MAX).fetch_all(&mut *transaction).await?;
    let mut messages = Vec::with_capacity(rows.len());
    for row in &rows {
        let body: serde_json::Value = row.try_get("body")?;
        messages.push(Message { id: row.try_get("id")?, topic: row.try_get("topic")?, body: body.to_string().into() });
    }
    let sent = join_all(messages.iter().map(|message| bus.publish(message))).await;
    let stored: Vec<Uuid> =
        messages.iter().zip(&sent).filter(|(_, sent)| sent.is_ok()).map(|(message, _)| message.id).collect();
    if let Some(why) = sent.iter().find_map(|sent| sent.as_ref().err()) {
        tracing::warn!(error = %why, "a message was not stored");
    }
    sqlx::query("DELETE FROM outbox WHERE id = ANY($1)").bind(&stored).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Round { taken: messages.len(), failed: messages.len() - stored.len() })
}
