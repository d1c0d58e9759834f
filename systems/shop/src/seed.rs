//! The roles that do one thing and end: `migrate` and `seed`.

use crate::events::Quantity;
use crate::inventory::{self, stock};
use crate::product::catalogue::{self, Draft};
use crate::{notification, order, payment, product, search, user};
use anyhow::bail;
use plimsoll_kit::postgres::{self, PostgresSettings};
use plimsoll_kit::{backend, hashing, people, settings};
use sqlx::PgPool;
use std::path::PathBuf;
use uuid::Uuid;

const CATEGORIES: [(&str, &str); 3] = [("charts", "Charts"), ("deck", "Deck gear"), ("instruments", "Instruments")];
const THINGS: [&str; 6] = ["Anchor", "Barometer", "Compass", "Lead line", "Sextant", "Signal flag"];

/// What to create; what is there already stays as it is.
#[derive(Debug, Clone, clap::Args)]
pub struct Seed {
    /// People: `person0@example.com` and so on; `clerk@example.com` is a clerk.
    #[arg(long, default_value_t = 10)]
    pub people: u64,
    /// Products, in three categories.
    #[arg(long, default_value_t = 50)]
    pub products: u64,
    /// So many of each product that is new.
    #[arg(long, default_value_t = 1000)]
    pub stock: i64,
    /// File that holds the password of all of them; without it, SEED_PASSWORD.
    #[arg(long)]
    pub password_file: Option<PathBuf>,
}

/// The databases that have an address in the environment.
async fn open(role: backend::Role) -> anyhow::Result<PgPool> {
    let pool = settings::read(|env| PostgresSettings::read(role.store, env))?.bulk_pool("shop-seed");
    postgres::migrate(&pool, role.migrations).await?;
    Ok(pool)
}

/// Brings every schema up to date.
///
/// # Errors
/// Settings, a database, or a migration.
pub async fn migrate() -> anyhow::Result<()> {
    for role in
        [user::ROLE, product::ROLE, inventory::ROLE, order::ROLE, payment::ROLE, search::ROLE, notification::ROLE]
    {
        open(role).await?.close().await;
    }
    Ok(())
}

/// Creates what [`Seed`] asks for. The services publish what it wrote when they run.
///
/// # Errors
/// Settings, a database, a missing or short password.
pub async fn seed(seed: &Seed) -> anyhow::Result<()> {
    let password = settings::text_or_file("SEED_PASSWORD", seed.password_file.as_deref())?;
    if !people::is_password(&password) {
        bail!("a password has 8 to 128 characters");
    }
    let (users, products, stock) = (open(user::ROLE).await?, open(product::ROLE).await?, open(inventory::ROLE).await?);
    let people = seed_people(&users, seed.people, &password).await?;
    let created = seed_products(&products, seed.products).await?;
    for product in &created {
        let mut transaction = stock.begin().await?;
        if seed.stock > 0 {
            stock::receive(&mut transaction, Quantity { product: *product, quantity: seed.stock }).await?;
        }
        transaction.commit().await?;
    }
    tracing::info!(people, products = created.len(), "created");
    Ok(())
}

async fn seed_people(pool: &PgPool, count: u64, password: &str) -> anyhow::Result<u64> {
    let hash = hashing::hash_blocking(password)?;
    let mut transaction = pool.begin().await?;
    let mut created = 0;
    let customers = (0..count).map(|index| (format!("person{index}@example.com"), format!("Person {index}")));
    for (email, name) in customers.chain([("clerk@example.com".to_owned(), "Clerk".to_owned())]) {
        if let Some(person) = people::create(&mut transaction, (&email, &name), &hash).await? {
            user::tell(&mut transaction, &person).await?;
            created += 1;
        }
    }
    sqlx::query("UPDATE users SET role = 'clerk' WHERE email = 'clerk@example.com'").execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(created)
}

async fn seed_products(pool: &PgPool, count: u64) -> anyhow::Result<Vec<Uuid>> {
    let mut transaction = pool.begin().await?;
    for (id, name) in CATEGORIES {
        let sql = "INSERT INTO categories (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        sqlx::query(sql).bind(id).bind(name).execute(&mut *transaction).await?;
    }
    let mut created = Vec::new();
    for index in 0..count {
        let at = usize::try_from(index)?;
        let (thing, category) = (THINGS[at % THINGS.len()], CATEGORIES[at % CATEGORIES.len()].0);
        let draft = Draft {
            sku: format!("sku-{index}"),
            name: format!("{thing} no. {index}"),
            description: format!("{thing} for ships of every size, the {index}th of its kind."),
            category: Some(category.to_owned()),
            price_minor: i64::try_from(499 + 100 * (index % 200))?,
            currency: "USD".to_owned(),
        };
        created.extend(catalogue::create(&mut transaction, &draft).await?.map(|product| product.id));
    }
    transaction.commit().await?;
    Ok(created)
}

/// Tells of every product again, for a search index that was lost.
///
/// # Errors
/// Settings or the database.
pub async fn reindex() -> anyhow::Result<()> {
    let pool = open(product::ROLE).await?;
    let told = catalogue::tell_all(&pool).await?;
    tracing::info!(told, "every product is told of again");
    Ok(())
}
