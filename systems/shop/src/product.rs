//! The `product` role: the catalogue, with what is available of each product.

mod api;
pub mod catalogue;

use crate::events::{STOCK, StockEvent};
use crate::migrations;
use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, put};
use plimsoll_kit::backend::{BackendSettings, Role, verifier};
use plimsoll_kit::bus::Message;
use plimsoll_kit::inbox::{HandleError, Handler};
use plimsoll_kit::outbox::Wake;
use plimsoll_kit::settings;
use plimsoll_kit::verifier::Verifier;
use sqlx::{PgConnection, PgPool};
use utoipa::OpenApi;

/// What every handler shares; cheap to clone.
#[derive(Clone)]
struct Catalogue {
    pool: PgPool,
    wake: Wake,
    verifier: Verifier,
}

impl FromRef<Catalogue> for Verifier {
    fn from_ref(all: &Catalogue) -> Self {
        all.verifier.clone()
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "shop: product", description = "The catalogue."),
    paths(api::list, api::show, api::create, api::replace, api::remove, api::categories, api::name_category)
)]
struct Description;

/// Keeps the copy of what is available.
#[derive(Clone)]
struct Listener;

impl Handler for Listener {
    async fn handle(&self, transaction: &mut PgConnection, message: &Message) -> Result<(), HandleError> {
        if let StockEvent::Level { product, version, available } = serde_json::from_slice(&message.body)? {
            catalogue::note_level(transaction, product, (version, available)).await?;
        }
        Ok(())
    }
}

/// The service.
pub const ROLE: Role =
    Role { name: "shop-product", group: Some("product"), store: "products", migrations: &migrations::PRODUCTS };

/// Serves until SIGTERM. Reads what [`BackendSettings`] reads, and `USER_URL`.
///
/// # Errors
/// Settings, the database at start, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (backend, verifier) = settings::read(|env| (BackendSettings::read(ROLE, env), verifier(env)))?;
    let mut backend = backend.open().await?;
    backend.follow(STOCK, Listener);
    let all = Catalogue { pool: backend.pool.clone(), wake: backend.wake.clone(), verifier };
    let routes = Router::new()
        .route("/api/v1/products", get(api::list).post(api::create))
        .route("/api/v1/products/categories", get(api::categories))
        .route("/api/v1/products/categories/{id}", put(api::name_category))
        .route("/api/v1/products/{id}", get(api::show).put(api::replace).delete(api::remove))
        .with_state(all);
    Ok(backend.serve(routes, &Description::openapi()).await?)
}
