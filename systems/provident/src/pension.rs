//! The `pension` role: claims of members, from their opening to their payment.

mod api;
mod listen;
pub mod store;

use crate::access::Desk;
use crate::events::{CASES, PAYMENTS};
use crate::migrations;
use axum::Router;
use axum::extract::FromRef;
use axum::routing::get;
use plimsoll_kit::backend::{BackendSettings, Role, verifier};
use plimsoll_kit::outbox::Wake;
use plimsoll_kit::settings;
use plimsoll_kit::verifier::Verifier;
use utoipa::OpenApi;

/// What every handler shares; cheap to clone.
#[derive(Clone)]
struct Claims {
    desk: Desk,
    wake: Wake,
}

impl FromRef<Claims> for Verifier {
    fn from_ref(all: &Claims) -> Self {
        all.desk.verifier.clone()
    }
}

#[derive(OpenApi)]
#[openapi(info(title = "provident: pension", description = "Claims."), paths(api::open, api::list, api::show))]
struct Description;

/// The service.
pub const ROLE: Role =
    Role { name: "provident-pension", group: Some("pension"), store: "fund", migrations: &migrations::FUND };

/// Serves until SIGTERM. Reads what [`BackendSettings`] reads, and `USER_URL`.
///
/// # Errors
/// Settings, the database at start, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (backend, verifier) = settings::read(|env| (BackendSettings::read(ROLE, env), verifier(env)))?;
    let mut backend = backend.open().await?;
    backend.follow(CASES, listen::Listener);
    backend.follow(PAYMENTS, listen::Listener);
    let all = Claims { desk: Desk { pool: backend.pool.clone(), verifier }, wake: backend.wake.clone() };
    let routes = Router::new()
        .route("/api/v1/pension/{organization}/members/{member}/claims", get(api::list).post(api::open))
        .route("/api/v1/pension/{organization}/claims/{id}", get(api::show))
        .with_state(all);
    Ok(backend.serve(routes, &Description::openapi()).await?)
}
