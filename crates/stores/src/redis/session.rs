//! A connection to a Redis server.

use crate::{secret::Secret, seen::MemberSeen};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, FromRedisValue, IntoConnectionInfo, RedisConnectionInfo,
    aio::MultiplexedConnection,
};
use std::{collections::BTreeMap, future::Future, path::Path, time::Duration};

/// How long a server may take to answer: longer is no answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// An open connection.
pub(crate) struct Session(MultiplexedConnection);

/// Connects. The error is for a person.
pub(crate) async fn open(socket: &Path, password: &Secret) -> Result<Session, String> {
    let info = ConnectionAddr::Unix(socket.to_owned())
        .into_connection_info()
        .map_err(|error| explain(&error))?
        .set_redis_settings(RedisConnectionInfo::default().set_password(password.expose()));
    connect(Client::open(info).map_err(|error| explain(&error))?).await
}

async fn connect(client: Client) -> Result<Session, String> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
    // The library's own time-out has been seen not to fire while it connects.
    within(client.get_multiplexed_async_connection_with_config(&config)).await.map(Session)
}

/// Whether a server, or the first that answers of a `redis+cluster://:pass@host:port,host:port` list, answers to PING.
pub(crate) async fn external(url: &str) -> Result<(), String> {
    let mut why = "its URL is not one of Redis'".to_owned();
    for single in singles(url) {
        let Ok(client) = Client::open(single) else { continue };
        let answer = match connect(client).await {
            Ok(session) => session.ping().await,
            Err(why) => Err(why),
        };
        match answer {
            Ok(()) => return Ok(()),
            Err(reason) => why = reason,
        }
    }
    Err(why)
}

/// The URLs of the single servers of a URL.
fn singles(url: &str) -> Vec<String> {
    let Some(rest) = url.strip_prefix("redis+cluster://") else { return vec![url.to_owned()] };
    let (login, addresses) = rest.rsplit_once('@').map_or(("", rest), |(login, addresses)| (login, addresses));
    let login = if login.is_empty() { String::new() } else { format!("{login}@") };
    let addresses = addresses.split('/').next().unwrap_or_default();
    addresses.split(',').map(|address| format!("redis://{login}{address}")).collect()
}

impl Session {
    /// One command, by its words.
    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Result<T, String> {
        let mut connection = self.0.clone();
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        within(command.query_async(&mut connection)).await
    }

    /// Many commands at once, each answered by a number; their sum.
    pub(crate) async fn sum(&self, commands: &[Vec<String>]) -> Result<u64, String> {
        let mut connection = self.0.clone();
        let mut pipe = redis::Pipeline::with_capacity(commands.len());
        for words in commands {
            let command = pipe.cmd(&words[0]);
            for word in &words[1..] {
                command.arg(word);
            }
        }
        let answers: Vec<u64> = within(pipe.query_async(&mut connection)).await?;
        Ok(answers.iter().sum())
    }

    /// It answers, and has loaded its data.
    pub(crate) async fn ping(&self) -> Result<(), String> {
        let answer: String = self.ask(&["PING"]).await?;
        if answer == "PONG" { Ok(()) } else { Err(format!("it answers {answer:?} to PING")) }
    }

    /// What it says of itself.
    pub(crate) async fn info(&self) -> Result<Info, String> {
        let text: String = self.ask(&["INFO"]).await?;
        Ok(Info::parse(&text))
    }
}

/// The lines of `INFO`.
pub(crate) struct Info(BTreeMap<String, String>);

impl Info {
    fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.trim_end().to_owned())).collect())
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(0)
    }

    /// The member, as it says it is.
    pub(crate) fn seen(&self, name: String, detail: String) -> MemberSeen {
        if self.text("role") != "slave" {
            return MemberSeen { name, role: "master".to_owned(), lag_bytes: None, ok: true, detail };
        }
        let linked = self.text("master_link_status") == "up";
        // The primary's offset is known only as far as it was received; what is not yet applied is the lag seen here.
        let lag = self.number("slave_read_repl_offset").saturating_sub(self.number("slave_repl_offset"));
        let detail = if linked { detail } else { format!("{detail}, not connected to its master") };
        MemberSeen { name, role: "replica".to_owned(), lag_bytes: linked.then_some(lag), ok: linked, detail }
    }
}

async fn within<T>(work: impl Future<Output = Result<T, redis::RedisError>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result.map_err(|error| explain(&error)),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

fn explain(error: &redis::RedisError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_url_names_single_servers() {
        assert_eq!(singles("redis://:p@h:1/0"), ["redis://:p@h:1/0"]);
        assert_eq!(singles("redis+cluster://:p@h:1,i:2"), ["redis://:p@h:1", "redis://:p@i:2"]);
        assert_eq!(singles("redis+cluster://h:1"), ["redis://h:1"]);
    }
}
