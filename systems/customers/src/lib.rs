//! The customer service: customers, staff who sign in, and an audit that cannot be rewritten unseen.
//!
//! One binary: the role `api` serves; `migrate`, `seed`, `audit` and `keys` do one thing and end.
//!
//! Invariant: PostgreSQL is the truth. The cache in Redis only spares it questions: losing it, or losing what it should
//! have been told, makes answers slower or for a moment older, and never a change lost.

pub mod api;
pub mod audit;
pub mod cache;
pub mod customers;
pub mod export;
pub mod keys;
pub mod search;
pub mod seed;
pub mod sessions;
pub mod users;

use sqlx::migrate::Migrator;

/// The schema's migrations.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");
