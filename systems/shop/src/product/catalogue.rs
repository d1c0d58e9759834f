//! Products and categories in PostgreSQL.
//!
//! Invariant: a change raises `version` by one and is published in the same transaction. What is available is a copy:
//! inventory knows, and an order asks inventory.

use crate::events::{CATALOGUE, CatalogueEvent};
use plimsoll_kit::outbox;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

const COLUMNS: &str = "p.id, p.version, p.sku, p.name, p.description, p.category, p.price_minor, p.currency, \
    coalesce((SELECT available FROM levels WHERE product_id = p.id), 0) AS available";

/// What can be said of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// What the shop calls it: 1 to 64 letters, digits, `-`, `_`; of one product only.
    pub sku: String,
    /// 1 to 200 characters.
    pub name: String,
    /// At most 10,000 characters.
    #[serde(default)]
    pub description: String,
    /// The id of a category.
    #[serde(default)]
    pub category: Option<String>,
    /// In the smallest unit of the currency, exact: 1999 is 19.99 EUR, or 1,999 JPY.
    pub price_minor: i64,
    /// ISO 4217: three capital letters.
    pub currency: String,
}

impl Draft {
    /// The draft in the form in which it is kept.
    ///
    /// # Errors
    /// A sentence: a field cannot be taken.
    pub fn checked(self) -> Result<Self, &'static str> {
        let name = self.name.trim().to_owned();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !(1..=64).contains(&self.sku.len()) || !self.sku.chars().all(is_plain) {
            return Err("sku has 1 to 64 letters, digits, - or _.");
        }
        if !(1..=200).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err("name has 1 to 200 characters, on one line.");
        }
        if self.description.chars().count() > 10_000 || self.description.contains('\0') {
            return Err("description has at most 10,000 characters.");
        }
        if !(0..=1_000_000_000_000).contains(&self.price_minor) {
            return Err("price_minor is 0 to 1,000,000,000,000.");
        }
        if self.currency.len() != 3 || !self.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err("currency is three capital letters.");
        }
        Ok(Self { name, ..self })
    }
}

/// A product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Product {
    /// Never reused.
    pub id: Uuid,
    /// Grows by one with every change; the number in its entity tag.
    pub version: i64,
    /// What is said of it.
    #[serde(flatten)]
    pub draft: Draft,
    /// How many can be ordered, as inventory said last.
    pub available: i64,
}

impl Product {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            draft: Draft {
                sku: row.try_get("sku")?,
                name: row.try_get("name")?,
                description: row.try_get("description")?,
                category: row.try_get("category")?,
                price_minor: row.try_get("price_minor")?,
                currency: row.try_get("currency")?,
            },
            available: row.try_get("available")?,
        })
    }
}

/// Adds a product; `None`: the SKU is taken.
///
/// # Errors
/// The database failed; a foreign key that fails means that there is no such category.
pub async fn create(transaction: &mut PgConnection, draft: &Draft) -> Result<Option<Product>, sqlx::Error> {
    let sql = format!(
        "INSERT INTO products AS p (id, sku, name, description, category, price_minor, currency) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (sku) DO NOTHING RETURNING {COLUMNS}"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(Uuid::now_v7());
    let row = bound(query, draft).fetch_optional(&mut *transaction).await?;
    let Some(row) = row else { return Ok(None) };
    let product = Product::read(&row)?;
    tell(transaction, &product).await?;
    Ok(Some(product))
}

/// Replaces what is said of a product that the caller holds.
///
/// # Errors
/// As [`create`]; also if the SKU is taken.
pub async fn replace(transaction: &mut PgConnection, id: Uuid, draft: &Draft) -> Result<Product, sqlx::Error> {
    let sql = format!(
        "UPDATE products AS p SET version = version + 1, sku = $2, name = $3, description = $4, category = $5, \
           price_minor = $6, currency = $7, changed_at = now() WHERE id = $1 RETURNING {COLUMNS}"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id);
    let product = Product::read(&bound(query, draft).fetch_one(&mut *transaction).await?)?;
    tell(transaction, &product).await?;
    Ok(product)
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bound<'q>(query: Query<'q>, draft: &'q Draft) -> Query<'q> {
    query
        .bind(&draft.sku)
        .bind(&draft.name)
        .bind(&draft.description)
        .bind(&draft.category)
        .bind(draft.price_minor)
        .bind(&draft.currency)
}

/// Takes a product that the caller holds out of the catalogue.
///
/// # Errors
/// The database failed.
pub async fn remove(transaction: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    let sql = "UPDATE products SET version = version + 1, removed_at = now() WHERE id = $1 RETURNING version";
    let version: i64 = sqlx::query_scalar(sql).bind(id).fetch_one(&mut *transaction).await?;
    outbox::write(transaction, CATALOGUE, &CatalogueEvent::Removed { product: id, version }).await
}

async fn tell(transaction: &mut PgConnection, product: &Product) -> Result<(), sqlx::Error> {
    let draft = product.draft.clone();
    let event = CatalogueEvent::Changed {
        product: product.id,
        version: product.version,
        name: draft.name,
        description: draft.description,
        category: draft.category,
        price_minor: draft.price_minor,
        currency: draft.currency,
    };
    outbox::write(transaction, CATALOGUE, &event).await
}

/// Tells of every product again, for whoever keeps a copy; answers of how many.
///
/// # Errors
/// The database failed.
pub async fn tell_all(pool: &PgPool) -> Result<usize, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let sql = format!("SELECT {COLUMNS} FROM products p WHERE removed_at IS NULL ORDER BY id FOR SHARE OF p");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *transaction).await?;
    for row in &rows {
        tell(&mut transaction, &Product::read(row)?).await?;
    }
    transaction.commit().await?;
    Ok(rows.len())
}

/// The product, which nobody else can change until the transaction ends.
///
/// # Errors
/// The database failed.
pub async fn hold(transaction: &mut PgConnection, id: Uuid) -> Result<Option<Product>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM products p WHERE id = $1 AND removed_at IS NULL FOR UPDATE OF p");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(transaction).await?;
    row.as_ref().map(Product::read).transpose()
}

/// The product.
///
/// # Errors
/// The database failed.
pub async fn of(pool: &PgPool, id: Uuid) -> Result<Option<Product>, sqlx::Error> {
    Ok(some_of(pool, &[id]).await?.pop())
}

/// Those of these products that are sold.
///
/// # Errors
/// The database failed.
pub async fn some_of(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<Product>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM products p WHERE id = ANY($1) AND removed_at IS NULL ORDER BY id");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await?;
    rows.iter().map(Product::read).collect()
}

/// Products in the order in which they came, of a category if one is given; `after` is the last one of the page before.
///
/// # Errors
/// The database failed.
pub async fn list(
    pool: &PgPool,
    category: Option<&str>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Product>, sqlx::Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM products p WHERE removed_at IS NULL AND ($1::text IS NULL OR category = $1) \
           AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(category).bind(after).bind(limit).fetch_all(pool).await?;
    rows.iter().map(Product::read).collect()
}

/// Takes note of what inventory says; an older word than the one that is known changes nothing.
///
/// # Errors
/// The database failed.
pub async fn note_level(
    transaction: &mut PgConnection,
    product: Uuid,
    (version, available): (i64, i64),
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO levels AS l (product_id, version, available) VALUES ($1, $2, $3) ON CONFLICT (product_id) \
               DO UPDATE SET version = $2, available = $3 WHERE l.version < $2";
    sqlx::query(sql).bind(product).bind(version).bind(available).execute(transaction).await.map(drop)
}
