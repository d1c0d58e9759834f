//! The roles that do one thing and end: `migrate` and `seed`.

use crate::access::Appointment;
use crate::members::{self, Joining};
use crate::organizations::{self, Organization};
use crate::{payment, pf, user, workflow};
use anyhow::bail;
use plimsoll_kit::backend::Role;
use plimsoll_kit::postgres::{self, PostgresSettings};
use plimsoll_kit::{hashing, people, settings};
use sqlx::{PgConnection, PgPool};
use std::path::PathBuf;
use uuid::Uuid;

/// Organizations that were seeded have ids from here on, so that a second seed finds them.
const FIRST: u128 = 0x0190_0000_0000_7000_8000_0000_0000_0000;

/// What to create; what is there already stays as it is.
#[derive(Debug, Clone, clap::Args)]
pub struct Seed {
    /// Organizations: `Organization 0` and so on, each with an employer, `employer0@example.com`.
    #[arg(long, default_value_t = 3)]
    pub organizations: u32,
    /// Members of each, `M-000000` and so on; the first of each can sign in, `member0@example.com`.
    #[arg(long, default_value_t = 100)]
    pub members: u32,
    /// File that holds the password of all of them; without it, SEED_PASSWORD.
    #[arg(long)]
    pub password_file: Option<PathBuf>,
}

/// The role's database, its schema up to date.
async fn open(role: Role) -> anyhow::Result<PgPool> {
    let pool = settings::read(|env| PostgresSettings::read(role.store, env))?.bulk_pool("provident-seed");
    postgres::migrate(&pool, role.migrations).await?;
    Ok(pool)
}

/// Brings every schema up to date.
///
/// # Errors
/// Settings, a database, or a migration.
pub async fn migrate() -> anyhow::Result<()> {
    for role in [pf::ROLE, workflow::ROLE, payment::ROLE] {
        open(role).await?.close().await;
    }
    Ok(())
}

/// Creates what [`Seed`] asks for, and two officers, `officer0@example.com` and `officer1@example.com`.
///
/// # Errors
/// Settings, a database, a missing or short password.
pub async fn seed(seed: &Seed) -> anyhow::Result<()> {
    let password = settings::text_or_file("SEED_PASSWORD", seed.password_file.as_deref())?;
    if !people::is_password(&password) {
        bail!("a password has 8 to 128 characters");
    }
    let pool = open(pf::ROLE).await?;
    let hash = hashing::hash_blocking(&password)?;
    let mut transaction = pool.begin().await?;
    for number in 0..2 {
        let (email, name) = (format!("officer{number}@example.com"), format!("Officer {number}"));
        let_in(&mut transaction, (&email, &name), &hash, Appointment::Officer).await?;
    }
    transaction.commit().await?;
    let mut created = 0;
    for number in 0..seed.organizations {
        created += seed_one(&pool, number, seed.members, &hash).await?;
    }
    tracing::info!(organizations = seed.organizations, members = created, "created");
    Ok(())
}

/// An organization with its members; answers how many of those are new.
async fn seed_one(pool: &PgPool, number: u32, count: u32, hash: &str) -> anyhow::Result<u64> {
    let organization = Uuid::from_u128(FIRST + u128::from(number));
    let joining: Vec<Joining> = (0..count)
        .map(|member| Joining { number: format!("M-{member:06}"), name: format!("Member {member} of {number}") })
        .collect();
    let mut transaction = pool.begin().await?;
    let name = format!("Organization {number}");
    organizations::create(&mut transaction, &Organization { id: organization, name }).await?;
    let added = members::add(&mut transaction, organization, &joining).await?;
    let (email, name) = (format!("employer{number}@example.com"), format!("Employer {number}"));
    let_in(&mut transaction, (&email, &name), hash, Appointment::Employer { organization }).await?;
    if let Some((_, member)) = members::by_number(&mut transaction, organization).await?.into_iter().next() {
        let (email, name) = (format!("member{number}@example.com"), format!("Member 0 of {number}"));
        let_in(&mut transaction, (&email, &name), hash, Appointment::Member { organization, member }).await?;
    }
    transaction.commit().await?;
    Ok(added)
}

/// Lets somebody in who is not there yet.
async fn let_in(
    transaction: &mut PgConnection,
    named: (&str, &str),
    hash: &str,
    may: Appointment,
) -> Result<(), sqlx::Error> {
    match people::create(transaction, named, hash).await? {
        Some(person) => user::appoint(transaction, person.id, may).await,
        None => Ok(()),
    }
}
