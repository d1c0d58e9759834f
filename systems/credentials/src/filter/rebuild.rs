//! Builds the filter anew from PostgreSQL, beside the one in use, and then puts it in its place.
//!
//! Names registered meanwhile: replicas keep adding to the old generation until they have read the new parameters
//! (one second). So after the switch we wait longer than that and add every name registered since shortly before the
//! scan began. Until then such a name may seem free to validation; registration asks PostgreSQL and is never wrong.

use super::layout::{BLOCK_BYTES, Layout};
use super::store::{Filter, Generation, bitmap_key};
use crate::names::fold;
use futures_util::TryStreamExt;
use plimsoll_kit::keyvalue::KeyValueError;
use sqlx::{PgPool, Row};
use std::time::Duration;

/// Longer than replicas take to notice new parameters, and shorter than anyone's patience.
const SETTLE: Duration = Duration::from_secs(3);
/// Bytes sent in one command.
const CHUNK_BYTES: usize = 1 << 20;
/// For one such command; a busy machine takes its time.
const CHUNK_MAX: Duration = Duration::from_secs(10);
/// One rebuild at a time; ends by itself if its owner dies.
const LOCK: &str = "{names}:rebuilding";
const LOCK_S: u64 = 600;

/// The filter was not rebuilt; the one in use, if any, stays.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// PostgreSQL failed; retry.
    #[error("cannot read the names")]
    Database(#[from] sqlx::Error),
    /// Redis failed; retry.
    #[error("cannot write the filter")]
    Store(#[from] KeyValueError),
    /// Somebody else is at it; wait.
    #[error("another rebuild is under way")]
    UnderWay,
}

/// What was done.
#[derive(Debug, Clone, Copy)]
pub struct Rebuilt {
    /// The generation now in use.
    pub generation: Generation,
    /// Names registered meanwhile and added afterwards.
    pub added_after: u64,
}

/// Rebuilds the filter from `pool`, which should have no statement time-out.
///
/// # Errors
/// Either store failed, or another rebuild is under way.
pub async fn rebuild(filter: &Filter, pool: &PgPool) -> Result<Rebuilt, RebuildError> {
    let mut lock = redis::cmd("SET");
    lock.arg(LOCK).arg(std::process::id()).arg("NX").arg("EX").arg(LOCK_S);
    if filter.store().query::<Option<String>>(&lock).await?.is_none() {
        return Err(RebuildError::UnderWay);
    }
    let outcome = rebuild_alone(filter, pool).await;
    if let Err(why) = filter.store().query::<i64>(redis::cmd("DEL").arg(LOCK)).await {
        tracing::warn!(error = %why, "the rebuild lock stays until it expires");
    }
    outcome
}

async fn rebuild_alone(filter: &Filter, pool: &PgPool) -> Result<Rebuilt, RebuildError> {
    let before = filter.refresh().await?;
    let row = sqlx::query(
        "SELECT count(*) AS names, extract(epoch FROM now() - interval '1 minute')::float8 AS since FROM accounts",
    )
    .fetch_one(pool)
    .await?;
    let names = u64::try_from(row.try_get::<i64, _>("names")?).unwrap_or(0);
    let since: f64 = row.try_get("since")?;
    let layout = Layout::for_entries(names);
    let (bitmaps, entries) = scan(layout, pool).await?;
    let number = before.map_or(1, |generation| generation.number + 1);
    let generation = Generation { number, layout, entries };
    for (shard, bitmap) in (0..).zip(&bitmaps) {
        write(filter, &bitmap_key(number, shard), bitmap).await?;
    }
    filter.publish(&generation).await?;
    tokio::time::sleep(SETTLE).await;
    let added_after = add_since(filter, &generation, pool, (since, &bitmaps)).await?;
    if let Some(before) = before {
        drop_old(filter, &before).await;
    }
    Ok(Rebuilt { generation, added_after })
}

async fn scan(layout: Layout, pool: &PgPool) -> Result<(Vec<Vec<u8>>, u64), sqlx::Error> {
    let bytes = usize::try_from(layout.blocks).unwrap_or(usize::MAX) * BLOCK_BYTES;
    let mut bitmaps: Vec<Vec<u8>> = (0..layout.shards).map(|_| vec![0; bytes]).collect();
    let mut entries = 0;
    let mut rows = sqlx::query("SELECT folded FROM accounts").fetch(pool);
    while let Some(row) = rows.try_next().await? {
        let place = layout.place(&fold(row.try_get("folded")?));
        if let Some(bitmap) = bitmaps.get_mut(usize::try_from(place.shard).unwrap_or(usize::MAX)) {
            place.set_in(bitmap);
        }
        entries += 1;
    }
    Ok((bitmaps, entries))
}

async fn write(filter: &Filter, key: &str, bitmap: &[u8]) -> Result<(), KeyValueError> {
    let mut offset = 0;
    for chunk in bitmap.chunks(CHUNK_BYTES) {
        let mut commands = redis::pipe();
        if offset == 0 {
            commands.cmd("DEL").arg(key).ignore();
        }
        commands.cmd("SETRANGE").arg(key).arg(offset).arg(chunk).ignore();
        filter.store().pipeline_within::<()>(&commands, CHUNK_MAX).await?;
        offset += chunk.len();
    }
    Ok(())
}

/// Adds the names registered since shortly before the scan that the scan did not see.
async fn add_since(
    filter: &Filter,
    generation: &Generation,
    pool: &PgPool,
    scanned: (f64, &[Vec<u8>]),
) -> Result<u64, RebuildError> {
    let (since, bitmaps) = scanned;
    let mut added = 0;
    let mut rows =
        sqlx::query("SELECT folded FROM accounts WHERE created_at >= to_timestamp($1)").bind(since).fetch(pool);
    while let Some(row) = rows.try_next().await? {
        let name = fold(row.try_get("folded")?);
        if !generation.layout.place(&name).is_in_any(bitmaps) {
            filter.add_to(generation, &name).await?;
            added += 1;
        }
    }
    Ok(added)
}

/// Frees the memory of the generation that nobody reads any more; leaving it behind is no fault, only waste.
async fn drop_old(filter: &Filter, before: &Generation) {
    for shard in 0..before.layout.shards {
        let key = bitmap_key(before.number, shard);
        if let Err(why) = filter.store().query::<i64>(redis::cmd("UNLINK").arg(key)).await {
            tracing::warn!(error = %why, "an old bitmap stays");
        }
    }
}
