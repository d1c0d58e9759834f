//! The `inventory` role: what there is of each product, and what of it is kept for whom.

mod api;
pub mod stock;

use crate::events::{ORDERS, OrderEvent};
use crate::migrations;
use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};
use plimsoll_kit::backend::{BackendSettings, FORGET_EVERY, Role, verifier};
use plimsoll_kit::bus::Message;
use plimsoll_kit::inbox::{HandleError, Handler};
use plimsoll_kit::outbox::Wake;
use plimsoll_kit::verifier::Verifier;
use plimsoll_kit::{idempotency, settings};
use sqlx::{PgConnection, PgPool};
use std::time::Duration;
use utoipa::OpenApi;

/// What every handler shares; cheap to clone.
#[derive(Clone)]
struct Stock {
    pool: PgPool,
    wake: Wake,
    verifier: Verifier,
}

impl FromRef<Stock> for Verifier {
    fn from_ref(all: &Stock) -> Self {
        all.verifier.clone()
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "shop: inventory", description = "What there is of each product."),
    paths(api::show, api::receive, api::movements)
)]
struct Description;

/// Reserves, sells and lets go what order asks for.
#[derive(Clone)]
struct Listener {
    keep: Duration,
}

impl Handler for Listener {
    async fn handle(&self, transaction: &mut PgConnection, message: &Message) -> Result<(), HandleError> {
        match serde_json::from_slice(&message.body)? {
            OrderEvent::StockWanted { order, lines } => {
                stock::reserve(transaction, order, &lines, self.keep).await?;
            }
            OrderEvent::CommitWanted { order } => stock::commit(transaction, order).await?,
            OrderEvent::ReleaseWanted { order } => stock::release(transaction, order).await?,
            _ => {}
        }
        Ok(())
    }
}

/// The service.
pub const ROLE: Role =
    Role { name: "shop-inventory", group: Some("inventory"), store: "stock", migrations: &migrations::STOCK };

/// Serves until SIGTERM. Reads what [`BackendSettings`] reads, `USER_URL`, and `RESERVATION_MS` (how long stock is kept for
/// an order that is not paid; default 15 minutes).
///
/// # Errors
/// Settings, the database at start, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (backend, verifier, keep) = settings::read(|env| {
        let keep = env.millis("RESERVATION_MS", Duration::from_secs(15 * 60));
        (BackendSettings::read(ROLE, env), verifier(env), keep)
    })?;
    let mut backend = backend.open().await?;
    backend.follow(ORDERS, Listener { keep });
    let look_every = (keep / 4).clamp(Duration::from_millis(50), Duration::from_secs(5));
    backend.every(look_every, "reservations expired", |pool| async move { stock::expire(&pool).await });
    let all = Stock { pool: backend.pool.clone(), wake: backend.wake.clone(), verifier };
    let routes = Router::new()
        .route("/api/v1/inventory/{product}", get(api::show))
        .route("/api/v1/inventory/{product}/receipts", post(api::receive))
        .route("/api/v1/inventory/{product}/movements", get(api::movements))
        .with_state(all);
    backend.every(FORGET_EVERY, "keys forgotten", |pool| async move { idempotency::forget_old(&pool).await });
    Ok(backend.serve(routes, &Description::openapi()).await?)
}
