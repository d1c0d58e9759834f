//! By which relay mail leaves, and how often one is tried.

use super::{Mail, MailError, send};
use crate::{people, settings::Environment};
use std::{fmt::Display, time::Duration};

/// Attempts until a mail is given up: with the default wait that is after about six hours.
const ATTEMPTS_MAX: i32 = 16;
/// Longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// How mail leaves; cheap to clone.
#[derive(Debug, Clone)]
pub struct Post {
    relay: String,
    from: String,
    patience: Duration,
    /// Before the second attempt.
    pub retry: Duration,
}

impl Post {
    /// Reads `SMTP_ADDRESS` (`host:port` of the relay), `MAIL_FROM`, `SMTP_ANSWER_MS` (for a whole mail; default 20 s) and
    /// `NOTIFY_RETRY_MS` (before the second attempt; it doubles with each; default 5 s).
    pub fn read(environment: &mut Environment<'_>) -> Self {
        let from = environment.text("MAIL_FROM");
        if !from.is_empty() && people::plain_email(&from).as_ref() != Some(&from) {
            environment.mistake("MAIL_FROM", "is no address");
        }
        Self {
            relay: environment.text("SMTP_ADDRESS"),
            from,
            patience: environment.millis("SMTP_ANSWER_MS", Duration::from_secs(20)),
            retry: environment.millis("NOTIFY_RETRY_MS", Duration::from_secs(5)),
        }
    }

    /// A mail from us; the same `id` whenever it is sent again.
    #[must_use]
    pub fn mail(&self, id: impl Display, to: &str, subject: &'static str, text: String) -> Mail {
        let domain = self.from.split_once('@').map_or("localhost", |(_, domain)| domain);
        let message_id = format!("{id}@{domain}");
        Mail { message_id, from: self.from.clone(), to: to.to_owned(), subject, text }
    }

    /// Hands a mail to the relay.
    ///
    /// # Errors
    /// As [`send`].
    pub async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        send(&self.relay, mail, self.patience).await
    }
}

/// How long to wait after an attempt in vain, the first of which is 1: twice as long each time, from `retry` on, an hour at
/// most. `None`: it is given up.
#[must_use]
pub fn wait_after(attempt: i32, retry: Duration) -> Option<Duration> {
    if attempt >= ATTEMPTS_MAX {
        return None;
    }
    let doubled = u32::try_from(attempt - 1).map_or(u32::MAX, |times| 2_u32.saturating_pow(times));
    Some(retry.saturating_mul(doubled).min(WAIT_MAX))
}
