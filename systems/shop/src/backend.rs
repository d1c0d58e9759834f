//! What every service with a database of its own is made of: its store, the event bus, what it listens to, its server.
//!
//! Invariant: on SIGTERM it answers what it was asked, ends the messages it has begun, and publishes no more; what is
//! written and not published is another replica's, or its own after it has started again.

use plimsoll_kit::Service;
use plimsoll_kit::bus::{Bus, BusSettings};
use plimsoll_kit::inbox::{self, Handler, Inbox};
use plimsoll_kit::metrics::Metrics;
use plimsoll_kit::outbox::{self, Wake};
use plimsoll_kit::peer::PeerSettings;
use plimsoll_kit::postgres::{self, PostgresSettings};
use plimsoll_kit::readiness::Readiness;
use plimsoll_kit::settings::{Environment, ServerSettings};
use plimsoll_kit::verifier::Verifier;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What is old is forgotten in passing, this often.
pub(crate) const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Which service it is.
#[derive(Debug, Clone, Copy)]
pub struct Role {
    /// In logs, metrics and traces.
    pub name: &'static str,
    /// Its replicas share what is published for it.
    pub group: &'static str,
    /// Its database.
    pub store: &'static str,
    /// The schema of that.
    pub migrations: &'static Migrator,
}

/// How to reach what it needs.
pub struct BackendSettings {
    role: Role,
    server: ServerSettings,
    database: PostgresSettings,
    bus: BusSettings,
    migrate: bool,
}

impl BackendSettings {
    /// Reads `PORT`, the URL of the role's store, `EVENTS_URL`, and `MIGRATE` (default true).
    pub fn read(role: Role, environment: &mut Environment<'_>) -> Self {
        Self {
            role,
            server: ServerSettings::read(role.name, environment),
            database: PostgresSettings::read(role.store, environment),
            bus: BusSettings::read("events", environment),
            migrate: environment.parsed("MIGRATE", true),
        }
    }

    /// Opens it.
    ///
    /// # Errors
    /// The database does not answer, a migration failed, or an address is none.
    pub async fn open(self) -> anyhow::Result<Backend> {
        if self.migrate {
            let bulk = self.database.bulk_pool(self.role.name);
            postgres::migrate(&bulk, self.role.migrations).await?;
            bulk.close().await;
        }
        let (stop, stopped) = watch::channel(false);
        Ok(Backend {
            pool: self.database.pool(self.role.name),
            wake: Wake::default(),
            bus: self.bus.open().await?,
            role: self.role,
            server: self.server,
            stop,
            stopped,
            working: JoinSet::new(),
        })
    }
}

/// Who may ask is told by the keys of the user service: reads `USER_URL`.
pub fn verifier(environment: &mut Environment<'_>) -> Verifier {
    Verifier::new(PeerSettings::read("user", environment).client())
}

/// A service that is about to serve.
pub struct Backend {
    /// Its own database.
    pub pool: PgPool,
    /// To be told after each commit that wrote a message.
    pub wake: Wake,
    bus: Bus,
    role: Role,
    server: ServerSettings,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    working: JoinSet<()>,
}

impl Backend {
    /// Begins to handle the messages of a topic.
    pub fn follow<H: Handler>(&mut self, topic: &'static str, handler: H) {
        let (pool, bus, wake) = (self.pool.clone(), self.bus.clone(), self.wake.clone());
        let inbox = Inbox { pool, bus, group: self.role.group, wake };
        self.working.spawn(inbox.follow(topic, handler, self.stopped.clone()));
    }

    /// Begins to do something again and again; a failure is logged.
    pub fn every<F>(&mut self, period: Duration, what: &'static str, work: impl Fn(PgPool) -> F + Send + 'static)
    where
        F: Future<Output = Result<u64, sqlx::Error>> + Send,
    {
        let (pool, wake, mut stopped) = (self.pool.clone(), self.wake.clone(), self.stopped.clone());
        self.working.spawn(async move {
            let mut ticks = tokio::time::interval(period);
            loop {
                tokio::select! {
                    _ = stopped.changed() => return,
                    _ = ticks.tick() => {}
                }
                match work(pool.clone()).await {
                    Ok(0) => {}
                    Ok(count) => {
                        tracing::info!(count, what, "done in passing");
                        wake.wake();
                    }
                    Err(why) => tracing::warn!(error = %why, what, "not done"),
                }
            }
        });
    }

    /// Serves until SIGTERM.
    ///
    /// # Errors
    /// The port.
    pub async fn serve(mut self, routes: axum::Router, description: &utoipa::openapi::OpenApi) -> anyhow::Result<()> {
        self.every(FORGET_EVERY, "messages forgotten", |pool| async move { inbox::forget_old(&pool).await });
        let publishing = outbox::publish(self.pool.clone(), self.bus.clone(), self.wake.clone(), self.stopped.clone());
        self.working.spawn(publishing);
        let metrics = Metrics::new();
        postgres::count_connections(&metrics, self.role.store, &self.pool);
        let (pool, bus) = (self.pool.clone(), self.bus.clone());
        // Without the bus it still answers and writes down what is to be published.
        let readiness = Readiness::default()
            .requires(self.role.store, move || postgres::answers(pool.clone()))
            .wants("events", move || bus.clone().answers());
        let service = Service::new(self.server, routes).metrics(metrics).readiness(readiness);
        service.openapi(description).serve().await?;
        let _ = self.stop.send(true);
        while self.working.join_next().await.is_some() {}
        self.pool.close().await;
        Ok(())
    }
}
