//! What the role does besides answering: forget what is over.
//!
//! Invariant: it may die or be doubled by another replica without harm.

use plimsoll_kit::{idempotency, lockout, logins};
use sqlx::PgPool;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(600);

/// Starts it; it ends with the process.
pub(super) fn start(pool: &PgPool) {
    tokio::spawn(forget(pool.clone()));
}

async fn forget(pool: PgPool) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        for (what, outcome) in [
            ("idempotency keys", idempotency::forget_old(&pool).await),
            ("sessions", logins::forget_old(&pool).await),
            ("wrong passwords", lockout::forget_old(&pool).await),
        ] {
            match outcome {
                Ok(0) => {}
                Ok(forgotten) => tracing::info!(forgotten, what, "forgotten"),
                Err(why) => tracing::warn!(error = %why, what, "not forgotten"),
            }
        }
    }
}
