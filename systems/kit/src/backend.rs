//! What a service with a database is made of: its store, the event bus if it speaks over it, what it listens to, its server.
//!
//! Invariant: on SIGTERM it answers what it was asked, ends the messages it has begun, and publishes no more; what is
//! written and not published is another replica's, or its own after it has started again.

use crate::bus::{Bus, BusError, BusSettings};
use crate::inbox::{self, Handler, Inbox};
use crate::metrics::Metrics;
use crate::outbox::{self, Wake};
use crate::peer::PeerSettings;
use crate::postgres::{self, PostgresSettings, SchemaError};
use crate::readiness::Readiness;
use crate::service::{ServeError, Service};
use crate::settings::{Environment, ServerSettings};
use crate::verifier::Verifier;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What is old is forgotten in passing, this often.
pub const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Which service it is.
#[derive(Debug, Clone, Copy)]
pub struct Role {
    /// In logs, metrics and traces.
    pub name: &'static str,
    /// Its replicas share what is published for it. `None`: it says and hears nothing, and needs no bus.
    pub group: Option<&'static str>,
    /// Its database.
    pub store: &'static str,
    /// The schema of that.
    pub migrations: &'static Migrator,
}

/// A service can't be opened or served.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Its database.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The address of the bus.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Its port.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// How to reach what it needs.
pub struct BackendSettings {
    role: Role,
    server: ServerSettings,
    database: PostgresSettings,
    bus: Option<BusSettings>,
    migrate: bool,
}

impl BackendSettings {
    /// Reads `PORT`, the URL of the role's store, `EVENTS_URL` if it speaks over the bus, and `MIGRATE` (default true).
    pub fn read(role: Role, environment: &mut Environment<'_>) -> Self {
        Self {
            role,
            server: ServerSettings::read(role.name, environment),
            database: PostgresSettings::read(role.store, environment),
            bus: role.group.map(|_| BusSettings::read("events", environment)),
            migrate: environment.parsed("MIGRATE", true),
        }
    }

    /// Opens it.
    ///
    /// # Errors
    /// The database does not answer, a migration failed, or an address is none.
    pub async fn open(self) -> Result<Backend, BackendError> {
        if self.migrate {
            let bulk = self.database.bulk_pool(self.role.name);
            postgres::migrate(&bulk, self.role.migrations).await?;
            bulk.close().await;
        }
        let (stop, stopped) = watch::channel(false);
        Ok(Backend {
            pool: self.database.pool(self.role.name),
            wake: Wake::default(),
            bus: match self.bus {
                Some(bus) => Some(bus.open().await?),
                None => None,
            },
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
    bus: Option<Bus>,
    role: Role,
    server: ServerSettings,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    working: JoinSet<()>,
}

impl Backend {
    /// Begins to handle the messages of a topic; nothing if the role is of no group.
    pub fn follow<H: Handler>(&mut self, topic: &'static str, handler: H) {
        let Some((bus, group)) = self.bus.clone().zip(self.role.group) else { return };
        let inbox = Inbox { pool: self.pool.clone(), bus, group, wake: self.wake.clone() };
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
    pub async fn serve(
        mut self,
        routes: axum::Router,
        description: &utoipa::openapi::OpenApi,
    ) -> Result<(), BackendError> {
        if let Some(bus) = self.bus.clone() {
            self.every(FORGET_EVERY, "messages forgotten", |pool| async move { inbox::forget_old(&pool).await });
            let publishing = outbox::publish(self.pool.clone(), bus, self.wake.clone(), self.stopped.clone());
            self.working.spawn(publishing);
        }
        let metrics = Metrics::new();
        postgres::count_connections(&metrics, self.role.store, &self.pool);
        let pool = self.pool.clone();
        let mut readiness = Readiness::default().requires(self.role.store, move || postgres::answers(pool.clone()));
        // Without the bus it still answers and writes down what is to be published.
        if let Some(bus) = self.bus {
            readiness = readiness.wants("events", move || bus.clone().answers());
        }
        let service = Service::new(self.server, routes).metrics(metrics).readiness(readiness);
        service.openapi(description).serve().await?;
        let _ = self.stop.send(true);
        while self.working.join_next().await.is_some() {}
        self.pool.close().await;
        Ok(())
    }
}
