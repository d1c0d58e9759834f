//! The `pf` role: the provident fund itself: monthly filings, what members have, the interest of a year.

mod api;

use crate::access::Desk;
use crate::migrations;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use plimsoll_kit::backend::{BackendSettings, Role, verifier};
use plimsoll_kit::settings;
use utoipa::OpenApi;

/// Largest filing that is taken, in bytes.
const BODY_BYTES_MAX: usize = 8 << 20;

#[derive(OpenApi)]
#[openapi(
    info(title = "provident: pf", description = "Filings, balances, interest."),
    paths(api::file, api::filings, api::statement, api::interest)
)]
struct Description;

/// The service.
pub const ROLE: Role = Role { name: "provident-pf", group: None, store: "fund", migrations: &migrations::FUND };

/// Serves until SIGTERM. Reads what [`BackendSettings`] reads, and `USER_URL`.
///
/// # Errors
/// Settings, the database at start, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (backend, verifier) = settings::read(|env| (BackendSettings::read(ROLE, env), verifier(env)))?;
    let backend = backend.open().await?;
    let desk = Desk { pool: backend.pool.clone(), verifier };
    let routes = Router::new()
        .route("/api/v1/pf/{organization}/filings", get(api::filings))
        .route("/api/v1/pf/{organization}/filings/{month}", put(api::file))
        .route("/api/v1/pf/{organization}/members/{member}", get(api::statement))
        .route("/api/v1/pf/interest/{year}", post(api::interest))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(desk);
    Ok(backend.serve(routes, &Description::openapi()).await?)
}
