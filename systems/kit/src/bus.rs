//! The event bus: messages on topics, which the broker keeps until every group of consumers has had them.
//!
//! Which broker it is stands in the address: `nats://user:password@host:port` is NATS JetStream, the one that there is.
//! Delivery is at least once: a message may come twice, always under the same id; [`crate::inbox`] takes the second away.
//!
//! Invariant: [`Bus::publish`] returns only when the broker has stored the message. What was delivered and not
//! acknowledged comes again, also when whoever had it died.

mod nats;

use crate::settings::{Environment, url_variable};
use bytes::Bytes;
use std::time::Duration;
use uuid::Uuid;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same whenever it is published or delivered again.
    pub id: Uuid,
    /// What it is about: letters, digits and `-`.
    pub topic: String,
    /// What it says.
    pub body: Bytes,
}

/// The broker did not do what was asked; retry.
#[derive(Debug, thiserror::Error)]
#[error("the event bus cannot {act}: {why}")]
pub struct BusError {
    act: &'static str,
    why: String,
}

impl BusError {
    fn new(act: &'static str, why: &impl ToString) -> Self {
        Self { act, why: why.to_string() }
    }
}

/// Where the bus is.
#[derive(Debug, Clone)]
pub struct BusSettings {
    name: String,
    url: String,
    ack_max: Duration,
}

impl BusSettings {
    /// Reads `<NAME>_URL` (`nats://…`) and `<NAME>_ACK_MS` (how long a consumer has for a message before it goes to
    /// another; default 10 s). All that belongs to one system is kept under `name`.
    pub fn read(name: &str, environment: &mut Environment<'_>) -> Self {
        let variable = url_variable(name);
        let url = environment.text(&variable);
        if !url.is_empty() && !url.starts_with("nats://") {
            environment.mistake(&variable, "is not a nats:// address; no other broker is known");
        }
        let ack_variable = format!("{}_ACK_MS", variable.trim_end_matches("_URL"));
        let ack_max = environment.millis(&ack_variable, Duration::from_secs(10)).max(Duration::from_millis(100));
        Self { name: name.to_owned(), url, ack_max }
    }

    /// A handle that connects by itself, also when the broker is not there yet or goes away for a while.
    ///
    /// # Errors
    /// The address is none.
    pub async fn open(&self) -> Result<Bus, BusError> {
        Ok(Bus(nats::Nats::open(&self.name, &self.url, self.ack_max).await?))
    }
}

/// A bus; cheap to clone.
#[derive(Clone)]
pub struct Bus(nats::Nats);

impl Bus {
    /// Hands a message to the broker.
    ///
    /// # Errors
    /// It was not stored, or that is unknown: publish it again under the same id.
    pub async fn publish(&self, message: &Message) -> Result<(), BusError> {
        self.0.publish(message).await
    }

    /// Messages of a topic for a group: each goes to one of its members, and those that were published while nobody
    /// listened come, too.
    ///
    /// # Errors
    /// The broker is away.
    pub async fn consume(&self, group: &str, topic: &str) -> Result<Deliveries, BusError> {
        self.0.consume(group, topic).await.map(Deliveries)
    }

    /// Asks whether the broker is there; for `/ready`.
    ///
    /// # Errors
    /// A sentence: it is not.
    pub async fn answers(self) -> Result<(), String> {
        self.0.answers().await
    }
}

/// Messages as they come.
pub struct Deliveries(nats::Pulled);

impl Deliveries {
    /// The next; waits for it. After an error, or `None`, consume anew.
    ///
    /// # Errors
    /// The broker went away.
    pub async fn next(&mut self) -> Option<Result<Delivery, BusError>> {
        self.0.next().await
    }
}

/// A message that is ours for a while.
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// Which delivery of it this is, from 1.
    pub attempt: u64,
    acknowledge: nats::Acknowledge,
}

impl Delivery {
    /// It is done; it does not come again.
    ///
    /// # Errors
    /// The broker is away: it comes again.
    pub async fn ack(self) -> Result<(), BusError> {
        self.acknowledge.done().await
    }

    /// It is to come again, after this long.
    ///
    /// # Errors
    /// The broker is away: it comes again by itself.
    pub async fn nack(self, after: Duration) -> Result<(), BusError> {
        self.acknowledge.again(after).await
    }
}
