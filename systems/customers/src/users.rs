//! Those who may see customers: staff, each with a role.
//!
//! Invariant: whoever is disabled, or gets another role or password, is signed out everywhere in the same transaction.

use crate::sessions;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

const COLUMNS: &str = "id, version, name, role, disabled_at IS NOT NULL AS disabled, \
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS created_at";

/// What somebody may do; each may also do what the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read customers.
    Viewer,
    /// Create and change customers.
    Editor,
    /// Delete and export customers, manage users, read the audit.
    Admin,
}

impl Role {
    /// As it is stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }

    /// `None`: there is no such role.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Viewer, Self::Editor, Self::Admin].into_iter().find(|role| role.word() == word)
    }
}

/// A user as others may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// Never reused.
    pub id: Uuid,
    /// Grows by one with every change; the number in its entity tag.
    pub version: i64,
    /// Lower case.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// It cannot sign in.
    pub disabled: bool,
    /// UTC, RFC 3339.
    pub created_at: String,
}

/// What changes of a user; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Another role.
    pub role: Option<Role>,
    /// May it sign in?
    pub disabled: Option<bool>,
    /// A new password's hash.
    pub password_hash: Option<String>,
}

impl User {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let role: String = row.try_get("role")?;
        Ok(Self {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            name: row.try_get("name")?,
            role: Role::parse(&role).ok_or_else(|| sqlx::Error::Decode(format!("no role {role}").into()))?,
            disabled: row.try_get("disabled")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

/// The name in the form in which names are kept: 3 to 64 letters, digits and `.@_-`, in lower case. `None`: it is none.
pub fn plain_name(text: &str) -> Option<String> {
    let name = text.trim().to_lowercase();
    let right = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".@_-".contains(&b));
    (right && (3..=64).contains(&name.len())).then_some(name)
}

/// Creates a user; `None`: the name is taken.
///
/// # Errors
/// The database failed.
pub async fn create(
    transaction: &mut PgConnection,
    name: &str,
    role: Role,
    password_hash: &str,
) -> Result<Option<User>, sqlx::Error> {
    let sql = format!(
        "INSERT INTO users (id, name, role, password_hash) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING \
         RETURNING {COLUMNS}"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(Uuid::now_v7())
        .bind(name)
        .bind(role.word())
        .bind(password_hash)
        .fetch_optional(transaction)
        .await?;
    row.as_ref().map(User::read).transpose()
}

/// The user of this name (lower case) with its password's hash.
///
/// # Errors
/// The database failed.
pub async fn for_sign_in(pool: &PgPool, name: &str) -> Result<Option<(User, String)>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS}, password_hash FROM users WHERE name = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(name).fetch_optional(pool).await?;
    row.as_ref().map(|row| Ok((User::read(row)?, row.try_get("password_hash")?))).transpose()
}

/// Users in order of name after `after`, at most `limit`.
///
/// # Errors
/// The database failed.
pub async fn list(pool: &PgPool, after: &str, limit: i64) -> Result<Vec<User>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE name > $1 ORDER BY name LIMIT $2");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(after).bind(limit).fetch_all(pool).await?;
    rows.iter().map(User::read).collect()
}

/// The user of this id, which nobody else can change until the transaction ends.
///
/// # Errors
/// The database failed.
pub async fn hold(transaction: &mut PgConnection, id: Uuid) -> Result<Option<User>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE id = $1 FOR UPDATE");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(transaction).await?;
    row.as_ref().map(User::read).transpose()
}

/// Changes a user that the caller holds, and ends its sessions. Answers it and the sessions that ended.
///
/// # Errors
/// The database failed.
pub async fn change(
    transaction: &mut PgConnection,
    id: Uuid,
    change: &Change,
) -> Result<(User, Vec<sessions::Ended>), sqlx::Error> {
    let sql = format!(
        "UPDATE users SET version = version + 1, role = coalesce($2, role), \
           password_hash = coalesce($3, password_hash), \
           disabled_at = CASE WHEN $4 IS NULL THEN disabled_at WHEN $4 THEN coalesce(disabled_at, now()) END \
         WHERE id = $1 RETURNING {COLUMNS}"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .bind(change.role.map(Role::word))
        .bind(&change.password_hash)
        .bind(change.disabled)
        .fetch_one(&mut *transaction)
        .await?;
    Ok((User::read(&row)?, sessions::end_all_of(transaction, id).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_roles() {
        assert_eq!(plain_name(" Harbour.Master@example.com ").as_deref(), Some("harbour.master@example.com"));
        for wrong in ["", "ab", "two words", "naïve", &"x".repeat(65)] {
            assert_eq!(plain_name(wrong), None, "{wrong}");
        }
        assert!(Role::Viewer < Role::Editor && Role::Editor < Role::Admin);
        assert_eq!(Role::parse("admin"), Some(Role::Admin));
        assert_eq!(Role::parse("root"), None);
    }
}
