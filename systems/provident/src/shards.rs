//! The shards: 16 of them, by organization.
//!
//! All that belongs to an organization lies in one, and whoever asks about an organization names it, so that one shard
//! answers. A query that names none is asked of all of them. On one machine they are hash partitions of PostgreSQL, which
//! does both; nothing outside this file knows how many there are.

use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

/// How many there are.
pub const SHARDS: i32 = 16;

/// What is in a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Shard {
    /// From 0.
    pub shard: i32,
    /// Organizations in it.
    pub organizations: i64,
    /// Members of those.
    pub members: i64,
    /// Entries of the ledger.
    pub entries: i64,
    /// What members have there, in paise.
    pub held_paise: i64,
}

/// The shard of an organization, whether or not there is such a one.
///
/// # Errors
/// The database failed.
pub async fn of(pool: &PgPool, organization: Uuid) -> Result<i32, sqlx::Error> {
    let sql = "SELECT shard FROM generate_series(0, $2 - 1) AS shard \
               WHERE satisfies_hash_partition('organizations'::regclass, $2, shard, $1)";
    sqlx::query_scalar(sql).bind(organization).bind(SHARDS).fetch_one(pool).await
}

/// What is in each: a query across all of them.
///
/// # Errors
/// The database failed.
pub async fn all(pool: &PgPool) -> Result<Vec<Shard>, sqlx::Error> {
    // A partition's name ends in the number of its shard.
    let sql = "WITH o AS (SELECT right(tableoid::regclass::text, 2) AS s, count(*) AS n FROM organizations GROUP BY 1), \
                 m AS (SELECT right(tableoid::regclass::text, 2) AS s, count(*) AS n FROM members GROUP BY 1), \
                 e AS (SELECT right(tableoid::regclass::text, 2) AS s, count(*) AS n, \
                         coalesce(sum(paise) FILTER (WHERE member_id IS NOT NULL), 0)::bigint AS held \
                       FROM entries GROUP BY 1) \
               SELECT shard, coalesce(o.n, 0) AS organizations, coalesce(m.n, 0) AS members, coalesce(e.n, 0) AS entries, \
                 coalesce(e.held, 0) AS held FROM generate_series(0, $1 - 1) AS shard \
               LEFT JOIN o ON o.s::integer = shard LEFT JOIN m ON m.s::integer = shard LEFT JOIN e ON e.s::integer = shard \
               ORDER BY shard";
    let rows = sqlx::query(sql).bind(SHARDS).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            Ok(Shard {
                shard: row.try_get("shard")?,
                organizations: row.try_get("organizations")?,
                members: row.try_get("members")?,
                entries: row.try_get("entries")?,
                held_paise: row.try_get("held")?,
            })
        })
        .collect()
}
