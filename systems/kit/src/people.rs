//! People in PostgreSQL.
//!
//! Invariant: an address belongs to one person, whatever its case.
//!
//! The table `users` is made by a service's own first migration.

use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

const COLUMNS: &str = "id, version, email, name, \
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS created_at";
/// NIST SP 800-63B: at least 8; an upper bound so that nobody sends a novel to be hashed.
const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=128;

/// Somebody, as only they themselves see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Person {
    /// Never reused.
    pub id: Uuid,
    /// Grows by one with every change; the number in its entity tag.
    pub version: i64,
    /// Where mail goes; as it was written.
    pub email: String,
    /// What others see.
    pub name: String,
    /// UTC, RFC 3339.
    pub created_at: String,
}

/// Somebody, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Face {
    /// Never reused.
    pub id: Uuid,
    /// A name.
    pub name: String,
}

impl Person {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            email: row.try_get("email")?,
            name: row.try_get("name")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

/// An address without the space around it, if it looks like one: one `@`, something before it, a dot after it, no control
/// characters or spaces, so that it can stand in a mail's head.
pub fn plain_email(text: &str) -> Option<String> {
    let text = text.trim();
    let (local, domain) = text.split_once('@')?;
    let fits = |c: char| c.is_ascii_graphic() && !"<>()[],;:\\\"@".contains(c);
    let right = !local.is_empty() && domain.contains('.') && !domain.starts_with('.') && !domain.ends_with('.');
    (right && text.len() <= 254 && local.chars().chain(domain.chars()).all(fits)).then(|| text.to_owned())
}

/// A name without the space around it: 1 to 100 characters, none of them control characters.
pub fn plain_name(text: &str) -> Option<String> {
    let text = text.trim();
    ((1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// May that be a password?
pub fn is_password(text: &str) -> bool {
    PASSWORD_CHARS.contains(&text.chars().count())
}

/// Creates a person; `None`: the address is taken.
///
/// # Errors
/// The database failed.
pub async fn create(
    transaction: &mut PgConnection,
    (email, name): (&str, &str),
    password_hash: &str,
) -> Result<Option<Person>, sqlx::Error> {
    let sql = format!(
        "INSERT INTO users (id, email, name, password_hash) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (lower(email)) DO NOTHING RETURNING {COLUMNS}"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(Uuid::now_v7())
        .bind(email)
        .bind(name)
        .bind(password_hash)
        .fetch_optional(transaction)
        .await?;
    row.as_ref().map(Person::read).transpose()
}

/// The person of this address with the password's hash.
///
/// # Errors
/// The database failed.
pub async fn for_sign_in(pool: &PgPool, email: &str) -> Result<Option<(Person, String)>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS}, password_hash FROM users WHERE lower(email) = lower($1)");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(email).fetch_optional(pool).await?;
    row.as_ref().map(|row| Ok((Person::read(row)?, row.try_get("password_hash")?))).transpose()
}

/// The person of this id.
///
/// # Errors
/// The database failed.
pub async fn by_id(pool: &PgPool, id: Uuid) -> Result<Option<Person>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await?;
    row.as_ref().map(Person::read).transpose()
}

/// The person of this id, whom nobody else can change until the transaction ends.
///
/// # Errors
/// The database failed.
pub async fn hold(transaction: &mut PgConnection, id: Uuid) -> Result<Option<Person>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE id = $1 FOR NO KEY UPDATE");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(transaction).await?;
    row.as_ref().map(Person::read).transpose()
}

/// Gives a person that the caller holds another name.
///
/// # Errors
/// The database failed.
pub async fn rename(transaction: &mut PgConnection, id: Uuid, name: &str) -> Result<Person, sqlx::Error> {
    let sql = format!("UPDATE users SET name = $2, version = version + 1 WHERE id = $1 RETURNING {COLUMNS}");
    Person::read(&sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).bind(name).fetch_one(transaction).await?)
}

/// Replaces a password's hash by another, if it is still the one that was seen.
///
/// # Errors
/// The database failed.
pub async fn change_password(
    transaction: &mut PgConnection,
    id: Uuid,
    (seen, new): (&str, &str),
) -> Result<bool, sqlx::Error> {
    let sql = "UPDATE users SET password_hash = $3, version = version + 1 WHERE id = $1 AND password_hash = $2";
    Ok(sqlx::query(sql).bind(id).bind(seen).bind(new).execute(transaction).await?.rows_affected() == 1)
}

/// People whose name begins with `text`, or whose address is `text`; at most `limit`, in order of name.
///
/// # Errors
/// The database failed.
pub async fn find(pool: &PgPool, text: &str, limit: i64) -> Result<Vec<Face>, sqlx::Error> {
    let sql = "SELECT id, name FROM users WHERE starts_with(lower(name), lower($1)) OR lower(email) = lower($1) \
               ORDER BY name, id LIMIT $2";
    let rows = sqlx::query(sql).bind(text).bind(limit).fetch_all(pool).await?;
    rows.iter().map(|row| Ok(Face { id: row.try_get("id")?, name: row.try_get("name")? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_could_do_harm_in_a_mail_are_none() {
        assert_eq!(plain_email(" Anna@Example.com ").as_deref(), Some("Anna@Example.com"));
        for wrong in ["", "anna", "@x.y", "a@b", "a@.b", "a@b.", "a b@x.y", "a@x.y\r\nBcc: b@x.y", "a@b@x.y", "<a@x.y>"]
        {
            assert_eq!(plain_email(wrong), None, "{wrong:?}");
        }
        assert_eq!(plain_name(" Anna Ø "), Some("Anna Ø".into()));
        assert_eq!(plain_name("Anna\nBcc"), None);
    }
}
