//! The `notification` role: tells people by mail what became of their orders.
//!
//! It hears who there is and what becomes of orders, and writes down what is to be told; then it tells it.
//!
//! Invariant: it may die or be doubled at any moment; a mail is then sent once more at worst, under the same id.

mod notices;

use crate::events::{ORDERS, OrderEvent, USERS, UserEvent};
use crate::migrations;
use axum::Router;
use notices::{Kind, Notice};
use plimsoll_kit::backend::{BackendSettings, FORGET_EVERY, Role};
use plimsoll_kit::bus::Message;
use plimsoll_kit::inbox::{HandleError, Handler};
use plimsoll_kit::mail::{Mail, MailError, Post, wait_after};
use plimsoll_kit::settings;
use sqlx::{PgConnection, PgPool};
use std::time::Duration;
use utoipa::OpenApi;

fn mail(post: &Post, notice: &Notice) -> Mail {
    let subject = match notice.kind {
        Kind::Confirmed => "Your order is confirmed",
        Kind::Cancelled => "Your order is cancelled",
    };
    let text = format!("{},\n\n{}\n\n/api/v1/orders/{}\n", notice.name, notice.text, notice.order);
    post.mail(notice.id, &notice.email, subject, text)
}

/// Writes down who there is and what they are to be told.
#[derive(Clone)]
struct Listener;

impl Handler for Listener {
    async fn handle(&self, transaction: &mut PgConnection, message: &Message) -> Result<(), HandleError> {
        if message.topic == USERS {
            let UserEvent::Changed { user, version, email, name } = serde_json::from_slice(&message.body)?;
            return Ok(notices::note_person(transaction, (user, version), &email, &name).await?);
        }
        match serde_json::from_slice(&message.body)? {
            OrderEvent::Confirmed { order, user, amount_minor, currency } => {
                let text = format!("your order is confirmed and paid: {}.", shown(amount_minor, &currency));
                notices::write(transaction, (user, order), Kind::Confirmed, &text).await?;
            }
            OrderEvent::Cancelled { order, user, why } => {
                let text = format!("your order is cancelled ({why}). Whatever was paid for it has been given back.");
                notices::write(transaction, (user, order), Kind::Cancelled, &text).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// An amount as people write it; of currencies without smaller units (ISO 4217: yen, won) as it is.
fn shown(amount_minor: i64, currency: &str) -> String {
    if ["JPY", "KRW", "VND", "CLP", "ISK"].contains(&currency) {
        return format!("{amount_minor} {currency}");
    }
    format!("{}.{:02} {currency}", amount_minor / 100, amount_minor % 100)
}

#[derive(OpenApi)]
#[openapi(info(title = "shop: notification", description = "Nothing to ask: it tells."))]
struct Description;

/// The service.
pub const ROLE: Role =
    Role { name: "shop-notification", group: Some("notification"), store: "notices", migrations: &migrations::NOTICES };

/// Serves until SIGTERM. Reads what [`BackendSettings`] and [`Post`] read, `NOTIFY_POLL_MS` (how often it looks; default
/// 1 s) and `NOTIFY_LEASE_MS` (how long a replica has for what it took; default 60 s).
///
/// # Errors
/// Settings, the database at start, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (backend, post, poll_every, lease) = settings::read(|env| {
        let poll_every = env.millis("NOTIFY_POLL_MS", Duration::from_secs(1)).max(Duration::from_millis(10));
        let lease = env.millis("NOTIFY_LEASE_MS", Duration::from_secs(60));
        (BackendSettings::read(ROLE, env), Post::read(env), poll_every, lease)
    })?;
    let mut backend = backend.open().await?;
    backend.follow(USERS, Listener);
    backend.follow(ORDERS, Listener);
    backend.every(poll_every, "notices told", move |pool| tell(pool, post.clone(), lease));
    backend.every(FORGET_EVERY, "notices forgotten", |pool| async move { notices::forget_old(&pool).await });
    Ok(backend.serve(Router::new(), &Description::openapi()).await?)
}

/// Takes what is due and tells it; answers how many.
async fn tell(pool: PgPool, post: Post, lease: Duration) -> Result<u64, sqlx::Error> {
    let claimed = notices::claim(&pool, lease).await?;
    let count = u64::try_from(claimed.len()).unwrap_or(u64::MAX);
    let mut telling = tokio::task::JoinSet::new();
    for notice in claimed {
        let (pool, post) = (pool.clone(), post.clone());
        telling.spawn(async move {
            let sent = post.send(&mail(&post, &notice)).await;
            let then = follows(&sent, notice.attempt, post.retry);
            tracing::info!(id = %notice.id, attempt = notice.attempt, came = ?then, "a notice");
            notices::settle(&pool, notice.id, &then).await
        });
    }
    while let Some(told) = telling.join_next().await {
        told.unwrap_or(Ok(()))?;
    }
    Ok(count)
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Then {
    /// It is told.
    Sent,
    /// It can't be told.
    GivenUp(String),
    /// Another attempt, not before this.
    Again(Duration, String),
}

fn follows(sent: &Result<(), MailError>, attempt: i32, retry: Duration) -> Then {
    match sent {
        Ok(()) => Then::Sent,
        Err(why @ MailError::Never(_)) => Then::GivenUp(why.to_string()),
        Err(why) => match wait_after(attempt, retry) {
            Some(wait) => Then::Again(wait, why.to_string()),
            None => Then::GivenUp(why.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_exactly() {
        for (amount, currency, want) in
            [(1999, "EUR", "19.99 EUR"), (5, "USD", "0.05 USD"), (1999, "JPY", "1999 JPY"), (100, "EUR", "1.00 EUR")]
        {
            assert_eq!(shown(amount, currency), want);
        }
    }

    #[test]
    fn what_may_work_later_is_tried_later_and_not_for_ever() {
        let later = || Err(MailError::Later("451 busy".into()));
        let retry = Duration::from_secs(5);
        for (attempt, wait_s) in [(1, 5), (2, 10), (5, 80), (15, 3600)] {
            let Then::Again(wait, _) = follows(&later(), attempt, retry) else { panic!("{attempt}") };
            assert_eq!(wait.as_secs(), wait_s);
        }
        assert!(matches!(follows(&later(), 16, retry), Then::GivenUp(_)));
        assert!(matches!(follows(&Err(MailError::Never("550".into())), 1, retry), Then::GivenUp(_)));
        assert_eq!(follows(&Ok(()), 1, retry), Then::Sent);
    }
}
