//! The `order` role: orders, and the saga that leads each to its end: reserve, pay, confirm, or all of it undone.

mod api;
mod basket;
mod listen;
pub mod orders;
pub mod saga;

use crate::events::{PAYMENTS, STOCK};
use crate::migrations;
use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};
use plimsoll_kit::backend::{BackendSettings, FORGET_EVERY, Role, verifier};
use plimsoll_kit::outbox::Wake;
use plimsoll_kit::peer::{Peer, PeerSettings};
use plimsoll_kit::verifier::Verifier;
use plimsoll_kit::{idempotency, settings};
use sqlx::PgPool;
use std::time::Duration;
use utoipa::OpenApi;

/// What every handler shares; cheap to clone.
#[derive(Clone)]
struct Orders {
    pool: PgPool,
    wake: Wake,
    verifier: Verifier,
    product: Peer,
    cart: Peer,
}

impl FromRef<Orders> for Verifier {
    fn from_ref(all: &Orders) -> Self {
        all.verifier.clone()
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "shop: order", description = "Orders and what becomes of them."),
    paths(api::place, api::list, api::show, api::give_back)
)]
struct Description;

/// The service.
pub const ROLE: Role =
    Role { name: "shop-order", group: Some("order"), store: "orders", migrations: &migrations::ORDERS };

/// Serves until SIGTERM. Reads what [`BackendSettings`] reads, `USER_URL`, `PRODUCT_URL`, `CART_URL`, and
/// `ORDER_PATIENCE_MS` (after which it asks again for an order of which nothing is heard; default 15 s).
///
/// # Errors
/// Settings, the database at start, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (backend, verifier, product, cart, patience) = settings::read(|env| {
        (
            BackendSettings::read(ROLE, env),
            verifier(env),
            PeerSettings::read("product", env).client(),
            PeerSettings::read("cart", env).client(),
            env.millis("ORDER_PATIENCE_MS", Duration::from_secs(15)),
        )
    })?;
    let mut backend = backend.open().await?;
    backend.follow(STOCK, listen::Listener);
    backend.follow(PAYMENTS, listen::Listener);
    let look_every = (patience / 4).clamp(Duration::from_millis(50), Duration::from_secs(5));
    backend.every(look_every, "orders asked about again", move |pool| async move {
        orders::ask_again(&pool, patience).await
    });
    let all = Orders { pool: backend.pool.clone(), wake: backend.wake.clone(), verifier, product, cart };
    let routes = Router::new()
        .route("/api/v1/orders", get(api::list).post(api::place))
        .route("/api/v1/orders/{id}", get(api::show))
        .route("/api/v1/orders/{id}/return", post(api::give_back))
        .with_state(all);
    backend.every(FORGET_EVERY, "keys forgotten", |pool| async move { idempotency::forget_old(&pool).await });
    Ok(backend.serve(routes, &Description::openapi()).await?)
}
