//! The `notification` role: tells people by mail, and another program by a webhook, what became theirs and what is due.
//!
//! Invariant: it may die or be doubled at any moment; a notification is then sent once more at worst, under the same id.

mod delivery;

use crate::MIGRATIONS;
use crate::outbox;
use crate::webhook::Webhook;
use axum::Router;
use delivery::{Ways, deliver};
use plimsoll_kit::metrics::Metrics;
use plimsoll_kit::postgres::{self, PostgresSettings};
use plimsoll_kit::readiness::Readiness;
use plimsoll_kit::settings::{Environment, ServerSettings};
use plimsoll_kit::{Service, settings};
use sqlx::PgPool;
use std::time::Duration;
use tokio::sync::watch;

/// Nobody is reminded earlier than this, so that no reminder is forgotten before its moment and sent again.
const REMIND_BEFORE_MAX_S: u64 = 7 * 24 * 3600;
/// What ended is forgotten in passing, this often.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// What the role needs from the environment.
pub struct NotificationSettings {
    server: ServerSettings,
    database: PostgresSettings,
    migrate: bool,
    ways: Ways,
    pace: Pace,
}

/// How often it looks, and for what.
#[derive(Debug, Clone, Copy)]
struct Pace {
    poll_every: Duration,
    lease: Duration,
    remind_every: Duration,
    remind_before: Duration,
}

impl NotificationSettings {
    /// Reads `PORT`, `TASKS_URL`, `MIGRATE` (default true), what `Ways` and `Webhook` read, `NOTIFY_POLL_MS` (how often
    /// it looks; default 1 s), `NOTIFY_LEASE_MS` (how long a replica has for what it took; default 60 s),
    /// `REMIND_EVERY_S` (default 60) and `REMIND_BEFORE_S` (how long before its moment a task is told of; default a day, at
    /// most seven).
    pub fn read(environment: &mut Environment<'_>) -> Self {
        let webhook = Webhook::read(environment);
        Self {
            server: ServerSettings::read("tasks-notification", environment),
            database: PostgresSettings::read("tasks", environment),
            migrate: environment.parsed("MIGRATE", true),
            ways: Ways::read(environment, webhook),
            pace: Pace {
                poll_every: environment.millis("NOTIFY_POLL_MS", Duration::from_secs(1)).max(Duration::from_millis(10)),
                lease: environment.millis("NOTIFY_LEASE_MS", Duration::from_secs(60)),
                remind_every: Duration::from_secs(environment.parsed("REMIND_EVERY_S", 60_u64).max(1)),
                remind_before: Duration::from_secs(
                    environment.parsed("REMIND_BEFORE_S", 24 * 3600_u64).min(REMIND_BEFORE_MAX_S),
                ),
            },
        }
    }
}

/// Serves until SIGTERM; what was taken by then is still sent.
///
/// # Errors
/// Settings, the database at start, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let settings = settings::read(NotificationSettings::read)?;
    if settings.migrate {
        let bulk = settings.database.bulk_pool("tasks-migrate");
        postgres::migrate(&bulk, &MIGRATIONS).await?;
        bulk.close().await;
    }
    let pool = settings.database.pool("tasks-notification");
    let (stop, stopped) = watch::channel(false);
    let reminding = tokio::spawn(remind(pool.clone(), settings.pace));
    let delivering = tokio::spawn(send_all(pool.clone(), settings.ways, settings.pace, stopped));
    service(settings.server, &pool).serve().await?;
    reminding.abort();
    let _ = stop.send(true);
    delivering.await?;
    pool.close().await;
    Ok(())
}

fn service(settings: ServerSettings, pool: &PgPool) -> Service {
    let metrics = Metrics::new();
    postgres::count_connections(&metrics, "tasks", pool);
    let pool = pool.clone();
    let readiness = Readiness::default().requires("tasks", move || postgres::answers(pool.clone()));
    Service::new(settings, Router::new()).metrics(metrics).readiness(readiness)
}

async fn remind(pool: PgPool, pace: Pace) {
    let mut ticks = tokio::time::interval(pace.remind_every);
    let mut forget = tokio::time::interval(FORGET_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => log("reminders", outbox::remind(&pool, pace.remind_before).await),
            _ = forget.tick() => log("forgotten", outbox::forget_old(&pool).await),
        }
    }
}

fn log(what: &str, outcome: Result<u64, sqlx::Error>) {
    match outcome {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, what, "notifications"),
        Err(why) => tracing::warn!(error = %why, what, "notifications are not looked through"),
    }
}

/// Empties the queue again and again; ends between two rounds.
async fn send_all(pool: PgPool, ways: Ways, pace: Pace, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        match round(&pool, &ways, pace.lease).await {
            // There may be more.
            Ok(sent) if sent > 0 => continue,
            Ok(_) => {}
            Err(why) => tracing::warn!(error = %why, "notifications wait"),
        }
        tokio::select! {
            () = tokio::time::sleep(pace.poll_every) => {}
            _ = stopped.changed() => {}
        }
    }
}

/// Takes what is due, sends all of it at once, and writes down what came of each; answers how many.
async fn round(pool: &PgPool, ways: &Ways, lease: Duration) -> Result<usize, sqlx::Error> {
    let claimed = outbox::claim(pool, lease).await?;
    let count = claimed.len();
    let mut all = tokio::task::JoinSet::new();
    for told in claimed {
        let (pool, ways) = (pool.clone(), ways.clone());
        all.spawn(async move {
            let outcome = deliver(&ways, &told).await;
            tracing::info!(id = %told.id, kind = told.kind.word(), attempt = told.attempt, came = ?outcome.then, "notified");
            outbox::settle(&pool, told.id, &outcome).await
        });
    }
    let mut first_failure = Ok(count);
    while let Some(settled) = all.join_next().await {
        if let Ok(Err(why)) = settled {
            first_failure = first_failure.and(Err(why));
        }
    }
    first_failure
}
