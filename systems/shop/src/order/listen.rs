//! What the order service hears from inventory and payment.

use super::orders;
use super::saga::Heard;
use crate::events::{PaymentEvent, STOCK, StockEvent};
use plimsoll_kit::bus::Message;
use plimsoll_kit::inbox::{HandleError, Handler};
use sqlx::PgConnection;
use uuid::Uuid;

/// Leads orders on.
#[derive(Clone)]
pub(super) struct Listener;

impl Handler for Listener {
    async fn handle(&self, transaction: &mut PgConnection, message: &Message) -> Result<(), HandleError> {
        let heard = if message.topic == STOCK {
            of_stock(serde_json::from_slice(&message.body)?)
        } else {
            Some(of_payment(serde_json::from_slice(&message.body)?))
        };
        let Some((order, heard)) = heard else { return Ok(()) };
        if orders::hear(transaction, order, &heard).await?.is_none() {
            tracing::warn!(%order, ?heard, "heard of an order that there is not");
        }
        Ok(())
    }
}

fn of_stock(event: StockEvent) -> Option<(Uuid, Heard)> {
    match event {
        StockEvent::Reserved { order } => Some((order, Heard::Reserved)),
        StockEvent::Refused { order } => Some((order, Heard::Refused)),
        StockEvent::Committed { order } => Some((order, Heard::Committed)),
        StockEvent::Gone { order } => Some((order, Heard::Gone)),
        StockEvent::Released { order } => Some((order, Heard::Released)),
        StockEvent::Level { .. } => None,
    }
}

fn of_payment(event: PaymentEvent) -> (Uuid, Heard) {
    match event {
        PaymentEvent::Taken { order } => (order, Heard::Taken),
        PaymentEvent::Declined { order, why } => (order, Heard::Declined(why)),
        PaymentEvent::Refunded { order } => (order, Heard::Refunded),
    }
}
