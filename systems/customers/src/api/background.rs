//! What the API does besides answering: follow the keys, repeat what the cache may have missed, forget what is over.
//!
//! Invariant: every task here may die or be doubled by another replica without harm.

use super::Api;
use crate::{cache, sessions};
use plimsoll_kit::lockout;
use std::time::Duration;

const SWEEP_EVERY: Duration = Duration::from_secs(1);
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Starts the tasks; they end with the process.
pub(super) fn start(api: &Api) {
    tokio::spawn(api.keys.clone().follow());
    tokio::spawn(sweep(api.clone()));
    tokio::spawn(forget(api.clone()));
}

async fn sweep(api: Api) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        match api.cache.sweep(&api.pool).await {
            Ok(0) => {}
            Ok(repeated) => tracing::debug!(repeated, "the cache was told again"),
            Err(why) => tracing::warn!(error = %why, "the cache cannot be told again"),
        }
    }
}

async fn forget(api: Api) {
    let mut ticks = tokio::time::interval(FORGET_EVERY);
    loop {
        ticks.tick().await;
        for (what, outcome) in [
            ("idempotency keys", plimsoll_kit::idempotency::forget_old(&api.pool).await),
            ("sessions", sessions::forget_old(&api.pool).await),
            ("changes that no cache remembers", cache::forget_old(&api.pool).await),
            ("wrong passwords", lockout::forget_old(&api.pool).await),
        ] {
            match outcome {
                Ok(0) => {}
                Ok(forgotten) => tracing::info!(forgotten, what, "forgotten"),
                Err(why) => tracing::warn!(error = %why, what, "not forgotten"),
            }
        }
    }
}
