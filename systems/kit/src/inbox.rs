//! Messages of the bus, each handled once in effect: its id is written in the transaction of what it brings about.
//!
//! The table `inbox` is made by a service's own first migration.
//!
//! Invariant: what a message brings about is committed together with the memory of it, or not at all; a message is
//! acknowledged only after that.

use crate::bus::{Bus, Delivery, Message};
use crate::outbox::Wake;
use sqlx::{PgConnection, PgPool};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// So many messages of a topic are handled at once.
const AT_ONCE: u32 = 4;
/// After a failure: before the broker is asked again, and before a message comes again.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Why a message was not handled.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// It comes again.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// It says nothing that we understand, and will not the next time: it is let go.
    #[error("it is not understood")]
    Malformed(#[from] serde_json::Error),
}

/// Brings about what a message asks for, within the transaction.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Handles one message; called again if the transaction was not committed.
    fn handle(
        &self,
        transaction: &mut PgConnection,
        message: &Message,
    ) -> impl Future<Output = Result<(), HandleError>> + Send;
}

/// Where messages come from and where they are remembered.
#[derive(Clone)]
pub struct Inbox {
    /// The service's own database.
    pub pool: PgPool,
    /// The bus.
    pub bus: Bus,
    /// The service: its replicas share the messages.
    pub group: &'static str,
    /// Woken after each message, for it may have written some.
    pub wake: Wake,
}

impl Inbox {
    /// Handles the messages of a topic until `stopped` says so; then those that are at work still end.
    pub async fn follow<H: Handler>(self, topic: &'static str, handler: H, mut stopped: watch::Receiver<bool>) {
        let working = Arc::new(Semaphore::new(usize::try_from(AT_ONCE).unwrap_or(1)));
        while !*stopped.borrow() {
            if let Err(why) = self.listen(topic, &handler, &working, &mut stopped).await {
                tracing::warn!(error = %why, topic, "listening again soon");
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    _ = stopped.changed() => {}
                }
            }
        }
        drop(working.acquire_many(AT_ONCE).await);
    }

    async fn listen<H: Handler>(
        &self,
        topic: &'static str,
        handler: &H,
        working: &Arc<Semaphore>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<(), crate::bus::BusError> {
        let mut deliveries = self.bus.consume(self.group, topic).await?;
        loop {
            let delivery = tokio::select! {
                _ = stopped.changed() => return Ok(()),
                next = deliveries.next() => match next {
                    Some(delivery) => delivery?,
                    None => return Ok(()),
                },
            };
            let Ok(turn) = Arc::clone(working).acquire_owned().await else { return Ok(()) };
            let (inbox, handler) = (self.clone(), handler.clone());
            tokio::spawn(async move {
                inbox.take(delivery, &handler).await;
                drop(turn);
            });
        }
    }

    async fn take<H: Handler>(&self, delivery: Delivery, handler: &H) {
        let (id, topic) = (delivery.message.id, delivery.message.topic.clone());
        let settled = match self.once(&delivery.message, handler).await {
            Ok(()) => {
                self.wake.wake();
                delivery.ack().await
            }
            Err(HandleError::Malformed(why)) => {
                tracing::error!(%id, topic, error = %why, "a message is not understood");
                delivery.ack().await
            }
            Err(HandleError::Database(why)) => {
                tracing::warn!(%id, topic, attempt = delivery.attempt, error = %why, "a message comes again");
                let times = u32::try_from(delivery.attempt).unwrap_or(u32::MAX);
                delivery.nack(PAUSE.saturating_mul(times).min(PAUSE_MAX)).await
            }
        };
        if let Err(why) = settled {
            tracing::warn!(%id, topic, error = %why, "a message may come again");
        }
    }

    async fn once<H: Handler>(&self, message: &Message, handler: &H) -> Result<(), HandleError> {
        let mut transaction = self.pool.begin().await?;
        let sql = "INSERT INTO inbox (id) VALUES ($1) ON CONFLICT DO NOTHING";
        let is_new = sqlx::query(sql).bind(message.id).execute(&mut *transaction).await?.rows_affected() == 1;
        if is_new {
            handler.handle(&mut transaction, message).await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// Forgets messages that the broker has forgotten, too.
///
/// # Errors
/// The database failed.
pub async fn forget_old(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let sql = "DELETE FROM inbox WHERE at < now() - interval '7 days'";
    Ok(sqlx::query(sql).execute(pool).await?.rows_affected())
}
