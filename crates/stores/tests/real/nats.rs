//! NATS as a service sees it.

use crate::house::{House, store, until};
use async_nats::jetstream::{self, consumer::pull};
use futures_util::StreamExt;
use plimsoll_model::store::Engine;
use plimsoll_stores::StoreError;
use std::fs;

/// Signs in as a service does: this client does not take who it is from the URL by itself.
async fn connect(url: &str) -> Result<async_nats::Client, async_nats::ConnectError> {
    let address: async_nats::ServerAddr = url.parse().unwrap();
    let password = address.password().unwrap_or_default().to_owned();
    let options =
        async_nats::ConnectOptions::with_user_and_password(address.username().unwrap_or_default().to_owned(), password);
    options.connect(address).await
}

/// A stream of the client's.
async fn stream(url: &str) -> (jetstream::Context, jetstream::stream::Stream) {
    let client = connect(url).await.unwrap();
    let context = jetstream::new(client);
    let wanted = jetstream::stream::Config {
        name: "orders".to_owned(),
        subjects: vec!["orders.>".to_owned()],
        ..jetstream::stream::Config::default()
    };
    let stream = context.get_or_create_stream(wanted).await.unwrap();
    (context, stream)
}

async fn publish(context: &jetstream::Context, text: &str) {
    context.publish("orders.new", text.to_owned().into()).await.unwrap().await.unwrap();
}

/// All that was not acknowledged yet; acknowledges nothing.
async fn waiting(stream: &jetstream::stream::Stream) -> Vec<String> {
    let wanted = pull::Config { durable_name: None, ..pull::Config::default() };
    let consumer = stream.create_consumer(wanted).await.unwrap();
    let messages = consumer.fetch().max_messages(100).messages().await.unwrap();
    messages.map(|message| String::from_utf8(message.unwrap().payload.to_vec()).unwrap()).collect().await
}

#[tokio::test]
async fn starts_serves_and_keeps_messages_over_a_clean_restart_and_a_kill() {
    let mut house = House::new("events", store(Engine::Nats));
    assert!(house.driver().ready(0).await.is_err());
    assert!(!house.driver().inspect().await.healthy);
    house.start(0).await;
    let driver = house.driver();
    assert_eq!(driver.provision().await.unwrap().done, Vec::<String>::new());
    let url = driver.url();
    assert!(url.starts_with("nats://events:") && url.ends_with(&format!("@127.0.0.1:{}", house.site.ports[0])));
    let (context, _) = stream(&url).await;
    publish(&context, "first").await;
    let seen = driver.inspect().await;
    assert!(seen.healthy && seen.summary.contains("1 streams with 1 messages"), "{seen:?}");
    house.stop(0);

    house.start(0).await;
    assert_eq!(house.driver().url(), url);
    let (context, _) = stream(&url).await;
    publish(&context, "second").await;
    house.kill(0);

    house.start(0).await;
    let (_, stream) = stream(&url).await;
    assert_eq!(waiting(&stream).await, ["first", "second"]);
}

#[tokio::test]
async fn only_the_password_opens_and_it_is_nowhere_to_be_seen() {
    let mut house = House::new("events \"'\n../x", store(Engine::Nats));
    house.start(0).await;
    let driver = house.driver();
    let port = house.site.ports[0];
    let user = driver.url().split(':').nth(1).unwrap().trim_start_matches('/').to_owned();
    for url in [format!("nats://127.0.0.1:{port}"), format!("nats://{user}:wrong@127.0.0.1:{port}")] {
        assert!(connect(&url).await.is_err(), "{url}");
        assert!(plimsoll_stores::external(&url, Engine::Nats).await.is_err(), "{url}");
    }
    let entry = fs::read_dir(&house.site.secrets).unwrap().next().unwrap().unwrap();
    let secret = fs::read_to_string(entry.path()).unwrap();
    house.assert_hidden(&driver, &secret);
    plimsoll_stores::external(&driver.url(), Engine::Nats).await.unwrap();
    house.stop(0);
    let not = plimsoll_stores::external(&driver.url(), Engine::Nats).await.unwrap_err();
    assert!(!not.why.contains(secret.trim()), "{not}");
}

#[tokio::test]
async fn settings_of_the_file_reach_the_server() {
    let mut wanted = store(Engine::Nats);
    wanted.settings.insert("max_payload".to_owned(), "2MB".to_owned());
    wanted.settings.insert("max_file_store".to_owned(), "64MB".to_owned());
    let mut house = House::new("events", wanted);
    house.start(0).await;
    let client = connect(&house.driver().url()).await.unwrap();
    assert_eq!(client.server_info().max_payload, 2 << 20);
    let context = jetstream::new(client);
    let large = jetstream::stream::Config { name: "large".into(), max_bytes: 128 << 20, ..Default::default() };
    assert!(context.create_stream(large).await.is_err(), "more than may be kept was promised");
    for (name, value) in [("port", "1"), ("max_payload", "1\nport: 1"), ("include", "x"), ("max_payload", "{}")] {
        house.store.settings = std::iter::once((name.to_owned(), value.to_owned())).collect();
        assert!(matches!(house.try_driver(), Err(StoreError::Invalid { .. })), "{name}");
    }
}

#[tokio::test]
async fn without_persistence_it_is_a_broker_that_keeps_nothing() {
    let mut wanted = store(Engine::Nats);
    wanted.persistent = false;
    let mut house = House::new("events", wanted);
    house.start(0).await;
    house.driver().provision().await.unwrap();
    let client = connect(&house.driver().url()).await.unwrap();
    let mut heard = client.subscribe("news").await.unwrap();
    client.publish("news", "hello".into()).await.unwrap();
    assert_eq!(&heard.next().await.unwrap().payload[..], b"hello");
    assert!(jetstream::new(client).query_account().await.is_err());
    assert!(house.driver().inspect().await.healthy);
}

#[tokio::test]
async fn what_a_newer_server_wrote_is_left_alone() {
    let mut house = House::new("events", store(Engine::Nats));
    house.start(0).await;
    house.stop(0);
    fs::write(house.site.data.join("0.version"), "99.1.0\n").unwrap();
    until(|| async {
        match house.driver().before_start(0) {
            Err(StoreError::Refused { why, .. }) if why.contains("99.1.0") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    house.store.version = Some("1".to_owned());
    assert!(house.try_driver().is_err_and(|error| error.to_string().contains("write version: \"2\"")));
    assert!(!plimsoll_stores::doctor(&house.store)[0].ok);
}
