//! The `api` role: customers, sessions, users, the audit.

mod audit;
mod background;
mod customers;
mod keyring;
mod openapi;
mod sessions;
mod signed_in;
mod users;

use crate::cache::Cache;
use crate::{MIGRATIONS, seed};
use axum::Router;
use axum::routing::{get, patch, post, put};
use plimsoll_kit::hashing::Hashers;
use plimsoll_kit::keys::{KeySettings, Keys};
use plimsoll_kit::keyvalue::{KeyValue, KeyValueSettings};
use plimsoll_kit::metrics::Metrics;
use plimsoll_kit::postgres::{self, PostgresSettings};
use plimsoll_kit::readiness::Readiness;
use plimsoll_kit::service::cores;
use plimsoll_kit::settings::{Environment, ServerSettings};
use plimsoll_kit::{Service, settings};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family};
use sqlx::PgPool;
use std::sync::Arc;
use tokio::sync::Semaphore;
use utoipa::OpenApi;

/// Exports at a time in one replica: each holds a connection to the database until its reader is done.
const EXPORTS_MAX: usize = 2;

/// What the role needs from the environment.
pub struct ApiSettings {
    server: ServerSettings,
    database: PostgresSettings,
    cache: KeyValueSettings,
    keys: KeySettings,
    hashers: usize,
    migrate: bool,
    admin: Option<(String, String)>,
}

impl ApiSettings {
    /// Reads `PORT`, `CUSTOMERS_URL`, `CACHE_URL`, `TOKEN_SECRET`, `KEY_ROTATE_S`, `HASHERS` (default: one per core),
    /// `MIGRATE` (default true), and for a first administrator `ADMIN_NAME` with `ADMIN_PASSWORD`.
    pub fn read(environment: &mut Environment<'_>) -> Self {
        let admin = environment.optional("ADMIN_NAME").map(|name| (name, environment.text("ADMIN_PASSWORD")));
        Self {
            server: ServerSettings::read("customers-api", environment),
            database: PostgresSettings::read("customers", environment),
            cache: KeyValueSettings::read("cache", environment),
            keys: KeySettings::read(environment),
            hashers: environment.parsed("HASHERS", cores()),
            migrate: environment.parsed("MIGRATE", true),
            admin,
        }
    }
}

/// By which way a token was given: `sign-in` or `refresh`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Way {
    by: &'static str,
}

/// What every handler shares; cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pool: PgPool,
    cache: Cache,
    keys: Keys,
    hashers: Hashers,
    exports: Arc<Semaphore>,
    tokens: Family<Way, Counter>,
}

/// Serves the API until SIGTERM.
///
/// # Errors
/// Settings, the database at start, the keys, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let settings = settings::read(ApiSettings::read)?;
    let pool = settings.database.pool("customers-api");
    if settings.migrate {
        let bulk = settings.database.bulk_pool("customers-migrate");
        postgres::migrate(&bulk, &MIGRATIONS).await?;
        bulk.close().await;
    }
    if let Some((name, password)) = &settings.admin {
        seed::create_admin(&pool, name, password).await?;
    }
    let store = settings.cache.open();
    let api = Api {
        cache: Cache::new(store.clone()),
        keys: Keys::open(pool.clone(), settings.keys).await?,
        hashers: Hashers::start(settings.hashers)?,
        exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
        tokens: Family::default(),
        pool,
    };
    background::start(&api);
    service(settings.server, &api, store).serve().await?;
    api.pool.close().await;
    Ok(())
}

fn service(settings: ServerSettings, api: &Api, store: KeyValue) -> Service {
    let metrics = Metrics::new();
    postgres::count_connections(&metrics, "customers", &api.pool);
    metrics.register(|registry| {
        registry.register("tokens_issued", "Access tokens given, by sign-in or refresh", api.tokens.clone());
        registry.register("cache_lookups", "Look-ups in the cache, by what came of them", api.cache.counted());
    });
    let pool = api.pool.clone();
    let readiness = Readiness::default()
        .requires("customers", move || postgres::answers(pool.clone()))
        .wants("cache", move || store.clone().answers());
    Service::new(settings, routes(api.clone()))
        .metrics(metrics)
        .readiness(readiness)
        .openapi(&openapi::Description::openapi())
}

fn routes(api: Api) -> Router {
    Router::new()
        .route("/.well-known/jwks.json", get(keyring::jwks))
        .route("/api/sessions", post(sessions::sign_in))
        .route("/api/sessions/refresh", post(sessions::refresh))
        .route("/api/sessions/current", get(sessions::current).delete(sessions::sign_out))
        .route("/api/customers", get(customers::list).post(customers::create))
        .route("/api/customers/export", get(customers::export))
        .route(
            "/api/customers/{id}",
            get(customers::show).put(customers::replace).patch(customers::amend).delete(customers::delete),
        )
        .route("/api/users", get(users::list).post(users::create))
        .route("/api/users/{id}", patch(users::change))
        .route("/api/users/current/password", put(users::change_password))
        .route("/api/audit", get(audit::list))
        .with_state(api)
}
