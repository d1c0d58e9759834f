//! The `payment` role: cards, and a ledger of what was authorised, captured and refunded.

mod api;
pub mod cards;
pub mod ledger;

use crate::events::{ORDERS, OrderEvent};
use crate::migrations;
use axum::Router;
use axum::extract::FromRef;
use axum::routing::get;
use ledger::Due;
use plimsoll_kit::backend::{BackendSettings, Role, verifier};
use plimsoll_kit::bus::Message;
use plimsoll_kit::inbox::{HandleError, Handler};
use plimsoll_kit::settings;
use plimsoll_kit::verifier::Verifier;
use sqlx::{PgConnection, PgPool};
use utoipa::OpenApi;

/// What every handler shares; cheap to clone.
#[derive(Clone)]
struct Payments {
    pool: PgPool,
    verifier: Verifier,
}

impl FromRef<Payments> for Verifier {
    fn from_ref(all: &Payments) -> Self {
        all.verifier.clone()
    }
}

#[derive(OpenApi)]
#[openapi(info(title = "shop: payment", description = "Cards and payments."), paths(api::keep, api::cards, api::show))]
struct Description;

/// Takes and gives back what order asks for.
#[derive(Clone)]
struct Listener;

impl Handler for Listener {
    async fn handle(&self, transaction: &mut PgConnection, message: &Message) -> Result<(), HandleError> {
        match serde_json::from_slice(&message.body)? {
            OrderEvent::PaymentWanted { order, user, card, amount_minor, currency } => {
                ledger::take(transaction, &Due { order, user, card, amount_minor, currency }).await?;
            }
            OrderEvent::RefundWanted { order } => ledger::refund(transaction, order).await?,
            _ => {}
        }
        Ok(())
    }
}

/// The service.
pub const ROLE: Role =
    Role { name: "shop-payment", group: Some("payment"), store: "payments", migrations: &migrations::PAYMENTS };

/// Serves until SIGTERM. Reads what [`BackendSettings`] reads, and `USER_URL`.
///
/// # Errors
/// Settings, the database at start, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (backend, verifier) = settings::read(|env| (BackendSettings::read(ROLE, env), verifier(env)))?;
    let mut backend = backend.open().await?;
    backend.follow(ORDERS, Listener);
    let all = Payments { pool: backend.pool.clone(), verifier };
    let routes = Router::new()
        .route("/api/v1/payments/cards", get(api::cards).post(api::keep))
        .route("/api/v1/payments/of/{order}", get(api::show))
        .with_state(all);
    Ok(backend.serve(routes, &Description::openapi()).await?)
}
