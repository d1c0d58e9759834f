//! The roles that do one thing and end: `migrate` and `seed`.

use crate::MIGRATIONS;
use crate::audit::{self, Event};
use crate::users::{self, Role};
use anyhow::{Context, bail};
use plimsoll_kit::postgres::{self, PostgresSettings};
use plimsoll_kit::{hashing, settings};
use serde_json::json;
use sqlx::PgPool;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Instant;
use uuid::Uuid;

/// Rows in one COPY: large enough to be fast, small enough to hold in memory.
const BATCH: u64 = 20_000;

const FIRST: [&str; 24] = [
    "Ada", "Boris", "Clara", "David", "Emilia", "Farid", "Greta", "Hiro", "Ines", "Jonas", "Katya", "Liam", "Mina",
    "Noor", "Oskar", "Priya", "Quentin", "Rosa", "Samir", "Tova", "Ulla", "Victor", "Wanda", "Yusuf",
];
const LAST: [&str; 25] = [
    "Andersen",
    "Brandt",
    "Costa",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Galotti",
    "Haddad",
    "Ivanova",
    "Jansen",
    "Kowalski",
    "Lindholm",
    "Moreau",
    "Nakamura",
    "Okafor",
    "Petrov",
    "Quispe",
    "Rossi",
    "Schneider",
    "Tanaka",
    "Ueda",
    "Vargas",
    "Weber",
    "Yilmaz",
    "Zhang",
];
const COMPANIES: [&str; 7] = ["", "Harbour Works", "Tidewater", "Keel & Sons", "Northern Freight", "Lantern", "Ropery"];
const PLACES: [(&str, &str); 8] = [
    ("Hamburg", "DE"),
    ("Rotterdam", "NL"),
    ("Genova", "IT"),
    ("Bilbao", "ES"),
    ("Gdansk", "PL"),
    ("Aarhus", "DK"),
    ("Leith", "GB"),
    ("Izmir", "TR"),
];
const STATUSES: [&str; 5] = ["active", "active", "active", "lead", "inactive"];

/// What to create.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Seed {
    /// Generated customers to create.
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
    open("customers-migrate").await.map(drop)
}

/// Creates an administrator, or many customers, or both; what exists already stays.
///
/// # Errors
/// Settings, the database, a missing or short password.
pub async fn seed(seed: &Seed) -> anyhow::Result<()> {
    let pool = open("customers-seed").await?;
    if let Some(name) = &seed.admin {
        create_admin(&pool, name, &settings::text_or_file("ADMIN_PASSWORD", seed.admin_password_file.as_deref())?)
            .await?;
    }
    if seed.count > 0 {
        create_many(&pool, seed.count).await?;
    }
    Ok(())
}

async fn open(application: &str) -> anyhow::Result<PgPool> {
    let pool = settings::read(|env| PostgresSettings::read("customers", env))?.bulk_pool(application);
    postgres::migrate(&pool, &MIGRATIONS).await?;
    Ok(pool)
}

/// Creates an administrator; a name that exists already stays as it is.
///
/// # Errors
/// The database failed, the name cannot be used, or the password is too short.
pub async fn create_admin(pool: &PgPool, name: &str, password: &str) -> anyhow::Result<()> {
    let name = users::plain_name(name).with_context(|| format!("{name:?} is not a name"))?;
    if password.chars().count() < 8 {
        bail!("the administrator's password needs at least 8 characters");
    }
    if users::for_sign_in(pool, &name).await?.is_some() {
        return Ok(());
    }
    let hash = hashing::hash_blocking(password)?;
    let mut transaction = pool.begin().await?;
    if users::create(&mut transaction, &name, Role::Admin, &hash).await?.is_some() {
        let (subject, detail) = (format!("user {name}"), json!({ "role": "admin" }));
        let event = Event { actor: "seed", act: "create-user", subject, outcome: "done", detail };
        audit::append(&mut transaction, &event).await?;
        transaction.commit().await?;
        tracing::info!(name, "administrator created");
    }
    Ok(())
}

async fn create_many(pool: &PgPool, count: u64) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut transaction = pool.begin().await?;
    sqlx::query("CREATE TEMPORARY TABLE seeded (LIKE customers INCLUDING DEFAULTS) ON COMMIT DROP")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("ALTER TABLE seeded DROP COLUMN search").execute(&mut *transaction).await?;
    let mut created = 0;
    for first in (0..count).step_by(usize::try_from(BATCH)?) {
        let mut copy = transaction
            .copy_in_raw("COPY seeded (id, name, email, phone, company, postcode, city, country, status) FROM STDIN")
            .await?;
        copy.send(lines(first, count.min(first + BATCH)).into_bytes()).await?;
        copy.finish().await?;
        let sql = "INSERT INTO customers (id, name, email, phone, company, postcode, city, country, status) \
                   SELECT id, name, email, phone, company, postcode, city, country, status FROM seeded \
                   ON CONFLICT DO NOTHING";
        created += sqlx::query(sql).execute(&mut *transaction).await?.rows_affected();
        sqlx::query("TRUNCATE seeded").execute(&mut *transaction).await?;
    }
    let detail = json!({ "created": created, "asked": count });
    let event = Event { actor: "seed", act: "seed", subject: "customers".into(), outcome: "done", detail };
    audit::append(&mut transaction, &event).await?;
    transaction.commit().await?;
    sqlx::query("ANALYZE customers").execute(pool).await?;
    tracing::info!(created, asked = count, took_ms = started.elapsed().as_secs_f64() * 1e3, "customers created");
    Ok(())
}

fn lines(first: u64, end: u64) -> String {
    (first..end).fold(String::new(), |mut text, index| {
        let at =
            |length: usize, stride: u64| usize::try_from(index.wrapping_mul(stride) / 7 % length as u64).unwrap_or(0);
        let (given, family) = (FIRST[at(FIRST.len(), 31)], LAST[at(LAST.len(), 17)]);
        let (city, country) = PLACES[at(PLACES.len(), 13)];
        let (company, status) = (COMPANIES[at(COMPANIES.len(), 11)], STATUSES[at(STATUSES.len(), 19)]);
        let email = generated_email(index);
        let (id, phone, postcode) =
            (generated_id(index), format!("+49 40 {:07}", index % 10_000_000), 10_000 + index % 90_000);
        let _ = writeln!(
            text,
            "{id}\t{given} {family}\t{email}\t{phone}\t{company}\t{postcode}\t{city}\t{country}\t{status}"
        );
        text
    })
}

/// The id of the generated customer of this number: so that load can ask for customers that exist.
pub fn generated_id(index: u64) -> Uuid {
    // Decimal digits are hexadecimal ones too: so `{random:10}` in a request's path makes ids that exist.
    let digits = u128::from_str_radix(&(index % 1_000_000_000_000).to_string(), 16).unwrap_or(0);
    Uuid::from_u128(0x5eed_0000_0000_7000_8000_0000_0000_0000 | digits)
}

/// Its address.
pub fn generated_email(index: u64) -> String {
    format!("customer{index}@example.com")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customers::Draft;

    #[test]
    fn generated_customers_are_such_as_the_api_takes() {
        for line in lines(0, 2_000).lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let [_, name, email, phone, company, postcode, city, country, status] = fields[..] else {
                panic!("{line}")
            };
            let draft = json!({ "name": name, "email": email, "phone": phone, "company": company, "postcode": postcode,
                "city": city, "country": country, "status": status });
            assert!(serde_json::from_value::<Draft>(draft).unwrap().checked().is_ok(), "{line}");
        }
    }
}
