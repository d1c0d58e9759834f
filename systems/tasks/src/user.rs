//! The `user` role: who one is, and who others are.

mod openapi;
mod profile;

use crate::access::Access;
use crate::store::StoreSettings;
use axum::Router;
use axum::routing::get;
use plimsoll_kit::metrics::Metrics;
use plimsoll_kit::postgres;
use plimsoll_kit::readiness::Readiness;
use plimsoll_kit::settings::{Environment, ServerSettings};
use plimsoll_kit::{Service, settings};
use utoipa::OpenApi;

/// What the role needs from the environment.
pub struct UserSettings {
    server: ServerSettings,
    store: StoreSettings,
}

impl UserSettings {
    /// Reads what [`StoreSettings`] reads, and `PORT`.
    pub fn read(environment: &mut Environment<'_>) -> Self {
        Self { server: ServerSettings::read("tasks-user", environment), store: StoreSettings::read(environment) }
    }
}

/// Serves until SIGTERM.
///
/// # Errors
/// Settings, the database at start, the keys, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let settings = settings::read(UserSettings::read)?;
    let access = settings.store.open("tasks-user").await?;
    service(settings.server, &access).serve().await?;
    access.pool.close().await;
    Ok(())
}

fn service(settings: ServerSettings, access: &Access) -> Service {
    let metrics = Metrics::new();
    postgres::count_connections(&metrics, "tasks", &access.pool);
    let pool = access.pool.clone();
    let readiness = Readiness::default().requires("tasks", move || postgres::answers(pool.clone()));
    Service::new(settings, routes(access.clone()))
        .metrics(metrics)
        .readiness(readiness)
        .openapi(&openapi::Description::openapi())
}

fn routes(access: Access) -> Router {
    Router::new()
        .route("/api/v1/users", get(profile::find))
        .route("/api/v1/users/me", get(profile::own).patch(profile::amend))
        .route("/api/v1/users/{id}", get(profile::show))
        .with_state(access)
}
