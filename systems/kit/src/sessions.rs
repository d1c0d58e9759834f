//! Sessions kept in Redis: a random token outside, its hash as the key inside.
//!
//! Invariant: the token itself is stored nowhere, so a dump of Redis signs nobody in.

use crate::keyvalue::{KeyValue, KeyValueError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Sessions of one kind.
#[derive(Clone)]
pub struct Sessions {
    store: KeyValue,
    idle_max: Duration,
    age_max: Duration,
}

#[derive(Serialize, Deserialize)]
struct Stored<T> {
    until_s: u64,
    of: T,
}

impl Sessions {
    /// Sessions that end after `idle_max` without use, and in any case after `age_max`.
    pub fn new(store: KeyValue, idle_max: Duration, age_max: Duration) -> Self {
        Self { store, idle_max, age_max }
    }

    /// Begins a session and answers its token (64 hexadecimal digits).
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn begin<T: Serialize>(&self, of: T) -> Result<String, KeyValueError> {
        let token = hex(&rand::random::<[u8; 32]>());
        let stored = Stored { until_s: now_s() + self.age_max.as_secs(), of };
        let text =
            serde_json::to_string(&stored).map_err(|why| KeyValueError::Failed(std::io::Error::from(why).into()))?;
        let mut command = redis::cmd("SET");
        command.arg(key(&token)).arg(text).arg("EX").arg(self.idle_max.as_secs().max(1));
        self.store.query::<()>(&command).await?;
        Ok(token)
    }

    /// What the session of this token holds, and prolongs it; `None` if there is none or it has ended.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn look_up<T: DeserializeOwned>(&self, token: &str) -> Result<Option<T>, KeyValueError> {
        let mut command = redis::cmd("GETEX");
        command.arg(key(token)).arg("EX").arg(self.idle_max.as_secs().max(1));
        let text: Option<String> = self.store.query(&command).await?;
        let stored = text.and_then(|text| serde_json::from_str::<Stored<T>>(&text).ok());
        Ok(stored.filter(|stored| stored.until_s > now_s()).map(|stored| stored.of))
    }

    /// Ends a session; one that has already ended is no error.
    ///
    /// # Errors
    /// Redis does not answer: the session may live on.
    pub async fn end(&self, token: &str) -> Result<(), KeyValueError> {
        self.store.query::<i64>(redis::cmd("DEL").arg(key(token))).await.map(drop)
    }
}

fn key(token: &str) -> String {
    format!("session:{}", hex(&Sha256::digest(token.as_bytes())))
}

/// Bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}
