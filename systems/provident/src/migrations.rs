//! The schemas, one for each database.

use sqlx::migrate::Migrator;

/// Of people, organizations, members, the ledger, claims and documents.
pub static FUND: Migrator = sqlx::migrate!("./migrations/fund");
/// Of the cases that people decide.
pub static CASES: Migrator = sqlx::migrate!("./migrations/cases");
/// Of what was paid out.
pub static PAYMENTS: Migrator = sqlx::migrate!("./migrations/payments");
