//! The credentials management system: usernames, registrations, sessions.
//!
//! One binary, five roles: `api` and `ui` serve, `migrate`, `seed` and `rebuild` do one thing and end.
//!
//! Invariant: PostgreSQL is the truth about who owns a name. The filter in Redis and the cache in the process only
//! spare it questions; losing either makes answers slower, never a name owned twice.

pub mod accounts;
pub mod api;
pub mod audit;
pub mod cache;
pub mod coalesce;
pub mod filter;
pub mod lockout;
pub mod names;
pub mod seed;
pub mod ui;
pub mod validation;
