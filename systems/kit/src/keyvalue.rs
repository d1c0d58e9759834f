//! Redis, single or cluster, behind one type whose every answer has a time limit.
//!
//! Addresses: `redis://:password@host:port/0`, or for a cluster
//! `redis+cluster://:password@host:port,host:port,host:port` (ours: any reachable node will do, the rest is found).
//!
//! Invariant: no call lasts longer than `answer_max`, whatever the network does. A connection that failed three times
//! in a row is thrown away and made anew.

mod home;

pub use home::Home;

use crate::settings::{Environment, url_variable};
use arc_swap::ArcSwapOption;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::SingleNodeRoutingInfo;
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, Value, aio::MultiplexedConnection,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// Failures in a row after which a connection is not trusted any more.
const FAILURES_MAX: u32 = 3;
/// Longest that connecting may take; those who wait for it have limits of their own.
const OPEN_MAX: Duration = Duration::from_secs(5);

/// Where Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// One server, as `redis://…`.
    Single(String),
    /// Some nodes of a cluster, each as `redis://…`.
    Cluster(Vec<String>),
}

impl Address {
    /// Reads either form of address.
    ///
    /// # Errors
    /// A sentence saying what is wrong.
    pub fn parse(url: &str) -> Result<Self, String> {
        if url.starts_with("redis://") {
            Client::open(url).map_err(|why| format!("is not a Redis address: {why}"))?;
            return Ok(Self::Single(url.to_owned()));
        }
        let rest = url
            .strip_prefix("redis+cluster://")
            .ok_or("must start with redis:// or redis+cluster://")?
            .trim_end_matches('/');
        let (user_info, hosts) = rest.rsplit_once('@').map_or(("", rest), |(user, hosts)| (user, hosts));
        let at = if user_info.is_empty() { "" } else { "@" };
        let nodes: Vec<_> =
            hosts.split(',').filter(|h| !h.is_empty()).map(|h| format!("redis://{user_info}{at}{h}")).collect();
        if nodes.is_empty() {
            return Err("names no node".into());
        }
        for node in &nodes {
            Client::open(node.as_str()).map_err(|why| format!("has a node that is not an address: {why}"))?;
        }
        Ok(Self::Cluster(nodes))
    }
}

/// The store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum KeyValueError {
    /// Nobody answered in time; retry later.
    #[error("Redis did not answer in time")]
    TooSlow,
    /// Redis or the way to it failed; retry later.
    #[error("Redis failed")]
    Failed(#[source] RedisError),
}

/// How to reach a Redis, and how long to wait for an answer.
#[derive(Debug, Clone)]
pub struct KeyValueSettings {
    address: Address,
    answer_max: Duration,
}

impl KeyValueSettings {
    /// Reads `<NAME>_URL` and `<NAME>_ANSWER_MS` (default 250 ms).
    pub fn read(name: &str, environment: &mut Environment<'_>) -> Self {
        let variable = url_variable(name);
        let url = environment.text(&variable);
        let address = if url.is_empty() { Ok(Address::Cluster(Vec::new())) } else { Address::parse(&url) };
        let address = address.unwrap_or_else(|why| {
            environment.mistake(&variable, &why);
            Address::Cluster(Vec::new())
        });
        let answer_variable = format!("{}_ANSWER_MS", variable.trim_end_matches("_URL"));
        Self { address, answer_max: environment.millis(&answer_variable, Duration::from_millis(250)) }
    }

    /// A handle that connects when first used.
    pub fn open(&self) -> KeyValue {
        KeyValue {
            inner: Arc::new(Inner {
                address: self.address.clone(),
                answer_max: self.answer_max,
                connection: ArcSwapOption::empty(),
                opening: Mutex::new(()),
                failures: AtomicU32::new(0),
            }),
        }
    }
}

#[derive(Clone)]
enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

struct Inner {
    address: Address,
    answer_max: Duration,
    connection: ArcSwapOption<Connection>,
    opening: Mutex<()>,
    failures: AtomicU32,
}

/// A Redis; cheap to clone, shared by all tasks (commands are multiplexed).
#[derive(Clone)]
pub struct KeyValue {
    inner: Arc<Inner>,
}

impl KeyValue {
    /// Sends one command.
    ///
    /// # Errors
    /// No answer in time, or Redis refused.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, KeyValueError> {
        self.bounded(self.inner.answer_max, async {
            match self.connection().await? {
                Connection::Single(mut connection) => command.query_async(&mut connection).await,
                Connection::Cluster(mut connection) => command.query_async(&mut connection).await,
            }
        })
        .await
    }

    /// Sends commands in one go; in a cluster all keys must share a hash tag.
    ///
    /// # Errors
    /// As [`KeyValue::query`].
    pub async fn pipeline<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, KeyValueError> {
        self.pipeline_within(commands, self.inner.answer_max).await
    }

    /// As [`KeyValue::pipeline`], with a time limit of its own; for bulk work.
    ///
    /// # Errors
    /// As [`KeyValue::query`].
    pub async fn pipeline_within<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
        answer_max: Duration,
    ) -> Result<T, KeyValueError> {
        self.bounded(answer_max, async {
            match self.connection().await? {
                Connection::Single(mut connection) => commands.query_async(&mut connection).await,
                Connection::Cluster(mut connection) => commands.query_async(&mut connection).await,
            }
        })
        .await
    }

    /// Where each of `keys` is served now; `None` if the cluster does not say.
    ///
    /// # Errors
    /// As [`KeyValue::query`].
    pub async fn homes(&self, keys: &[String]) -> Result<Option<Vec<Home>>, KeyValueError> {
        if matches!(self.inner.address, Address::Single(_)) {
            return Ok(Some(vec![Home(None); keys.len()]));
        }
        let slots = self.query::<Value>(redis::cmd("CLUSTER").arg("SLOTS")).await?;
        Ok(home::homes(&slots, keys))
    }

    /// Sends commands whose keys have this home in one go, whatever their hash tags; an answer for each.
    ///
    /// # Errors
    /// As [`KeyValue::query`]; also if a key is not served there any more. Then send them key by key.
    pub async fn pipeline_at<T: FromRedisValue>(
        &self,
        home: &Home,
        commands: Pipeline,
    ) -> Result<Vec<T>, KeyValueError> {
        let count = commands.len();
        self.bounded(self.inner.answer_max, async {
            match (self.connection().await?, &home.0) {
                (Connection::Single(mut connection), _) => commands.query_async(&mut connection).await,
                (Connection::Cluster(mut connection), None) => commands.query_async(&mut connection).await,
                (Connection::Cluster(mut connection), Some(node)) => {
                    let route = SingleNodeRoutingInfo::ByAddress { host: node.host.clone(), port: node.port };
                    let answers = connection.route_pipeline(commands, 0, count, route).await?;
                    answers.into_iter().map(|answer| Ok(T::from_redis_value(answer.extract_error()?)?)).collect()
                }
            }
        })
        .await
    }

    /// Asks for an answer; for `/ready`.
    ///
    /// # Errors
    /// A sentence saying why there was none.
    pub async fn answers(self) -> Result<(), String> {
        self.query::<i64>(redis::cmd("EXISTS").arg("kit:ready")).await.map(drop).map_err(|error| match error {
            KeyValueError::TooSlow => error.to_string(),
            KeyValueError::Failed(why) => why.to_string(),
        })
    }

    async fn bounded<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, KeyValueError> {
        match tokio::time::timeout(limit, work).await {
            Ok(Ok(value)) => {
                self.inner.failures.store(0, Ordering::Relaxed);
                Ok(value)
            }
            Ok(Err(why)) => {
                self.count_failure();
                Err(KeyValueError::Failed(why))
            }
            Err(_) => {
                self.count_failure();
                Err(KeyValueError::TooSlow)
            }
        }
    }

    fn count_failure(&self) {
        if self.inner.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_MAX {
            self.inner.failures.store(0, Ordering::Relaxed);
            self.inner.connection.store(None);
        }
    }

    async fn connection(&self) -> Result<Connection, RedisError> {
        if let Some(connection) = &*self.inner.connection.load() {
            return Ok(Connection::clone(connection));
        }
        // A task of its own: a caller that gives up must not undo what the next one needs.
        let inner = Arc::clone(&self.inner);
        let opened = tokio::spawn(async move { inner.open_once().await }).await;
        opened.unwrap_or_else(|why| Err(std::io::Error::other(why).into()))
    }
}

impl Inner {
    async fn open_once(&self) -> Result<Connection, RedisError> {
        let _one_at_a_time = self.opening.lock().await;
        if let Some(connection) = &*self.connection.load() {
            return Ok(Connection::clone(connection));
        }
        let connection = tokio::time::timeout(OPEN_MAX, self.connect()).await;
        let connection = connection.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        self.connection.store(Some(Arc::new(connection.clone())));
        Ok(connection)
    }

    async fn connect(&self) -> Result<Connection, RedisError> {
        let answer_max = self.answer_max.max(Duration::from_secs(1));
        match &self.address {
            Address::Single(url) => {
                let config =
                    AsyncConnectionConfig::new().set_connection_timeout(Some(answer_max)).set_response_timeout(None);
                let client = Client::open(url.as_str())?;
                client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Single)
            }
            Address::Cluster(nodes) => {
                let client = ClusterClientBuilder::new(nodes.iter().map(String::as_str))
                    .retries(2)
                    .min_retry_wait(5)
                    .max_retry_wait(50)
                    .connection_timeout(answer_max)
                    .response_timeout(Duration::from_secs(30))
                    .overall_response_timeout(None)
                    .build()?;
                client.get_async_connection().await.map(Connection::Cluster)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms() {
        assert!(matches!(Address::parse("redis://:p@127.0.0.1:6379/0"), Ok(Address::Single(_))));
        let nodes = ["redis://:p@127.0.0.1:7001".to_owned(), "redis://:p@127.0.0.1:7002".to_owned()].to_vec();
        assert_eq!(Address::parse("redis+cluster://:p@127.0.0.1:7001,127.0.0.1:7002"), Ok(Address::Cluster(nodes)));
    }

    #[test]
    fn refuses_other_schemes_and_empty_lists() {
        assert!(Address::parse("http://x").is_err());
        assert!(Address::parse("redis+cluster://:p@").is_err());
    }
}
