//! Accounts in PostgreSQL: the truth about who owns a name.
//!
//! Invariant: two accounts never fold alike; the unique index on `folded` sees to it, not this code.

use crate::names::Folded;
use serde::Serialize;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use std::collections::HashMap;
use utoipa::ToSchema;

/// The schema's migrations.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

const COLUMNS: &str = "id, name, role, disabled_at IS NOT NULL AS disabled, \
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS created_at";

/// An account as others may see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Account {
    /// Never reused.
    pub id: i64,
    /// Lower case.
    pub name: String,
    /// `user` or `admin`.
    pub role: String,
    /// A disabled account cannot sign in, and its sessions end.
    pub disabled: bool,
    /// UTC, RFC 3339.
    pub created_at: String,
}

impl Account {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            role: row.try_get("role")?,
            disabled: row.try_get("disabled")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

/// Who owns these folded names: the owner's name for each that is taken. One question for all.
///
/// # Errors
/// The database failed.
pub async fn owners(pool: &PgPool, folded: &[Folded]) -> Result<HashMap<Folded, Folded>, sqlx::Error> {
    let texts: Vec<&str> = folded.iter().map(Folded::as_str).collect();
    let rows =
        sqlx::query("SELECT folded, name FROM accounts WHERE folded = ANY($1)").bind(texts).fetch_all(pool).await?;
    let mut owners = HashMap::with_capacity(rows.len());
    for row in rows {
        let (folded, name): (&str, &str) = (row.try_get("folded")?, row.try_get("name")?);
        if let (Some(folded), Some(name)) = (Folded::plain(folded), Folded::plain(name)) {
            owners.insert(folded, name);
        }
    }
    Ok(owners)
}

/// Creates an account within the caller's transaction; `None`: the name, or one that looks like it, is taken.
///
/// # Errors
/// The database failed.
pub async fn create(
    transaction: &mut PgConnection,
    names: (&Folded, &Folded),
    password_hash: &str,
    role: &str,
) -> Result<Option<Account>, sqlx::Error> {
    let (name, folded) = names;
    let sql = format!(
        "INSERT INTO accounts (name, folded, password_hash, role) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (folded) DO NOTHING RETURNING {COLUMNS}"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(name.as_str())
        .bind(folded.as_str())
        .bind(password_hash)
        .bind(role)
        .fetch_optional(transaction)
        .await?;
    row.as_ref().map(Account::read).transpose()
}

/// Notes that the filter holds this account's name.
///
/// # Errors
/// The database failed; the sweep adds the name again, which does no harm.
pub async fn mark_in_filter(pool: &PgPool, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE accounts SET in_filter = true WHERE id = $1").bind(id).execute(pool).await.map(drop)
}

/// Accounts older than two seconds whose names the filter may lack.
///
/// # Errors
/// The database failed.
pub async fn not_in_filter(pool: &PgPool) -> Result<Vec<(i64, String)>, sqlx::Error> {
    let sql = "SELECT id, folded FROM accounts WHERE NOT in_filter AND created_at < now() - interval '2 seconds' \
               ORDER BY id LIMIT 500";
    let rows = sqlx::query(sql).fetch_all(pool).await?;
    rows.iter().map(|row| Ok((row.try_get("id")?, row.try_get("folded")?))).collect()
}

/// The account of this exact name (lower case) with its password hash.
///
/// # Errors
/// The database failed.
pub async fn for_sign_in(pool: &PgPool, name: &str) -> Result<Option<(Account, String)>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS}, password_hash FROM accounts WHERE name = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(name).fetch_optional(pool).await?;
    row.as_ref().map(|row| Ok((Account::read(row)?, row.try_get("password_hash")?))).transpose()
}

/// The account of this id.
///
/// # Errors
/// The database failed.
pub async fn by_id(pool: &PgPool, id: i64) -> Result<Option<Account>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM accounts WHERE id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await?;
    row.as_ref().map(Account::read).transpose()
}

/// Accounts whose names begin with `prefix`, in order of name, after `after`, at most `limit`.
///
/// # Errors
/// The database failed.
pub async fn list(pool: &PgPool, prefix: &str, after: &str, limit: i64) -> Result<Vec<Account>, sqlx::Error> {
    // A range, not LIKE: the index serves it whatever the prefix holds. `~` is above every character of a name.
    let sql = format!(
        "SELECT {COLUMNS} FROM accounts WHERE name > $1 AND name >= $2 AND name < $2 || '~' ORDER BY name LIMIT $3"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(after).bind(prefix).bind(limit).fetch_all(pool).await?;
    rows.iter().map(Account::read).collect()
}

/// Disables or enables an account within the caller's transaction; `None`: there is no such account.
///
/// # Errors
/// The database failed.
pub async fn set_disabled(
    transaction: &mut PgConnection,
    id: i64,
    disabled: bool,
) -> Result<Option<Account>, sqlx::Error> {
    let sql = format!(
        "UPDATE accounts SET disabled_at = CASE WHEN $2 THEN coalesce(disabled_at, now()) END WHERE id = $1 \
         RETURNING {COLUMNS}"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).bind(disabled).fetch_optional(transaction).await?;
    row.as_ref().map(Account::read).transpose()
}
