//! A store: a database, cache or broker, run by the engine or used where it already is.

use crate::{Bytes, Millis, service::Resources};
use serde::{Deserialize, Serialize};

/// A store, with every default filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Store {
    /// What it is.
    pub engine: Engine,
    /// The major version asked for (`"15"`); `None` is whatever is found.
    pub version: Option<String>,
    /// Where it already is: a URL, which may be a variable (`$(secret:LEGACY_URL)`). Used and watched, never owned.
    pub external: Option<String>,
    /// Members: one primary and its replicas. Default 1.
    pub instances: u32,
    /// A commit waits for a replica.
    pub synchronous: bool,
    /// It waits for one also when none is there: no write rather than one copy.
    #[serde(default)]
    pub strict: bool,
    /// A Redis Cluster; `None` is a single server (with `instances - 1` replicas).
    pub cluster: Option<Cluster>,
    /// The largest memory of data, for caches.
    pub max_memory: Option<Bytes>,
    /// What a cache drops when it is full: `noeviction` (default), `allkeys-lru` …
    pub eviction: Option<String>,
    /// Whether data is written to disk. Default true.
    pub persistent: bool,
    /// A connection pooler before it.
    pub pooler: Option<Pooler>,
    /// Backups; `None`: none are made.
    pub backup: Option<Backup>,
    /// Requests and limits of each member.
    pub resources: Resources,
    /// Further settings of the server, as in its own configuration file.
    pub settings: std::collections::BTreeMap<String, String>,
}

impl Store {
    /// A commit waits until a standby has it: that was asked for, and there are standbys.
    #[must_use]
    pub fn waits_for_standby(&self) -> bool {
        self.synchronous && self.instances > 1
    }
}

/// The kinds of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// Redis, single or cluster.
    Redis,
    /// NATS with JetStream.
    Nats,
    /// RabbitMQ.
    Rabbitmq,
    /// Memcached.
    Memcached,
    /// Apache Kafka.
    Kafka,
    /// OpenSearch.
    Opensearch,
    /// Elasticsearch.
    Elasticsearch,
    /// A store of objects spoken to as S3.
    S3,
}

/// The shape of a Redis Cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Masters, at least 3; they share the 16,384 slots evenly.
    pub masters: u32,
    /// Replicas of each master.
    pub replicas_per_master: u32,
}

/// A connection pooler (PgBouncer).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pooler {
    /// `transaction`, `session` or `statement`.
    pub pool_mode: String,
    /// Clients at most.
    pub max_connections: u32,
    /// Server connections for each user and database.
    pub default_pool_size: u32,
    /// More of them under pressure.
    pub reserve_pool_size: u32,
}

/// Backups of a store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Backup {
    /// When full backups are made (`02:00`), or how often.
    pub full: Option<Schedule>,
    /// When incremental ones are made, or how often.
    pub incremental: Option<Schedule>,
    /// Log archiving, so that any moment in this window can be restored.
    pub point_in_time: Option<Millis>,
    /// How long daily, weekly and monthly ones are kept.
    pub retain: Vec<(String, Millis)>,
    /// Where to: `file:backups`, `s3://bucket/prefix`.
    pub to: Option<String>,
}

/// When something is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Schedule {
    /// Daily, at that time of day (minutes since midnight).
    At(u32),
    /// Every so often.
    Every(Millis),
}
