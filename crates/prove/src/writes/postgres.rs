//! Writes to PostgreSQL: rows of a table in a schema of our own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};

/// How long a connection may take: while nobody is the primary, whoever leads on may let it wait.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a write may take: a commit may wait for a standby.
const WRITE: Duration = Duration::from_secs(10);

/// A schema of ours in a database.
pub(super) struct Place(Config);

/// A connection; closed when dropped.
pub(super) struct Session {
    client: Client,
    task: JoinHandle<()>,
    /// When the server started, and where it listens.
    pub(super) server: Arc<str>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Place {
    pub(super) async fn make(url: &str) -> Result<Self, String> {
        // The URL itself holds a password, and is told to nobody.
        let mut config: Config = url.parse().map_err(|_| "its address is not one of PostgreSQL's".to_owned())?;
        config.application_name("plimsoll prove");
        let place = Self(config);
        let make = "DROP SCHEMA IF EXISTS plimsoll_prove CASCADE; CREATE SCHEMA plimsoll_prove; \
                    CREATE TABLE plimsoll_prove.written (number bigint PRIMARY KEY)";
        place.run(make).await?;
        Ok(place)
    }

    pub(super) async fn open(&self) -> Result<Session, String> {
        let (client, connection) = within(CONNECT, self.0.connect(NoTls)).await?;
        // Its end, also by an error, is seen by the next use of the client.
        let task = tokio::spawn(async move { drop(connection.await) });
        let mut session = Session { client, task, server: Arc::from("") };
        let who = "SELECT pg_postmaster_start_time()::text || ' ' || current_setting('port')";
        let row = within(CONNECT, session.client.query_one(who, &[])).await?;
        let server: String = row.try_get(0).map_err(|error| explain(&error))?;
        session.server = Arc::from(server);
        Ok(session)
    }

    async fn run(&self, statements: &str) -> Result<(), String> {
        let session = self.open().await?;
        within(WRITE, session.client.batch_execute(statements)).await
    }

    /// All numbers that are there.
    pub(super) async fn numbers(&self) -> Result<BTreeSet<i64>, String> {
        let session = self.open().await?;
        let rows = within(WRITE, session.client.query("SELECT number FROM plimsoll_prove.written", &[])).await?;
        rows.iter().map(|row| row.try_get(0).map_err(|error| explain(&error))).collect()
    }

    pub(super) async fn remove(&self) -> Result<(), String> {
        self.run("DROP SCHEMA IF EXISTS plimsoll_prove CASCADE").await
    }
}

impl Session {
    pub(super) async fn write(&self, number: i64) -> Result<(), String> {
        let statement = "INSERT INTO plimsoll_prove.written VALUES ($1)";
        within(WRITE, self.client.execute(statement, &[&number])).await.map(drop)
    }
}

async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, String> {
    match tokio::time::timeout(patience, work).await {
        Ok(done) => done.map_err(|error| explain(&error)),
        Err(_) => Err(format!("no answer within {} s", patience.as_secs())),
    }
}

/// The server's words, or the system's; the library's own say little.
fn explain(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return said.message().to_owned();
    }
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
