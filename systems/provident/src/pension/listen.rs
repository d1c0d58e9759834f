//! What the pension service hears from workflow and payment.

use super::store;
use crate::events::CASES;
use plimsoll_kit::bus::Message;
use plimsoll_kit::inbox::{HandleError, Handler};
use sqlx::PgConnection;

/// Leads claims on.
#[derive(Clone)]
pub(super) struct Listener;

impl Handler for Listener {
    async fn handle(&self, transaction: &mut PgConnection, message: &Message) -> Result<(), HandleError> {
        if message.topic == CASES {
            store::decided(transaction, &serde_json::from_slice(&message.body)?).await?;
        } else {
            store::transferred(transaction, &serde_json::from_slice(&message.body)?).await?;
        }
        Ok(())
    }
}
