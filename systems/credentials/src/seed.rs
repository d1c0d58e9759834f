//! The roles that do one thing and end: `migrate`, `seed`, `rebuild`.

use crate::accounts::{self, MIGRATIONS};
use crate::audit::{self, Event};
use crate::filter::{Filter, RebuildError, rebuild};
use crate::names::{Folded, fold};
use anyhow::{Context, bail};
use plimsoll_kit::hashing;
use plimsoll_kit::keyvalue::KeyValueSettings;
use plimsoll_kit::postgres::{self, PostgresSettings};
use plimsoll_kit::settings;
use sqlx::PgPool;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long to wait for a rebuild that somebody else began.
const REBUILD_PATIENCE: Duration = Duration::from_secs(300);
/// Rows in one COPY: large enough to be fast, small enough to hold in memory.
const BATCH: u64 = 50_000;
const SYLLABLES: u64 = 65;
/// Names of four syllables.
const NAMES_MAX: u64 = SYLLABLES * SYLLABLES * SYLLABLES * SYLLABLES;
/// Coprime to `NAMES_MAX`, so that multiplying visits every name once, in an order that looks random.
const STRIDE: u64 = 7_654_321;

/// What to create.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Seed {
    /// Generated accounts to create; then the filter is filled.
    #[arg(long, default_value_t = 0)]
    pub count: u64,
    /// Name of an administrator to create; the password comes from ADMIN_PASSWORD or the file.
    #[arg(long)]
    pub admin: Option<String>,
    /// File that holds the administrator's password.
    #[arg(long)]
    pub admin_password_file: Option<PathBuf>,
}

/// Brings the schema up to date.
///
/// # Errors
/// Settings, database, or a migration.
pub async fn migrate() -> anyhow::Result<()> {
    let pool = settings::read(|env| PostgresSettings::read("accounts", env))?.bulk_pool("credentials-migrate");
    postgres::migrate(&pool, &MIGRATIONS).await?;
    Ok(())
}

/// Rebuilds the filter from PostgreSQL.
///
/// # Errors
/// Settings, either store, or another rebuild under way.
pub async fn rebuild_filter() -> anyhow::Result<()> {
    let (pool, filter) = open()?;
    refill(&filter, &pool).await
}

/// Creates an administrator, or many accounts, or both; what exists already stays.
///
/// # Errors
/// Settings, either store, a missing or short password.
pub async fn seed(seed: &Seed) -> anyhow::Result<()> {
    let (pool, filter) = open()?;
    postgres::migrate(&pool, &MIGRATIONS).await?;
    if let Some(name) = &seed.admin {
        create_admin(&pool, name, &settings::text_or_file("ADMIN_PASSWORD", seed.admin_password_file.as_deref())?)
            .await?;
    }
    if seed.count > 0 {
        create_many(&pool, seed.count).await?;
        refill(&filter, &pool).await?;
    }
    Ok(())
}

fn open() -> anyhow::Result<(PgPool, Filter)> {
    let (accounts, names) =
        settings::read(|env| (PostgresSettings::read("accounts", env), KeyValueSettings::read("names", env)))?;
    Ok((accounts.bulk_pool("credentials-seed"), Filter::new(names.open())))
}

async fn refill(filter: &Filter, pool: &PgPool) -> anyhow::Result<()> {
    let started = Instant::now();
    let rebuilt = loop {
        match rebuild(filter, pool).await {
            // It may have begun before our names were there, so it does not spare us ours.
            Err(RebuildError::UnderWay) if started.elapsed() < REBUILD_PATIENCE => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            outcome => break outcome.context("the filter was not rebuilt")?,
        }
    };
    let generation = rebuilt.generation;
    tracing::info!(
        generation = generation.number,
        entries = generation.entries,
        added_after = rebuilt.added_after,
        bits = generation.layout.bits(),
        took_ms = started.elapsed().as_secs_f64() * 1e3,
        "filter rebuilt"
    );
    Ok(())
}

/// Creates an administrator; a name that exists already stays as it is.
///
/// # Errors
/// The database failed, the name is not ASCII or too long, or the password too short.
pub async fn create_admin(pool: &PgPool, name: &str, password: &str) -> anyhow::Result<()> {
    let plain = Folded::plain(name).with_context(|| format!("{name:?} is not a name"))?;
    if password.chars().count() < 8 {
        bail!("the administrator's password needs at least 8 characters");
    }
    if accounts::for_sign_in(pool, plain.as_str()).await?.is_some() {
        return Ok(());
    }
    let hash = hashing::hash_blocking(password)?;
    let mut transaction = pool.begin().await?;
    match accounts::create(&mut transaction, (&plain, &fold(name)), &hash, "admin").await? {
        Some(account) => {
            let event = Event { actor: "seed", act: "create-admin", subject: &account.name, outcome: "done" };
            audit::record(&mut *transaction, event).await?;
            transaction.commit().await?;
            tracing::info!(name = account.name, "administrator created");
        }
        None => tracing::info!(name, "this name exists already; nothing changed"),
    }
    Ok(())
}

/// All share one hash, of a password that nobody knows unless `SEED_PASSWORD` says it.
async fn create_many(pool: &PgPool, count: u64) -> anyhow::Result<()> {
    if count > NAMES_MAX {
        bail!("at most {NAMES_MAX} names can be generated");
    }
    let started = Instant::now();
    let password = settings::read(|env| env.optional("SEED_PASSWORD"))?;
    let hash = hashing::hash_blocking(&password.unwrap_or_else(hashing::random_password))?;
    let mut connection = pool.acquire().await?;
    sqlx::query("CREATE TEMPORARY TABLE seeded (name text)").execute(&mut *connection).await?;
    let mut created = 0;
    for first in (0..count).step_by(usize::try_from(BATCH)?) {
        let names = lines(first, count.min(first + BATCH));
        let mut copy = connection.copy_in_raw("COPY seeded (name) FROM STDIN").await?;
        copy.send(names.into_bytes()).await?;
        copy.finish().await?;
        // A generated name is its own folding: it holds only letters, and none that fold.
        let done = sqlx::query(
            "INSERT INTO accounts (name, folded, password_hash, in_filter) SELECT name, name, $1, true FROM seeded \
             ON CONFLICT (folded) DO NOTHING",
        )
        .bind(&hash)
        .execute(&mut *connection)
        .await?;
        created += done.rows_affected();
        sqlx::query("TRUNCATE seeded").execute(&mut *connection).await?;
    }
    sqlx::query("ANALYZE accounts").execute(&mut *connection).await?;
    tracing::info!(created, asked = count, took_ms = started.elapsed().as_secs_f64() * 1e3, "accounts created");
    Ok(())
}

fn lines(first: u64, end: u64) -> String {
    (first..end).fold(String::new(), |mut text, index| {
        let _ = writeln!(text, "{}", generated_name(index));
        text
    })
}

/// The name of this number: four syllables, a different one for each number below 65⁴.
pub fn generated_name(index: u64) -> String {
    const CONSONANTS: &[u8; 13] = b"bdfgjkmnprstz";
    const VOWELS: &[u8; 5] = b"aeiou";
    let mut rest = index % NAMES_MAX * STRIDE % NAMES_MAX;
    let mut name = String::with_capacity(8);
    for _ in 0..4 {
        let syllable = usize::try_from(rest % SYLLABLES).unwrap_or(0);
        name.push(char::from(CONSONANTS[syllable / 5]));
        name.push(char::from(VOWELS[syllable % 5]));
        rest /= SYLLABLES;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Checked, check};
    use std::collections::HashSet;

    #[test]
    fn generated_names_differ_and_fold_to_themselves() {
        let names: HashSet<_> = (0..200_000).map(generated_name).collect();
        assert_eq!(names.len(), 200_000);
        for index in 0..1000 {
            let name = generated_name(index);
            assert_eq!(fold(&name).as_str(), name);
            assert!(matches!(check(&name), Checked::WellFormed { .. }), "{name}");
        }
    }
}
