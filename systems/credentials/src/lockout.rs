//! Five wrong passwords in a row lock a name out for fifteen minutes.
//!
//! Counted by name, whether or not such an account exists, so that the answer tells nothing. Kept in Redis, under a
//! hash of the name. Overshoot: a guess is counted after it was verified, so at most one more guess for each hashing
//! thread can slip through; the check is repeated when a guess's turn comes.

use plimsoll_kit::keyvalue::{KeyValue, KeyValueError};
use plimsoll_kit::sessions::hex;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Wrong passwords in a row that lock.
const FAILURES_MAX: u64 = 5;
/// How long it is locked after the last of them.
const LOCKED_FOR: Duration = Duration::from_secs(15 * 60);

/// The count of failures.
#[derive(Clone)]
pub struct Lockout {
    store: KeyValue,
}

impl Lockout {
    /// Keeps its counts in `store`.
    pub fn new(store: KeyValue) -> Self {
        Self { store }
    }

    /// How long the name is still locked out; `None` if it is not.
    ///
    /// # Errors
    /// Redis does not answer; refuse the sign-in.
    pub async fn remaining(&self, name: &str) -> Result<Option<Duration>, KeyValueError> {
        let mut both = redis::pipe();
        both.cmd("GET").arg(key(name)).cmd("TTL").arg(key(name));
        let (failures, left_s): (Option<u64>, i64) = self.store.pipeline(&both).await?;
        let locked = failures.is_some_and(|failures| failures >= FAILURES_MAX);
        Ok(locked.then(|| Duration::from_secs(u64::try_from(left_s).unwrap_or(1).max(1))))
    }

    /// Counts a wrong password.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn failed(&self, name: &str) -> Result<(), KeyValueError> {
        let mut both = redis::pipe();
        both.cmd("INCR").arg(key(name)).cmd("EXPIRE").arg(key(name)).arg(LOCKED_FOR.as_secs());
        self.store.pipeline::<(i64, i64)>(&both).await.map(drop)
    }

    /// Forgets the failures: the right password was given.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn succeeded(&self, name: &str) -> Result<(), KeyValueError> {
        self.store.query::<i64>(redis::cmd("DEL").arg(key(name))).await.map(drop)
    }
}

fn key(name: &str) -> String {
    let hash = Sha256::digest(name.to_lowercase().as_bytes());
    format!("failures:{}", hex(&hash[..16]))
}
