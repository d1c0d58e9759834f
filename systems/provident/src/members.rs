//! Members in PostgreSQL, in the shard of their organization.

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// So many can be added at once.
pub const ADDED_MAX: usize = 20_000;

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Never reused.
    pub id: Uuid,
    /// Whose.
    pub organization: Uuid,
    /// What filings call them.
    pub number: String,
    /// 1 to 100 characters.
    pub name: String,
}

/// Somebody to be a member.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Joining {
    /// 1 to 20 capital letters, digits and hyphens; theirs alone in the organization.
    pub number: String,
    /// 1 to 100 characters.
    pub name: String,
}

/// May that be a member's number?
pub fn is_number(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=20).contains(&text.len()) && text.bytes().all(fits)
}

fn read(row: &PgRow) -> Result<Member, sqlx::Error> {
    Ok(Member {
        id: row.try_get("id")?,
        organization: row.try_get("organization_id")?,
        number: row.try_get("number")?,
        name: row.try_get("name")?,
    })
}

/// Adds those whose numbers are not there yet, in one statement; answers how many.
///
/// # Errors
/// The database failed, also because there is no such organization.
pub async fn add(connection: &mut PgConnection, organization: Uuid, joining: &[Joining]) -> Result<u64, sqlx::Error> {
    let ids: Vec<Uuid> = joining.iter().map(|_| Uuid::now_v7()).collect();
    let (numbers, names): (Vec<&str>, Vec<&str>) =
        joining.iter().map(|one| (one.number.as_str(), one.name.as_str())).unzip();
    let sql = "INSERT INTO members (organization_id, id, number, name) \
               SELECT $1, id, number, name FROM unnest($2::uuid[], $3::text[], $4::text[]) AS m (id, number, name) \
               ON CONFLICT (organization_id, number) DO NOTHING";
    let added = sqlx::query(sql).bind(organization).bind(ids).bind(numbers).bind(names).execute(connection).await?;
    Ok(added.rows_affected())
}

/// The members of an organization by number.
///
/// # Errors
/// The database failed.
pub async fn by_number(
    connection: &mut PgConnection,
    organization: Uuid,
) -> Result<BTreeMap<String, Uuid>, sqlx::Error> {
    let sql = "SELECT number, id FROM members WHERE organization_id = $1";
    let rows: Vec<(String, Uuid)> = sqlx::query_as(sql).bind(organization).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}

/// The member of this id.
///
/// # Errors
/// The database failed.
pub async fn by_id(pool: &PgPool, organization: Uuid, id: Uuid) -> Result<Option<Member>, sqlx::Error> {
    let sql = "SELECT organization_id, id, number, name FROM members WHERE organization_id = $1 AND id = $2";
    sqlx::query(sql).bind(organization).bind(id).fetch_optional(pool).await?.as_ref().map(read).transpose()
}

/// Members of an organization in order of number, from after `after` on; at most `limit`.
///
/// # Errors
/// The database failed.
pub async fn list(pool: &PgPool, organization: Uuid, after: &str, limit: i64) -> Result<Vec<Member>, sqlx::Error> {
    let sql = "SELECT organization_id, id, number, name FROM members \
               WHERE organization_id = $1 AND number > $2 ORDER BY number LIMIT $3";
    sqlx::query(sql).bind(organization).bind(after).bind(limit).fetch_all(pool).await?.iter().map(read).collect()
}

/// Members of all shards whose name begins with `text`, whatever its case, or whose number it is; at most `limit`, in order
/// of name.
///
/// # Errors
/// The database failed.
pub async fn find(pool: &PgPool, text: &str, limit: i64) -> Result<Vec<Member>, sqlx::Error> {
    let sql = "SELECT organization_id, id, number, name FROM members \
               WHERE starts_with(lower(name), lower($1)) OR number = $1 ORDER BY name, id LIMIT $2";
    sqlx::query(sql).bind(text).bind(limit).fetch_all(pool).await?.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_in_a_line_of_a_filing() {
        for (text, want) in [("MH-0001", true), ("1", true), ("", false), ("a", false), ("A,B", false), ("A\n", false)]
        {
            assert_eq!(is_number(text), want, "{text:?}");
        }
    }
}
