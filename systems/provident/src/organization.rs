//! The `organization` role: organizations and their members.

mod api;

use crate::access::Desk;
use crate::migrations;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use plimsoll_kit::backend::{BackendSettings, Role, verifier};
use plimsoll_kit::settings;
use utoipa::OpenApi;

/// Largest list of members that is taken, in bytes.
const BODY_BYTES_MAX: usize = 4 << 20;

#[derive(OpenApi)]
#[openapi(
    info(title = "provident: organization", description = "Organizations and their members."),
    paths(api::create, api::list, api::show, api::members, api::join, api::member, api::find, api::shards)
)]
struct Description;

/// The service.
pub const ROLE: Role =
    Role { name: "provident-organization", group: None, store: "fund", migrations: &migrations::FUND };

/// Serves until SIGTERM. Reads what [`BackendSettings`] reads, and `USER_URL`.
///
/// # Errors
/// Settings, the database at start, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (backend, verifier) = settings::read(|env| (BackendSettings::read(ROLE, env), verifier(env)))?;
    let backend = backend.open().await?;
    let desk = Desk { pool: backend.pool.clone(), verifier };
    let routes = Router::new()
        .route("/api/v1/organizations", get(api::list).post(api::create))
        .route("/api/v1/organizations/{id}", get(api::show))
        .route("/api/v1/organizations/{id}/members", get(api::members).post(api::join))
        .route("/api/v1/organizations/{id}/members/{member}", get(api::member))
        .route("/api/v1/members", get(api::find))
        .route("/api/v1/shards", get(api::shards))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(desk);
    Ok(backend.serve(routes, &Description::openapi()).await?)
}
