//! The roles that do one thing and end: `migrate` and `seed`.

use crate::MIGRATIONS;
use anyhow::bail;
use plimsoll_kit::postgres::{self, PostgresSettings};
use plimsoll_kit::{hashing, people, settings};
use sqlx::PgPool;
use std::path::PathBuf;

/// What to create; what is there already stays as it is.
#[derive(Debug, Clone, clap::Args)]
pub struct Seed {
    /// People: `person0@example.com` and so on.
    #[arg(long, default_value_t = 10)]
    pub people: u64,
    /// File that holds the password of all of them; without it, SEED_PASSWORD.
    #[arg(long)]
    pub password_file: Option<PathBuf>,
}

/// Brings the schema up to date.
///
/// # Errors
/// Settings, database, or a migration.
pub async fn migrate() -> anyhow::Result<()> {
    open("tasks-migrate").await.map(drop)
}

/// Creates what [`Seed`] asks for.
///
/// # Errors
/// Settings, the database, a missing or short password.
pub async fn seed(seed: &Seed) -> anyhow::Result<()> {
    let password = settings::text_or_file("SEED_PASSWORD", seed.password_file.as_deref())?;
    if !people::is_password(&password) {
        bail!("a password has 8 to 128 characters");
    }
    let pool = open("tasks-seed").await?;
    let hash = hashing::hash_blocking(&password)?;
    let mut transaction = pool.begin().await?;
    let mut created = 0;
    for index in 0..seed.people {
        let (email, name) = (format!("person{index}@example.com"), format!("Person {index}"));
        created += u64::from(people::create(&mut transaction, (&email, &name), &hash).await?.is_some());
    }
    transaction.commit().await?;
    tracing::info!(created, asked = seed.people, "people created");
    Ok(())
}

async fn open(application: &str) -> anyhow::Result<PgPool> {
    let pool = settings::read(|env| PostgresSettings::read("tasks", env))?.bulk_pool(application);
    postgres::migrate(&pool, &MIGRATIONS).await?;
    Ok(pool)
}
