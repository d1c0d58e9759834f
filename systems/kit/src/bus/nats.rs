//! NATS JetStream: one stream for a system, a durable pull consumer for each group and topic.
//!
//! Only what a server of version 2.9 knows is used: one subject a consumer.

use super::{BusError, Delivery, Message};
use async_nats::connection::State;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, StorageType, Stream};
use async_nats::jetstream::{self, AckKind, Context};
use async_nats::{Client, ConnectOptions, HeaderMap, ServerAddr, header};
use bytes::Bytes;
use futures_util::StreamExt;
use std::time::Duration;
use uuid::Uuid;

/// How long the broker may take to store a message or to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long a message is kept; a group that was away longer has missed it.
const KEPT: Duration = Duration::from_secs(3 * 24 * 3600);
/// Within this the broker itself knows a message that is published again.
const DUPLICATES: Duration = Duration::from_secs(120);
/// A broker that says nothing for twice as long is not there any more.
const HEARTBEAT: Duration = Duration::from_secs(2);
const PULL: Duration = Duration::from_secs(20);
const PULLED_MAX: usize = 64;

#[derive(Clone)]
pub(super) struct Nats {
    name: String,
    client: Client,
    context: Context,
    ack_max: Duration,
}

impl Nats {
    pub(super) async fn open(name: &str, url: &str, ack_max: Duration) -> Result<Self, BusError> {
        let failed = |why: &dyn std::fmt::Display| BusError::new("be reached", &why);
        let server: ServerAddr = url.parse().map_err(|why| failed(&why))?;
        let delay = |attempts: usize| Duration::from_millis(u64::try_from(attempts.min(10)).unwrap_or(10) * 50);
        let mut options = ConnectOptions::new().name(name).retry_on_initial_connect().max_reconnects(None);
        // The client takes nobody from the address by itself.
        if let (Some(user), Some(password)) = (server.username(), server.password()) {
            options = options.user_and_password(user.to_owned(), password.to_owned());
        }
        let options = options.reconnect_delay_callback(delay);
        let client = options.connect(server).await.map_err(|why| failed(&why))?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(ANSWER_MAX);
        Ok(Self { name: name.to_owned(), client, context, ack_max })
    }

    async fn stream(&self) -> Result<Stream, BusError> {
        let config = Config {
            name: self.name.clone(),
            subjects: vec![format!("{}.>", self.name)],
            storage: StorageType::File,
            num_replicas: 1,
            max_age: KEPT,
            duplicate_window: DUPLICATES,
            ..Config::default()
        };
        self.context.get_or_create_stream(config).await.map_err(|why| BusError::new("open its stream", &why))
    }

    pub(super) async fn publish(&self, message: &Message) -> Result<(), BusError> {
        let failed = |why: &dyn std::fmt::Display| BusError::new("store a message", &why);
        for last in [false, true] {
            let publish = PublishMessage::build().payload(message.body.clone()).message_id(message.id.to_string());
            let subject = format!("{}.{}", self.name, message.topic);
            let sent = self.context.send_publish(subject, publish).await.map_err(|why| failed(&why))?;
            match sent.await {
                Ok(_) => break,
                // A broker that is new knows no stream yet.
                Err(why) if why.kind() == PublishErrorKind::StreamNotFound && !last => drop(self.stream().await?),
                Err(why) => return Err(failed(&why)),
            }
        }
        Ok(())
    }

    pub(super) async fn consume(&self, group: &str, topic: &str) -> Result<Pulled, BusError> {
        let durable = format!("{group}-{topic}");
        let config = pull::Config {
            durable_name: Some(durable.clone()),
            filter_subject: format!("{}.{topic}", self.name),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.ack_max,
            max_deliver: -1,
            ..pull::Config::default()
        };
        let failed = |why: &dyn std::fmt::Display| BusError::new("be listened to", &why);
        let stream = self.stream().await?;
        let consumer = stream.get_or_create_consumer(&durable, config).await.map_err(|why| failed(&why))?;
        let messages = consumer.stream().max_messages_per_batch(PULLED_MAX).expires(PULL).heartbeat(HEARTBEAT);
        let messages = messages.messages().await.map_err(|why| failed(&why))?;
        Ok(Pulled { messages, prefix: format!("{}.", self.name) })
    }

    pub(super) async fn answers(&self) -> Result<(), String> {
        match self.client.connection_state() {
            State::Connected => Ok(()),
            State::Pending | State::Disconnected => Err("there is no connection to the broker".into()),
        }
    }
}

pub(super) struct Pulled {
    messages: pull::Stream,
    prefix: String,
}

impl Pulled {
    pub(super) async fn next(&mut self) -> Option<Result<Delivery, BusError>> {
        let message = match self.messages.next().await? {
            Ok(message) => message,
            Err(why) => return Some(Err(BusError::new("be listened to", &why))),
        };
        let attempt = message.info().map_or(1, |info| u64::try_from(info.delivered).unwrap_or(1));
        let topic = message.subject.strip_prefix(&self.prefix).unwrap_or(&message.subject).to_owned();
        let id = id_of(message.headers.as_ref(), &message.payload);
        let body = message.payload.clone();
        Some(Ok(Delivery { message: Message { id, topic, body }, attempt, acknowledge: Acknowledge(message) }))
    }
}

/// The id under which it was published; one that somebody else published without an id has one of what it says.
fn id_of(headers: Option<&HeaderMap>, body: &Bytes) -> Uuid {
    let told = headers.and_then(|headers| headers.get(header::NATS_MESSAGE_ID)?.as_str().parse().ok());
    told.unwrap_or_else(|| {
        use sha2::{Digest, Sha256};
        let hash = Sha256::digest(body);
        Uuid::from_bytes(hash.first_chunk::<16>().copied().unwrap_or_default())
    })
}

pub(super) struct Acknowledge(jetstream::Message);

impl Acknowledge {
    pub(super) async fn done(self) -> Result<(), BusError> {
        self.0.ack().await.map_err(|why| BusError::new("be told that a message is done", &why))
    }

    pub(super) async fn again(self, after: Duration) -> Result<(), BusError> {
        let said = self.0.ack_with(AckKind::Nak(Some(after))).await;
        said.map_err(|why| BusError::new("be told to send a message again", &why))
    }
}
