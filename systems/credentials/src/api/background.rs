//! What the API does besides answering: follow the filter's parameters, rebuild it when it is missing or damaged, add
//! names that it missed, forget old idempotency keys.
//!
//! Invariant: every task here may die or be doubled by another replica without harm.

use super::Api;
use crate::accounts;
use crate::filter::{RebuildError, rebuild};
use crate::names::fold;
use std::time::Duration;

/// How soon a replica notices a rebuilt filter; [`crate::filter::rebuild`] waits three times as long.
const REFRESH_EVERY: Duration = Duration::from_secs(1);
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Starts the tasks; they end with the process.
pub(super) fn start(api: &Api) {
    tokio::spawn(follow_filter(api.clone()));
    tokio::spawn(sweep(api.clone()));
    tokio::spawn(forget(api.clone()));
}

async fn follow_filter(api: Api) {
    let mut ticks = tokio::time::interval(REFRESH_EVERY);
    loop {
        ticks.tick().await;
        let missing = match api.filter.refresh().await {
            Ok(generation) => generation.is_none() || api.filter.is_damaged(),
            Err(_) => continue,
        };
        if !missing {
            continue;
        }
        match rebuild(&api.filter, &api.bulk_pool).await {
            Ok(rebuilt) => tracing::info!(
                generation = rebuilt.generation.number,
                entries = rebuilt.generation.entries,
                "the filter was missing or damaged; rebuilt"
            ),
            Err(RebuildError::UnderWay) => {}
            Err(why) => tracing::warn!(error = %why, "the filter cannot be rebuilt yet"),
        }
    }
}

/// Adds names whose registration committed but which did not reach the filter.
async fn sweep(api: Api) {
    let mut ticks = tokio::time::interval(REFRESH_EVERY);
    loop {
        ticks.tick().await;
        if api.filter.generation().is_none() || api.filter.is_cut_off() {
            continue;
        }
        let Ok(waiting) = accounts::not_in_filter(&api.pool).await else { continue };
        for (id, folded) in waiting {
            if api.filter.add(&fold(&folded)).await.is_err() || accounts::mark_in_filter(&api.pool, id).await.is_err() {
                break;
            }
        }
    }
}

async fn forget(api: Api) {
    let mut ticks = tokio::time::interval(FORGET_EVERY);
    loop {
        ticks.tick().await;
        match plimsoll_kit::idempotency::forget_old(&api.pool).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "old idempotency keys are gone"),
            Err(why) => tracing::warn!(error = %why, "old idempotency keys stay"),
        }
    }
}
