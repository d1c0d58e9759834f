//! Redis as a service sees it.

use crate::house::{House, store, until};
use plimsoll_model::{Bytes, store::Engine};
use plimsoll_stores::StoreError;
use std::fs;

/// Connects as a service would.
pub(crate) async fn connect(url: &str) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
    redis::Client::open(url)?.get_multiplexed_async_connection().await
}

/// One command, by its words.
pub(crate) async fn ask<T: redis::FromRedisValue>(
    connection: &mut redis::aio::MultiplexedConnection,
    words: &[&str],
) -> redis::RedisResult<T> {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(*word);
    }
    command.query_async(connection).await
}

async fn config(connection: &mut redis::aio::MultiplexedConnection, name: &str) -> String {
    let pair: Vec<String> = ask(connection, &["CONFIG", "GET", name]).await.unwrap();
    pair[1].clone()
}

#[tokio::test]
async fn starts_serves_and_keeps_data_over_a_clean_restart_and_a_kill() {
    let mut house = House::new("cache", store(Engine::Redis));
    assert!(house.driver().ready(0).await.is_err());
    assert!(!house.driver().inspect().await.healthy);
    house.start(0).await;
    let driver = house.driver();
    assert_eq!(driver.provision().await.unwrap().done, Vec::<String>::new());
    let url = driver.url();
    assert!(url.ends_with(&format!("@127.0.0.1:{}/0", house.site.ports[0])), "{url}");
    let mut client = connect(&url).await.unwrap();
    let _: String = ask(&mut client, &["SET", "a", "kept"]).await.unwrap();
    let seen = driver.inspect().await;
    assert!(seen.healthy && seen.members[0].role == "master", "{seen:?}");
    assert!(house.stop(0).success());

    house.start(0).await;
    assert_eq!(house.driver().url(), url);
    let mut client = connect(&url).await.unwrap();
    assert_eq!(ask::<String>(&mut client, &["GET", "a"]).await.unwrap(), "kept");
    let _: String = ask(&mut client, &["SET", "b", "written"]).await.unwrap();
    house.kill(0);

    house.start(0).await;
    let mut client = connect(&url).await.unwrap();
    assert_eq!(ask::<String>(&mut client, &["GET", "b"]).await.unwrap(), "written");
}

#[tokio::test]
async fn only_the_password_opens_and_it_is_nowhere_to_be_seen() {
    let mut house = House::new("cache \"'\n../x", store(Engine::Redis));
    house.start(0).await;
    let driver = house.driver();
    let port = house.site.ports[0];
    for url in [format!("redis://127.0.0.1:{port}/"), format!("redis://:wrong@127.0.0.1:{port}/")] {
        let answer = match connect(&url).await {
            Ok(mut client) => ask::<String>(&mut client, &["PING"]).await,
            Err(error) => Err(error),
        };
        assert!(answer.is_err(), "{url}");
    }
    let entry = fs::read_dir(&house.site.secrets).unwrap().next().unwrap().unwrap();
    let secret = fs::read_to_string(entry.path()).unwrap();
    house.assert_hidden(&driver, &secret);
    plimsoll_stores::external(&driver.url(), Engine::Redis).await.unwrap();
    house.stop(0);
    let not = plimsoll_stores::external(&driver.url(), Engine::Redis).await.unwrap_err();
    assert!(!not.why.contains(secret.trim()), "{not}");
}

#[tokio::test]
async fn settings_of_the_file_reach_the_server() {
    let mut wanted = store(Engine::Redis);
    wanted.max_memory = Some(Bytes(64 << 20));
    wanted.eviction = Some("allkeys-lru".to_owned());
    wanted.persistent = false;
    wanted.settings.insert("timeout".to_owned(), "77".to_owned());
    wanted.settings.insert("client-output-buffer-limit".to_owned(), "pubsub 1mb 1mb 60".to_owned());
    let mut house = House::new("cache", wanted);
    house.start(0).await;
    let mut client = connect(&house.driver().url()).await.unwrap();
    for (name, value) in [
        ("maxmemory", "67108864"),
        ("maxmemory-policy", "allkeys-lru"),
        ("appendonly", "no"),
        ("save", ""),
        ("timeout", "77"),
        ("bind", "127.0.0.1"),
    ] {
        assert_eq!(config(&mut client, name).await, value, "{name}");
    }
    for (name, value) in [("port", "1"), ("timeout", "1\nport 1"), ("cluster-enabled", "no"), ("a b", "1")] {
        house.store.settings = std::iter::once((name.to_owned(), value.to_owned())).collect();
        assert!(matches!(house.try_driver(), Err(StoreError::Invalid { .. })), "{name}");
    }
}

#[tokio::test]
async fn replicas_copy_the_first_member() {
    let mut wanted = store(Engine::Redis);
    wanted.instances = 2;
    let mut house = House::new("cache", wanted);
    house.start_all().await;
    let driver = house.driver();
    let mut client = connect(&driver.url()).await.unwrap();
    let _: String = ask(&mut client, &["SET", "a", "1"]).await.unwrap();
    let seen = until(|| async {
        let seen = driver.inspect().await;
        if seen.healthy && seen.members[1].lag_bytes == Some(0) { Ok(seen) } else { Err(format!("{seen:?}")) }
    })
    .await;
    assert_eq!((seen.members[0].role.as_str(), seen.members[1].role.as_str()), ("master", "replica"));
}

#[test]
fn what_is_missing_is_named() {
    let mut house = House::new("cache", store(Engine::Redis));
    assert!(plimsoll_stores::doctor(&house.store)[0].ok, "apt-get install -y redis-server");
    house.store.version = Some("99".to_owned());
    assert!(house.try_driver().is_err_and(|error| error.to_string().contains("write version: \"7\"")));
    assert!(!plimsoll_stores::doctor(&house.store)[0].ok);
    house.store.version = None;
    house.store.eviction = Some("newest".to_owned());
    assert!(house.try_driver().is_err_and(|error| error.to_string().contains("allkeys-lru")));
}
