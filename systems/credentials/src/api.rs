//! The `api` role: usernames, registrations, sessions, administration.

mod admin;
mod background;
mod filter;
mod lean;
mod openapi;
mod registrations;
mod sessions;
mod usernames;

use crate::accounts::MIGRATIONS;
use crate::filter::Filter;
use crate::lockout::Lockout;
use crate::seed;
use crate::validation::Validation;
use axum::Router;
use axum::routing::{delete, get, post};
use plimsoll_kit::hashing::Hashers;
use plimsoll_kit::keyvalue::{KeyValue, KeyValueSettings};
use plimsoll_kit::metrics::Metrics;
use plimsoll_kit::postgres::{self, PostgresSettings};
use plimsoll_kit::readiness::Readiness;
use plimsoll_kit::service::cores;
use plimsoll_kit::sessions::Sessions;
use plimsoll_kit::settings::{Environment, ServerSettings};
use plimsoll_kit::{Service, settings};
use sqlx::PgPool;
use std::time::Duration;
use utoipa::OpenApi;

/// A session ends after two hours without use, and after a day in any case.
const SESSION_IDLE_MAX: Duration = Duration::from_secs(2 * 3600);
const SESSION_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// What the role needs from the environment.
pub struct ApiSettings {
    server: ServerSettings,
    accounts: PostgresSettings,
    names: KeyValueSettings,
    hashers: usize,
    migrate: bool,
    admin: Option<(String, String)>,
}

impl ApiSettings {
    /// Reads `PORT`, `ACCOUNTS_URL`, `NAMES_URL`, `HASHERS` (default: one per core), `MIGRATE` (default true), and for
    /// a first administrator `ADMIN_NAME` with `ADMIN_PASSWORD`.
    pub fn read(environment: &mut Environment<'_>) -> Self {
        let admin = environment.optional("ADMIN_NAME").map(|name| (name, environment.text("ADMIN_PASSWORD")));
        Self {
            server: ServerSettings::read("credentials-api", environment),
            accounts: PostgresSettings::read("accounts", environment),
            names: KeyValueSettings::read("names", environment),
            hashers: environment.parsed("HASHERS", cores()),
            migrate: environment.parsed("MIGRATE", true),
            admin,
        }
    }
}

/// What every handler shares; cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pool: PgPool,
    bulk_pool: PgPool,
    filter: Filter,
    validation: Validation,
    hashers: Hashers,
    lockout: Lockout,
    sessions: Sessions,
}

/// Serves the API until SIGTERM.
///
/// # Errors
/// Settings, the database at start, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let settings = settings::read(ApiSettings::read)?;
    let pool = settings.accounts.pool("credentials-api");
    if settings.migrate {
        let bulk = settings.accounts.bulk_pool("credentials-migrate");
        postgres::migrate(&bulk, &MIGRATIONS).await?;
        bulk.close().await;
    }
    if let Some((name, password)) = &settings.admin {
        seed::create_admin(&pool, name, password).await?;
    }
    let names = settings.names.open();
    let filter = Filter::new(names.clone());
    if let Err(why) = filter.refresh().await {
        tracing::warn!(error = %why, "starting without the filter");
    }
    let api = Api {
        validation: Validation::start(filter.clone(), pool.clone()),
        bulk_pool: settings.accounts.bulk_pool("credentials-rebuild"),
        hashers: Hashers::start(settings.hashers)?,
        lockout: Lockout::new(names.clone()),
        sessions: Sessions::new(names.clone(), SESSION_IDLE_MAX, SESSION_AGE_MAX),
        filter,
        pool,
    };
    background::start(&api);
    service(settings.server, &api, &names).serve().await?;
    api.pool.close().await;
    Ok(())
}

fn service(settings: ServerSettings, api: &Api, names: &KeyValue) -> Service {
    let metrics = Metrics::new();
    register(&metrics, api);
    let (pool, store) = (api.pool.clone(), names.clone());
    let readiness = Readiness::default()
        .requires("accounts", move || postgres::answers(pool.clone()))
        .wants("names", move || store.clone().answers());
    let fast = lean::path(api.validation.clone(), metrics.route("GET", "/api/usernames/{name}"));
    Service::new(settings, routes(api.clone()))
        .metrics(metrics)
        .readiness(readiness)
        .openapi(&openapi::Description::openapi())
        .fast(fast)
}

fn routes(api: Api) -> Router {
    Router::new()
        .route("/api/usernames/{name}", get(usernames::check_one))
        .route("/api/usernames:check", post(usernames::check_many))
        .route("/api/filter", get(filter::show))
        .route("/api/registrations", post(registrations::register))
        .route("/api/sessions", post(sessions::sign_in))
        .route("/api/sessions/current", delete(sessions::sign_out).get(sessions::current))
        .route("/api/admin/accounts", get(admin::list))
        .route("/api/admin/accounts/{id}/disable", post(admin::disable))
        .route("/api/admin/accounts/{id}/enable", post(admin::enable))
        .route("/api/admin/audit", get(admin::audit))
        .with_state(api)
}

fn register(metrics: &Metrics, api: &Api) {
    metrics.register(|registry| {
        let counted = api.validation.counted();
        registry.register("username_validations", "Usernames validated, by who answered", counted);
    });
}
