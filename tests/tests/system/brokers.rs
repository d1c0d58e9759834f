//! Brokers that the engine runs: fault 54 of the catalogue, and what is kept.

use crate::{
    sweep::signal,
    times,
    world::{LONG, World},
};
use async_nats::jetstream::{self, AckKind, consumer::pull, message::PublishMessage};
use futures_util::{StreamExt, future::join_all};
use plimsoll_api::Status;
use rustix::process::Signal;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::timeout;

const NATS: &str = r#"
services:
  web: { command: [./app], port: 80, uses: [events] }
stores:
  events: { engine: nats, version: "2" }
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
"#;

/// Who gets no answer for so long asks again.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many messages are under way at once.
const TOGETHER: usize = 100;

fn ready(status: &Status) -> bool {
    status.settled && status.stores["events"].ready
}

fn broker(status: &Status) -> i32 {
    status.stores["events"].members[0].pid.unwrap()
}

/// A system with that file. `None`: this machine has no such server.
fn started(yaml: &str) -> Option<World> {
    let world = World::with_servers(yaml)?;
    world.until_status("the broker is ready", ready);
    Some(world)
}

/// Signs in: this client does not take who it is from the URL by itself.
async fn connect(url: &str) -> async_nats::Client {
    let address: async_nats::ServerAddr = url.parse().unwrap();
    let login = (address.username().unwrap().to_owned(), address.password().unwrap().to_owned());
    async_nats::ConnectOptions::with_user_and_password(login.0, login.1).connect(address).await.unwrap()
}

/// One client of the stream of messages.
struct Bus {
    context: jetstream::Context,
    messages: jetstream::consumer::PullConsumer,
}

impl Bus {
    async fn open(url: &str) -> Self {
        let client = connect(url).await;
        let mut context = jetstream::new(client);
        context.set_timeout(PATIENCE);
        let stream = jetstream::stream::Config {
            name: "voyages".to_owned(),
            subjects: vec!["voyages.>".to_owned()],
            ..jetstream::stream::Config::default()
        };
        let stream = context.get_or_create_stream(stream).await.unwrap();
        let durable = pull::Config {
            durable_name: Some("log".to_owned()),
            ack_wait: Duration::from_secs(2),
            ..pull::Config::default()
        };
        let messages = stream.get_or_create_consumer("log", durable).await.unwrap();
        Self { context, messages }
    }

    /// Publishes these numbers until each is acknowledged.
    async fn publish(&self, numbers: std::ops::Range<usize>) {
        let mut left: Vec<usize> = numbers.collect();
        while !left.is_empty() {
            let tries = left.iter().map(|number| async move {
                let message = PublishMessage::build().message_id(number.to_string()).payload(number.to_string().into());
                match self.context.send_publish("voyages.new", message).await {
                    Ok(acknowledged) => acknowledged.await.is_ok(),
                    Err(_) => false,
                }
            });
            let done = join_all(tries).await;
            let mut done = done.into_iter();
            left.retain(|_| !done.next().unwrap());
        }
    }

    /// Takes messages until each of so many numbers came; how often each came. What comes for the first time is not always
    /// acknowledged, so it comes again.
    async fn take(&self, count: usize) -> BTreeMap<String, usize> {
        let mut came = BTreeMap::new();
        while came.len() < count {
            // What was asked of a broker that died is never answered.
            let asked = self.messages.batch().max_messages(TOGETHER).expires(PATIENCE / 4).messages();
            let Ok(Ok(mut batch)) = timeout(PATIENCE, asked).await else { continue };
            while let Ok(Some(Ok(message))) = timeout(PATIENCE, batch.next()).await {
                let id = message.headers.as_ref().and_then(|all| all.get("Nats-Msg-Id")).unwrap().to_string();
                assert_eq!(id.as_bytes(), &message.payload[..], "a message carries its id, however often it comes");
                let times = came.entry(id).or_insert(0);
                *times += 1;
                let forgets = *times == 1 && message.payload.ends_with(b"7");
                if !forgets {
                    message.ack_with(AckKind::Ack).await.ok();
                }
            }
        }
        came
    }
}

#[test]
fn broker_restart_loses_no_message_and_repeats_with_its_id() {
    let Some(world) = started(NATS) else { return };
    let (_, url) = world.get("/env?name=EVENTS_URL");
    let count = 10 * TOGETHER * times(1);
    let before = world.status();

    // The engine's death is not the broker's affair.
    let engine = before.processes["engine"].pid;
    signal(engine, Signal::KILL);
    let after = world.until_status("another engine", |status| {
        ready(status) && status.processes.get("engine").is_some_and(|own| own.pid != engine)
    });
    assert_eq!(broker(&after), broker(&before), "the broker was not started anew");

    // The broker's is: it comes back with all that it acknowledged.
    let came = world.runtime.block_on(async {
        let bus = Bus::open(&url).await;
        let publish = async {
            for number in 0..count / TOGETHER {
                if number == count / TOGETHER / 2 {
                    signal(broker(&after), Signal::KILL);
                }
                bus.publish(number * TOGETHER..(number + 1) * TOGETHER).await;
            }
        };
        let all = async { tokio::join!(publish, bus.take(count)).1 };
        timeout(LONG * u32::try_from(times(2)).unwrap(), all).await.expect("all messages come")
    });
    let twice = came.values().filter(|times| **times > 1).count();
    let expected: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    assert!(expected.iter().all(|number| came.contains_key(number)), "a message was lost");
    eprintln!("0 of {count} messages lost over a kill of the broker; {twice} came more than once, each with its id");
    let back = world.until_status("it is back", ready);
    assert_ne!(broker(&back), broker(&before));
    assert!(world.events().iter().any(|event| event.reason == "Restarting" && event.subject == "events-1"));
    world.down();
}

#[test]
fn messages_are_kept_until_they_are_dropped() {
    let Some(world) = started(NATS) else { return };
    let (_, url) = world.get("/env?name=EVENTS_URL");
    world.runtime.block_on(async { Bus::open(&url).await.publish(0..TOGETHER).await });
    world.down();
    world.bring_up();
    let (_, again) = world.get("/env?name=EVENTS_URL");
    assert_eq!(again, url, "its address and its password stay");
    let came = world.runtime.block_on(async { Bus::open(&url).await.take(TOGETHER).await });
    assert_eq!(came.len(), TOGETHER);
    let shown = world.until("its figures are told", || {
        let detail = world.status().stores["events"].members[0].detail.clone();
        detail.contains("1 streams with 100 messages").then_some(detail)
    });
    assert!(shown.contains("connections"), "{shown}");

    world.run(&["down", "--volumes"]).good();
    world.until_gone();
    world.bring_up();
    let (_, url) = world.get("/env?name=EVENTS_URL");
    let left = world.runtime.block_on(async {
        let client = connect(&url).await;
        jetstream::new(client).get_stream("voyages").await.is_ok()
    });
    assert!(!left, "dropped");
    world.run(&["down", "--volumes"]).good();
    world.until_gone();
}
