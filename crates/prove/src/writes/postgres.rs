//! Writes to PostgreSQL: rows of a table in a schema of our own.
//!
//! Invariant: everything is said in the text form and within one transaction, since there may be a pooler that gives each
//! transaction another connection, and to another server: each write says itself who has taken it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

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
        Ok(Session { client, task })
    }

    async fn run(&self, statements: &str) -> Result<(), String> {
        let session = self.open().await?;
        within(WRITE, session.client.batch_execute(statements)).await
    }

    /// All numbers that are there.
    pub(super) async fn numbers(&self) -> Result<BTreeSet<i64>, String> {
        let session = self.open().await?;
        let texts = session.first_column("SELECT number FROM plimsoll_prove.written").await?;
        texts.iter().map(|text| text.parse().map_err(|_| format!("{text:?} is no number of ours"))).collect()
    }

    pub(super) async fn remove(&self) -> Result<(), String> {
        self.run("DROP SCHEMA IF EXISTS plimsoll_prove CASCADE").await
    }
}

impl Session {
    /// Writes a number. Who has taken it: when that server was started, and its own port.
    pub(super) async fn write(&self, number: i64) -> Result<Arc<str>, String> {
        let statement = format!(
            "INSERT INTO plimsoll_prove.written VALUES ({number}) \
             RETURNING pg_postmaster_start_time()::text || ' ' || current_setting('port')"
        );
        let said = self.first_column(&statement).await?;
        said.first().map(|server| Arc::from(server.as_str())).ok_or_else(|| "it was not said by whom".to_owned())
    }

    async fn first_column(&self, statement: &str) -> Result<Vec<String>, String> {
        let said = within(WRITE, self.client.simple_query(statement)).await?;
        let rows = said.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(rows.collect())
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
