//! Writes to Redis: fields of a hash of our own, which lies where the server is that will be hurt.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue};

/// How long a connection or a write may take: one that hangs must not hide when another server takes over.
const ANSWER: Duration = Duration::from_millis(250);
/// What was left behind goes by itself after that many seconds.
const EXPIRES_S: u32 = 3_600;
/// Each so many writes that time begins anew.
const RENEW_EACH: i64 = 500;
/// So many keys are tried to find one that a given server keeps: of a thousand servers, one in a thousand.
const KEYS_MAX: u32 = 20_000;

/// A key of ours.
pub(super) struct Place {
    /// `host:port` of each server.
    servers: Vec<String>,
    login: String,
    key: String,
    /// Which server keeps the key: where it was written to last, or where one was sent to.
    keeper: Mutex<String>,
}

/// A connection.
pub(super) struct Session {
    connection: MultiplexedConnection,
    place: Arc<Place>,
    /// `host:port` of the server.
    at: String,
    /// The server's own name for this run of it.
    server: Arc<str>,
}

impl Place {
    pub(super) async fn make(url: &str, port: u16) -> Result<Self, String> {
        let unknown = || "its address is not one of Redis'".to_owned();
        let (_, rest) = url.split_once("://").ok_or_else(unknown)?;
        let (login, hosts) = rest.rsplit_once('@').ok_or_else(unknown)?;
        let servers: Vec<String> = hosts.split('/').next().unwrap_or("").split(',').map(str::to_owned).collect();
        let end = format!(":{port}");
        let keeper = servers.iter().find(|server| server.ends_with(&end)).ok_or_else(unknown)?.clone();
        let login = login.to_owned();
        let mut place = Self { servers, login, key: String::new(), keeper: Mutex::new(keeper.clone()) };
        let mut connection = place.connect(&keeper).await?;
        for number in 0..KEYS_MAX {
            let key = format!("plimsoll-prove:{{{number}}}");
            match ask::<()>(redis::cmd("DEL").arg(&key), &mut connection).await {
                Ok(()) => {
                    place.key = key;
                    return Ok(place);
                }
                // Another one of the cluster keeps it.
                Err(error) if error.redirect_node().is_some() => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(format!("{keeper} keeps no part of the data"))
    }

    /// The port of the server that keeps the key.
    pub(super) fn port(&self) -> Option<u16> {
        self.keeper().rsplit_once(':')?.1.parse().ok()
    }

    fn keeper(&self) -> MutexGuard<'_, String> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key is there.
    fn is_at(&self, server: &str) {
        let mut keeper = self.keeper();
        if *keeper != server {
            server.clone_into(&mut keeper);
        }
    }

    async fn connect(&self, server: &str) -> Result<MultiplexedConnection, String> {
        let client = Client::open(format!("redis://{}@{server}", self.login)).map_err(|error| error.to_string())?;
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER)).set_response_timeout(Some(ANSWER));
        // The library's own time-out may not fire while it connects.
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        match tokio::time::timeout(ANSWER, connecting).await {
            Ok(connected) => connected.map_err(|error| error.to_string()),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    /// First whom the key is said to be at, then everybody in turn.
    pub(super) async fn open(self: &Arc<Self>, attempt: usize) -> Result<Session, String> {
        let keeper = self.keeper().clone();
        let others = self.servers.len().max(1);
        let server = if attempt.is_multiple_of(2) { &keeper } else { &self.servers[(attempt / 2) % others] };
        let mut connection = self.connect(server).await?;
        let said: String =
            ask(redis::cmd("INFO").arg("server"), &mut connection).await.map_err(|error| error.to_string())?;
        let run = said.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
        Ok(Session { connection, place: self.clone(), at: server.clone(), server: Arc::from(run.trim_end()) })
    }

    /// Does it where the key is.
    async fn at_keeper<T: FromRedisValue>(self: &Arc<Self>, command: &redis::Cmd) -> Result<T, String> {
        let mut why = "nobody keeps it".to_owned();
        for attempt in 0..self.servers.len() * 2 {
            let Ok(session) = self.open(attempt).await else { continue };
            match session.ask(command).await {
                Ok(done) => return Ok(done),
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }

    /// All numbers that are there.
    pub(super) async fn numbers(self: &Arc<Self>) -> Result<BTreeSet<i64>, String> {
        let numbers: Vec<i64> = self.at_keeper(redis::cmd("HKEYS").arg(&self.key)).await?;
        Ok(numbers.into_iter().collect())
    }

    pub(super) async fn remove(self: &Arc<Self>) -> Result<(), String> {
        self.at_keeper(redis::cmd("DEL").arg(&self.key)).await
    }
}

impl Session {
    async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, String> {
        let mut connection = self.connection.clone();
        ask(command, &mut connection).await.map_err(|error| {
            if let Some((server, _)) = error.redirect_node() {
                self.place.is_at(server);
            }
            error.to_string()
        })
    }

    /// Writes a number. Which run of which server has taken it.
    pub(super) async fn write(&self, number: i64) -> Result<Arc<str>, String> {
        let key = &self.place.key;
        self.ask::<()>(redis::cmd("HSET").arg(key).arg(number).arg(1)).await?;
        self.place.is_at(&self.at);
        if number % RENEW_EACH == 1 {
            // The write itself was acknowledged; the next renewal makes good for one that fails.
            self.ask::<()>(redis::cmd("EXPIRE").arg(key).arg(EXPIRES_S)).await.ok();
        }
        Ok(self.server.clone())
    }
}

async fn ask<T: FromRedisValue>(
    command: &redis::Cmd,
    connection: &mut MultiplexedConnection,
) -> Result<T, redis::RedisError> {
    match tokio::time::timeout(ANSWER, command.query_async(connection)).await {
        Ok(done) => done,
        Err(_) => Err(redis::RedisError::from((redis::ErrorKind::Io, "no answer"))),
    }
}
