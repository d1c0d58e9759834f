//! The task manager: a gateway, sign-in, people, projects and tasks with attachments, and notifications.
//!
//! One binary, a role for each service; `migrate` and `seed` do one thing and end.
//!
//! Invariant: PostgreSQL is the truth. Redis counts requests and nothing else: losing it lets floods through, and loses
//! nothing.

pub mod access;
pub mod attachments;
pub mod auth;
pub mod gateway;
pub mod limit;
pub mod notification;
pub mod outbox;
pub mod projects;
pub mod search;
pub mod seed;
pub mod store;
pub mod task;
pub mod tasks;
pub mod user;
pub mod webhook;

use sqlx::migrate::Migrator;

/// The schema's migrations.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");
