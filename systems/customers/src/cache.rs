//! What was read lately, in Redis: customers and sessions, each with its version.
//!
//! Rules, so that nothing that gets lost does harm:
//! - A value replaces only an older version, so a reader that was slow cannot bring an old value back.
//! - A change leaves a mark of its version, with or without the new value: what is older is not taken any more.
//! - A change also writes its key to `cache_changes` in its own transaction, and [`Cache::sweep`] repeats the mark seconds
//!   later: one that was lost (Redis was away, was emptied, or we died) comes late instead of never.
//! - Every value goes after [`KEPT_FOR`] in any case.
//!
//! Invariant: without Redis every question is answered by PostgreSQL; no error of the cache reaches a caller.

use plimsoll_kit::breaker::Breaker;
use plimsoll_kit::keyvalue::{KeyValue, KeyValueError};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family};
use redis::{Cmd, FromRedisValue};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{PgConnection, PgPool, Row};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long a value or a mark is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(60);
/// How old a change is when its mark is repeated: longer than any reader holds a row before it puts it here.
const REPEATED_AFTER: &str = "2 seconds";
/// Failures in a row after which Redis is left alone, and how long.
const FAILURES_MAX: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// Keeps a value (`v` the version, `b` the JSON; an empty `b` is a mark) unless a newer version, or this one, is there.
const PUT: &str = "
local v = redis.call('HGET', KEYS[1], 'v')
if v then
  v = tonumber(v)
  if v > tonumber(ARGV[1]) then return 0 end
  if v == tonumber(ARGV[1]) and (ARGV[2] == '' or redis.call('HGET', KEYS[1], 'b') ~= '') then return 0 end
end
redis.call('HSET', KEYS[1], 'v', ARGV[1], 'b', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1";

/// What a cached value is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A customer.
    Customer(Uuid),
    /// A session.
    Session(Uuid),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Customer(id) => write!(f, "customer:{id}"),
            Self::Session(id) => write!(f, "session:{id}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    of: &'static str,
    outcome: &'static str,
}

/// The cache; cheap to clone.
#[derive(Clone)]
pub struct Cache {
    store: KeyValue,
    breaker: Arc<Breaker>,
    counted: Family<Labels, Counter>,
}

impl Cache {
    /// A cache in this store.
    pub fn new(store: KeyValue) -> Self {
        Self { store, breaker: Arc::new(Breaker::new(FAILURES_MAX, PAUSE)), counted: Family::default() }
    }

    /// Look-ups by what they were of and how they ended: `hit`, `miss`, `away`.
    pub fn counted(&self) -> Family<impl EncodeLabelSet + Clone + Eq + std::hash::Hash + fmt::Debug + use<>, Counter> {
        self.counted.clone()
    }

    /// The value kept under this key, if there is one.
    pub async fn get<T: DeserializeOwned>(&self, key: Key) -> Option<T> {
        let mut command = redis::cmd("HGET");
        command.arg(key.to_string()).arg("b");
        let found: Option<Option<String>> = self.ask(&command).await;
        let value = found.as_ref().and_then(|text| serde_json::from_str(text.as_deref()?).ok());
        let outcome = match (&found, &value) {
            (None, _) => "away",
            (Some(_), None) => "miss",
            (Some(_), Some(_)) => "hit",
        };
        let of = if matches!(key, Key::Customer(_)) { "customer" } else { "session" };
        self.counted.get_or_create(&Labels { of, outcome }).inc();
        value
    }

    /// Keeps a value of this version, unless a newer one is known.
    pub async fn put(&self, key: Key, version: i64, value: &impl Serialize) {
        if let Ok(text) = serde_json::to_string(value) {
            self.set(&key.to_string(), version, &text).await;
        }
    }

    /// Nothing older than this version is taken from now on.
    pub async fn mark(&self, key: Key, version: i64) {
        self.set(&key.to_string(), version, "").await;
    }

    async fn set(&self, key: &str, version: i64, body: &str) -> bool {
        let mut command = redis::cmd("EVAL");
        command.arg(PUT).arg(1).arg(key).arg(version).arg(body).arg(u64::try_from(KEPT_FOR.as_millis()).unwrap_or(1));
        self.ask::<i64>(&command).await.is_some()
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        if !self.breaker.allows() {
            return None;
        }
        match self.store.query(command).await {
            Ok(answer) => {
                self.breaker.succeeded();
                Some(answer)
            }
            Err(why) => {
                self.breaker.failed();
                let cause = if let KeyValueError::Failed(why) = &why { why.to_string() } else { String::new() };
                tracing::debug!(error = %why, cause, "the cache does not answer");
                None
            }
        }
    }

    /// Repeats the marks of changes that are seconds old, and forgets those changes. Answers how many; stops where Redis
    /// does not answer, and goes on from there the next time.
    ///
    /// # Errors
    /// The database failed.
    pub async fn sweep(&self, pool: &PgPool) -> Result<u64, sqlx::Error> {
        let sql = format!(
            "SELECT key, version FROM cache_changes WHERE changed_at < now() - interval '{REPEATED_AFTER}' \
             ORDER BY changed_at LIMIT 500"
        );
        let waiting = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(pool).await?;
        let (mut keys, mut versions) = (Vec::new(), Vec::new());
        for row in &waiting {
            let (key, version): (String, i64) = (row.try_get("key")?, row.try_get("version")?);
            if !self.set(&key, version, "").await {
                break;
            }
            keys.push(key);
            versions.push(version);
        }
        // One that changed again meanwhile has another version, and stays.
        let sql = "DELETE FROM cache_changes c USING unnest($1::text[], $2::bigint[]) AS done(key, version) \
                   WHERE c.key = done.key AND c.version = done.version";
        Ok(sqlx::query(sql).bind(keys).bind(versions).execute(pool).await?.rows_affected())
    }
}

/// Forgets changes that Redis was never told of and that are so old that it cannot hold anything older than them.
///
/// # Errors
/// The database failed.
pub async fn forget_old(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let sql = "DELETE FROM cache_changes WHERE changed_at < now() - make_interval(secs => $1)";
    Ok(sqlx::query(sql).bind(10.0 * KEPT_FOR.as_secs_f64()).execute(pool).await?.rows_affected())
}

/// Notes within the transaction of a change that what the cache may hold of `key` is older than `version`.
///
/// # Errors
/// The database failed.
pub async fn changed(transaction: &mut PgConnection, key: Key, version: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO cache_changes (key, version) VALUES ($1, $2) ON CONFLICT (key) \
         DO UPDATE SET version = greatest(cache_changes.version, excluded.version), changed_at = now()",
    )
    .bind(key.to_string())
    .bind(version)
    .execute(transaction)
    .await
    .map(drop)
}
