//! Organizations in PostgreSQL.

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Organization {
    /// Never reused; it decides about the shard.
    pub id: Uuid,
    /// 1 to 100 characters.
    pub name: String,
}

fn read(row: &PgRow) -> Result<Organization, sqlx::Error> {
    Ok(Organization { id: row.try_get("id")?, name: row.try_get("name")? })
}

/// Creates one; `false`: it is there already.
///
/// # Errors
/// The database failed.
pub async fn create(transaction: &mut PgConnection, organization: &Organization) -> Result<bool, sqlx::Error> {
    let sql = "INSERT INTO organizations (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let created = sqlx::query(sql).bind(organization.id).bind(&organization.name).execute(transaction).await?;
    Ok(created.rows_affected() == 1)
}

/// The organization of this id.
///
/// # Errors
/// The database failed.
pub async fn by_id(pool: &PgPool, id: Uuid) -> Result<Option<Organization>, sqlx::Error> {
    let row = sqlx::query("SELECT id, name FROM organizations WHERE id = $1").bind(id).fetch_optional(pool).await?;
    row.as_ref().map(read).transpose()
}

/// Organizations of all shards in order of id, from after `after` on; at most `limit`.
///
/// # Errors
/// The database failed.
pub async fn list(pool: &PgPool, after: Uuid, limit: i64) -> Result<Vec<Organization>, sqlx::Error> {
    let sql = "SELECT id, name FROM organizations WHERE id > $1 ORDER BY id LIMIT $2";
    sqlx::query(sql).bind(after).bind(limit).fetch_all(pool).await?.iter().map(read).collect()
}
