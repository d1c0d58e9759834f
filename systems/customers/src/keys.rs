//! The roles that look after the keys that sign tokens; what they do stands in the audit.

use crate::audit::{self, Event};
use anyhow::Context;
use plimsoll_kit::keys::{self, KeySettings};
use plimsoll_kit::postgres::PostgresSettings;
use plimsoll_kit::settings;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

fn open_store() -> anyhow::Result<(PgPool, KeySettings)> {
    let (database, keys) = settings::read(|env| (PostgresSettings::read("customers", env), KeySettings::read(env)))?;
    Ok((database.bulk_pool("customers-keys"), keys))
}

/// The role `keys list`: logs each key and what it does.
///
/// # Errors
/// Settings or the database.
pub async fn list() -> anyhow::Result<()> {
    let (pool, _) = open_store()?;
    for key in keys::list(&pool).await? {
        tracing::info!(kid = key.kid, does = key.does, signs_from_s = key.signs_from_s, "key");
    }
    Ok(())
}

/// The role `keys rotate`: makes a key that signs soon, or at once.
///
/// # Errors
/// Settings or the database.
pub async fn rotate(at_once: bool) -> anyhow::Result<()> {
    let (pool, settings) = open_store()?;
    let mut transaction = pool.begin().await?;
    let kid = keys::rotate(&mut transaction, &settings, at_once).await?;
    noted(&mut transaction, "rotate-keys", &kid).await?;
    Ok(transaction.commit().await?)
}

/// The role `keys revoke`: the key verifies nothing any more, and another one signs.
///
/// # Errors
/// Settings, the database, or there is no such key.
pub async fn revoke(kid: &str) -> anyhow::Result<()> {
    let (pool, settings) = open_store()?;
    let mut transaction = pool.begin().await?;
    keys::revoke(&mut transaction, kid).await?.then_some(()).with_context(|| format!("no key {kid} counts"))?;
    noted(&mut transaction, "revoke-key", kid).await?;
    transaction.commit().await?;
    // If it was the one that signed, another is made now rather than when a replica looks.
    keys::load(&pool, &settings).await?;
    tracing::info!(kid, "revoked");
    Ok(())
}

async fn noted(transaction: &mut PgConnection, act: &str, kid: &str) -> Result<(), sqlx::Error> {
    let (actor, outcome) = ("operator", "done");
    audit::append(transaction, &Event { actor, act, subject: format!("key {kid}"), outcome, detail: json!({}) }).await
}
