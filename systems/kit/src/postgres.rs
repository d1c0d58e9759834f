//! PostgreSQL: a bounded pool with time-outs, and migrations that run once.
//!
//! Behind a pooler in transaction mode the URL must carry `?statement-cache-capacity=0`.

use crate::metrics::Metrics;
use crate::settings::{Environment, url_variable};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::str::FromStr;
use std::time::Duration;

/// How to reach a database, and with how many connections.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    options: PgConnectOptions,
    connections_max: u32,
    connections_min: u32,
    acquire_max: Duration,
    statement_max: Duration,
}

impl PostgresSettings {
    /// Reads `<NAME>_URL`, `<NAME>_POOL_MAX` (default 20), `<NAME>_POOL_MIN` (default 1),
    /// `<NAME>_CONNECT_MS` (wait for a connection, default 2 s) and `<NAME>_STATEMENT_MS` (default 10 s).
    pub fn read(name: &str, environment: &mut Environment<'_>) -> Self {
        let variable = url_variable(name);
        let prefix = variable.trim_end_matches("_URL").to_owned();
        let url = environment.text(&variable);
        let options = PgConnectOptions::from_str(if url.is_empty() { "postgres://" } else { &url });
        let options = options.unwrap_or_else(|why| {
            environment.mistake(&variable, &format!("is not a PostgreSQL address: {why}"));
            PgConnectOptions::new()
        });
        Self {
            options,
            connections_max: environment.parsed(&format!("{prefix}_POOL_MAX"), 20).max(1),
            connections_min: environment.parsed(&format!("{prefix}_POOL_MIN"), 1),
            acquire_max: environment.millis(&format!("{prefix}_CONNECT_MS"), Duration::from_secs(2)),
            statement_max: environment.millis(&format!("{prefix}_STATEMENT_MS"), Duration::from_secs(10)),
        }
    }

    /// A pool that connects when first used; so a service can start before its database answers.
    pub fn pool(&self, application: &str) -> PgPool {
        let statement_ms = self.statement_max.as_millis().to_string();
        let options =
            self.options.clone().ssl_mode(sqlx::postgres::PgSslMode::Disable).application_name(application).options([
                ("statement_timeout", statement_ms.as_str()),
                ("idle_in_transaction_session_timeout", "30000"),
            ]);
        self.pool_options().connect_lazy_with(options)
    }

    /// A pool without a statement time-out, for bulk work such as loading or rebuilding.
    pub fn bulk_pool(&self, application: &str) -> PgPool {
        let options = self.options.clone().ssl_mode(sqlx::postgres::PgSslMode::Disable).application_name(application);
        self.pool_options().connect_lazy_with(options)
    }

    fn pool_options(&self) -> PgPoolOptions {
        PgPoolOptions::new()
            .max_connections(self.connections_max)
            .min_connections(self.connections_min.min(self.connections_max))
            .acquire_timeout(self.acquire_max)
            .idle_timeout(Duration::from_secs(30))
            .max_lifetime(Duration::from_secs(30 * 60))
    }
}

/// Counts the connections of a pool whenever `/metrics` is asked: all, and those that nobody uses.
pub fn count_connections(metrics: &Metrics, store: &'static str, pool: &PgPool) {
    let pool = pool.clone();
    metrics.register(|registry| registry.register_collector(Box::new(Connections { store, pool })));
}

struct Connections {
    store: &'static str,
    pool: PgPool,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let idle = i64::try_from(self.pool.num_idle()).unwrap_or(i64::MAX);
        for (name, help, count) in [
            ("database_connections", "Connections to the database", i64::from(self.pool.size())),
            ("database_connections_idle", "Connections to the database that nobody uses", idle),
        ] {
            let gauge = ConstGauge::new(count);
            let mut described = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(described.encode_family(&[("store", self.store)])?)?;
        }
        Ok(())
    }
}

/// Asks the database for an answer; for `/ready`.
///
/// # Errors
/// A sentence saying why there was none.
pub async fn answers(pool: PgPool) -> Result<(), String> {
    sqlx::query("SELECT 1").execute(&pool).await.map(drop).map_err(|why| why.to_string())
}

/// How long a database may take to answer when a role starts: one that starts together with it may need a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// The schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database did not answer for a minute.
    #[error(transparent)]
    Unanswered(#[from] sqlx::Error),
    /// A migration failed or an applied one was changed: fix the migration.
    #[error(transparent)]
    Migration(#[from] MigrateError),
}

/// Waits until the database answers; the last error when patience ran out.
async fn wait_until_answers(pool: &PgPool) -> Result<(), sqlx::Error> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match sqlx::query("SELECT 1").execute(pool).await {
            Ok(_) => return Ok(()),
            Err(why) if tokio::time::Instant::now() >= deadline => return Err(why),
            Err(why) => {
                tracing::info!(error = %why, "waiting for the database");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Brings the schema up to date, once the database answers; replicas that start together wait for one another (advisory lock), and each
/// migration runs once.
///
/// # Errors
/// The database does not answer, or a migration failed.
pub async fn migrate(pool: &PgPool, migrations: &Migrator) -> Result<(), SchemaError> {
    wait_until_answers(pool).await?;
    migrations.run(pool).await?;
    tracing::info!("schema is up to date");
    Ok(())
}
