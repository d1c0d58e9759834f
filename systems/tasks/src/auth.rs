//! The `auth` role: signing up, signing in, refreshing, sessions, passwords.

mod account;
mod background;
mod openapi;
mod session;
mod tokens;

use crate::access::Access;
use crate::limit::{Limiter, Policy, limited};
use crate::store::StoreSettings;
use axum::extract::FromRef;
use axum::routing::{delete, get, post, put};
use axum::{Router, middleware};
use plimsoll_kit::forward::CLIENT;
use plimsoll_kit::hashing::Hashers;
use plimsoll_kit::keyvalue::{KeyValue, KeyValueSettings};
use plimsoll_kit::metrics::Metrics;
use plimsoll_kit::postgres;
use plimsoll_kit::readiness::Readiness;
use plimsoll_kit::service::cores;
use plimsoll_kit::settings::{Environment, ServerSettings};
use plimsoll_kit::{Service, settings};
use std::time::Duration;
use utoipa::OpenApi;

/// What the role needs from the environment.
pub struct AuthSettings {
    server: ServerSettings,
    store: StoreSettings,
    limits: KeyValueSettings,
    limit: Policy,
    hashers: usize,
}

impl AuthSettings {
    /// Reads what [`StoreSettings`] reads, `PORT`, `LIMITS_URL`, `AUTH_REQUESTS_MAX` (default 100) in `AUTH_WINDOW_S`
    /// (default 900), and `HASHERS` (default: one per core).
    pub fn read(environment: &mut Environment<'_>) -> Self {
        Self {
            server: ServerSettings::read("tasks-auth", environment),
            store: StoreSettings::read(environment),
            limits: KeyValueSettings::read("limits", environment),
            limit: Policy {
                name: "auth",
                requests: environment.parsed("AUTH_REQUESTS_MAX", 100_u64).max(1),
                window: Duration::from_secs(environment.parsed("AUTH_WINDOW_S", 900_u64).clamp(1, 86_400)),
            },
            hashers: environment.parsed("HASHERS", cores()),
        }
    }
}

/// What every handler shares; cheap to clone.
#[derive(Clone)]
pub(crate) struct Auth {
    access: Access,
    hashers: Hashers,
}

impl FromRef<Auth> for Access {
    fn from_ref(auth: &Auth) -> Self {
        auth.access.clone()
    }
}

/// Serves until SIGTERM.
///
/// # Errors
/// Settings, the database at start, the keys, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let settings = settings::read(AuthSettings::read)?;
    let access = settings.store.open("tasks-auth").await?;
    let auth = Auth { access, hashers: Hashers::start(settings.hashers)? };
    background::start(&auth.access.pool);
    let limits = settings.limits.open();
    let limiter = Limiter::new(settings.limit, limits.clone(), CLIENT);
    service(settings.server, &auth, limits, limiter).serve().await?;
    auth.access.pool.close().await;
    Ok(())
}

fn service(settings: ServerSettings, auth: &Auth, limits: KeyValue, limiter: Limiter) -> Service {
    let metrics = Metrics::new();
    postgres::count_connections(&metrics, "tasks", &auth.access.pool);
    let pool = auth.access.pool.clone();
    let readiness = Readiness::default()
        .requires("tasks", move || postgres::answers(pool.clone()))
        .wants("limits", move || limits.clone().answers());
    Service::new(settings, routes(auth.clone(), limiter))
        .metrics(metrics)
        .readiness(readiness)
        .openapi(&openapi::Description::openapi())
}

fn routes(auth: Auth, limiter: Limiter) -> Router {
    Router::new()
        .route("/api/v1/auth/sign-up", post(account::sign_up))
        .route("/api/v1/auth/sign-in", post(session::sign_in))
        .route("/api/v1/auth/refresh", post(session::refresh))
        .route("/api/v1/auth/sign-out", post(session::sign_out))
        .route("/api/v1/auth/sessions", get(session::list))
        .route("/api/v1/auth/sessions/{id}", delete(session::end))
        .route("/api/v1/auth/password", put(account::change_password))
        .layer(middleware::from_fn_with_state(limiter, limited))
        .route("/.well-known/jwks.json", get(tokens::jwks))
        .with_state(auth)
}
