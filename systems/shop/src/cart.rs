//! The `cart` role: what somebody means to buy, in Redis, forgotten when it is not touched for a week.
//!
//! Invariant: a cart is a wish: it reserves nothing and promises no price. What it shows it asks of the catalogue at that
//! moment, and says where a price is another than when the thing was put in.

mod api;
mod items;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, put};
use items::Items;
use plimsoll_kit::Service;
use plimsoll_kit::backend::verifier;
use plimsoll_kit::keyvalue::KeyValueSettings;
use plimsoll_kit::peer::{Peer, PeerSettings};
use plimsoll_kit::readiness::Readiness;
use plimsoll_kit::settings::{self, ServerSettings};
use plimsoll_kit::verifier::Verifier;
use std::time::Duration;
use utoipa::OpenApi;

/// What every handler shares; cheap to clone.
#[derive(Clone)]
struct Carts {
    items: Items,
    product: Peer,
    verifier: Verifier,
}

impl FromRef<Carts> for Verifier {
    fn from_ref(all: &Carts) -> Self {
        all.verifier.clone()
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "shop: cart", description = "What somebody means to buy."),
    paths(api::show, api::put, api::remove, api::empty)
)]
struct Description;

/// Serves until SIGTERM. Reads `PORT`, `CARTS_URL` (a Redis), `USER_URL`, `PRODUCT_URL`, and `CART_KEPT_S` (how long a cart is
/// kept after it was touched last; default seven days).
///
/// # Errors
/// Settings or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (server, store, product, verifier, kept_s) = settings::read(|env| {
        let server = ServerSettings::read("shop-cart", env);
        let store = KeyValueSettings::read("carts", env);
        let product = PeerSettings::read("product", env).client();
        (server, store, product, verifier(env), env.parsed("CART_KEPT_S", 7 * 24 * 3600_u64).max(1))
    })?;
    let store = store.open();
    let items = Items::new(store.clone(), Duration::from_secs(kept_s));
    let all = Carts { items, product, verifier };
    let routes = Router::new()
        .route("/api/v1/cart", get(api::show).delete(api::empty))
        .route("/api/v1/cart/items/{product}", put(api::put).delete(api::remove))
        .with_state(all);
    let readiness = Readiness::default().requires("carts", move || store.clone().answers());
    Service::new(server, routes).readiness(readiness).openapi(&Description::openapi()).serve().await?;
    Ok(())
}
