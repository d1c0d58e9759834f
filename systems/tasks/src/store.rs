//! What every role that has to do with PostgreSQL opens: the schema, brought up to date, and the keys.

use crate::MIGRATIONS;
use crate::access::Access;
use plimsoll_kit::keys::{KeySettings, Keys};
use plimsoll_kit::postgres::{self, PostgresSettings};
use plimsoll_kit::settings::Environment;

/// How to reach it.
pub struct StoreSettings {
    database: PostgresSettings,
    keys: KeySettings,
    migrate: bool,
}

impl StoreSettings {
    /// Reads `TASKS_URL`, `TOKEN_SECRET`, `KEY_ROTATE_S` and `MIGRATE` (default true).
    pub fn read(environment: &mut Environment<'_>) -> Self {
        Self {
            database: PostgresSettings::read("tasks", environment),
            keys: KeySettings::read(environment),
            migrate: environment.parsed("MIGRATE", true),
        }
    }

    /// Opens it, and begins to follow the keys.
    ///
    /// # Errors
    /// The database does not answer, or a migration or the keys failed.
    pub async fn open(self, application: &'static str) -> anyhow::Result<Access> {
        if self.migrate {
            let bulk = self.database.bulk_pool("tasks-migrate");
            postgres::migrate(&bulk, &MIGRATIONS).await?;
            bulk.close().await;
        }
        let pool = self.database.pool(application);
        let keys = Keys::open(pool.clone(), self.keys).await?;
        tokio::spawn(keys.clone().follow());
        Ok(Access { pool, keys })
    }
}
