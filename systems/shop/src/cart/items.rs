//! Carts in Redis: a hash for each person, a field for each product.
//!
//! Invariant: a cart lives as long as it is said from the last time that it was touched, and its expiry is set in the same
//! transaction as what was changed.

use plimsoll_kit::Problem;
use plimsoll_kit::keyvalue::{KeyValue, KeyValueError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// What is kept of a thing in a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// How many.
    pub(super) quantity: i32,
    /// Its price when it was put in, in the currency's smallest unit.
    pub(super) seen_minor: i64,
}

/// All carts; cheap to clone.
#[derive(Clone)]
pub(super) struct Items {
    store: KeyValue,
    kept_s: u64,
}

fn away(why: KeyValueError) -> Problem {
    tracing::warn!(error = %why, "carts are away");
    Problem::unavailable("carts-away", "Carts cannot be read just now.")
}

fn key(user: Uuid) -> String {
    format!("cart:{user}")
}

impl Items {
    pub(super) fn new(store: KeyValue, kept: Duration) -> Self {
        Self { store, kept_s: kept.as_secs() }
    }

    /// What is in somebody's cart; looking at it is touching it.
    pub(super) async fn of(&self, user: Uuid) -> Result<BTreeMap<Uuid, Kept>, Problem> {
        let mut commands = redis::pipe();
        commands.atomic().hgetall(key(user)).cmd("EXPIRE").arg(key(user)).arg(self.kept_s).ignore();
        let (fields,): (BTreeMap<String, String>,) = self.store.pipeline(&commands).await.map_err(away)?;
        let kept =
            fields.iter().filter_map(|(product, text)| Some((product.parse().ok()?, serde_json::from_str(text).ok()?)));
        Ok(kept.collect())
    }

    /// Puts so many of a product in, instead of those that were.
    pub(super) async fn put(&self, user: Uuid, product: Uuid, kept: Kept) -> Result<(), Problem> {
        let text = serde_json::to_string(&kept).map_err(|why| Problem::internal(&why))?;
        let mut commands = redis::pipe();
        commands.atomic().hset(key(user), product.to_string(), text).ignore();
        commands.cmd("EXPIRE").arg(key(user)).arg(self.kept_s).ignore();
        self.store.pipeline::<()>(&commands).await.map_err(away)
    }

    /// Takes a product out.
    pub(super) async fn remove(&self, user: Uuid, product: Uuid) -> Result<(), Problem> {
        let mut command = redis::cmd("HDEL");
        command.arg(key(user)).arg(product.to_string());
        self.store.query::<i64>(&command).await.map(drop).map_err(away)
    }

    /// Forgets a cart.
    pub(super) async fn empty(&self, user: Uuid) -> Result<(), Problem> {
        let mut command = redis::cmd("DEL");
        command.arg(key(user));
        self.store.query::<i64>(&command).await.map(drop).map_err(away)
    }
}
