//! The schemas, one for each database.

use sqlx::migrate::Migrator;

/// Of people, organizations, members and the ledger.
pub static FUND: Migrator = sqlx::migrate!("./migrations/fund");
