//! A connection to a PostgreSQL server.

use crate::secret::Secret;
use std::{collections::BTreeMap, future::Future, path::PathBuf, time::Duration};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, Row, SimpleQueryMessage, SimpleQueryRow};

/// How long a server may take to answer: longer is no answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// How long a change may take: `CREATE DATABASE` copies files.
pub(crate) const PATIENCE_FOR_CHANGE: Duration = Duration::from_secs(30);

/// Who connects, and where.
pub(crate) struct Login {
    /// The folder of the Unix socket: nobody else can answer there, as somebody could on a port.
    pub run: PathBuf,
    /// The server's port.
    pub port: u16,
    /// The role.
    pub role: String,
    /// Its password.
    pub password: Secret,
}

/// An open connection; closed when dropped.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    task: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects. The error is for a person.
pub(crate) async fn open(login: &Login, database: &str) -> Result<Session, String> {
    let mut config = Config::new();
    config
        .host_path(&login.run)
        .port(login.port)
        .user(&login.role)
        .password(login.password.expose())
        .dbname(database)
        .application_name("plimsoll");
    open_config(&config).await
}

/// Connects as configured. The error is for a person.
pub(crate) async fn open_config(config: &Config) -> Result<Session, String> {
    let (client, connection) = within(PATIENCE, config.connect(NoTls)).await?;
    // Its end, also by an error, is seen by the next use of the client.
    let task = tokio::spawn(async move { drop(connection.await) });
    Ok(Session { client, task })
}

impl Session {
    /// The one row of a query without parameters.
    pub(crate) async fn one(&self, query: &str) -> Result<Row, String> {
        within(PATIENCE, self.client.query_one(query, &[])).await
    }

    /// Whether a query with one text as its parameter finds anything.
    pub(crate) async fn finds(&self, query: &str, text: &str) -> Result<bool, String> {
        within(PATIENCE, self.client.query_opt(query, &[&text])).await.map(|row| row.is_some())
    }

    /// The rows of a query in its text form, by the names of their columns.
    pub(crate) async fn rows(&self, query: &str) -> Result<Vec<BTreeMap<String, String>>, String> {
        let messages = within(PATIENCE, self.client.simple_query(query)).await?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let cells = |row: &SimpleQueryRow, place: usize| row.get(place).unwrap_or_default().to_owned();
        let named = |row: SimpleQueryRow| {
            let columns = row.columns().iter().enumerate();
            columns.map(|(place, column)| (column.name().to_owned(), cells(&row, place))).collect()
        };
        Ok(rows.map(named).collect())
    }

    /// Runs a statement.
    pub(crate) async fn run(&self, statement: &str) -> Result<(), String> {
        within(PATIENCE_FOR_CHANGE, self.client.batch_execute(statement)).await
    }
}

async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, String> {
    match tokio::time::timeout(patience, work).await {
        Ok(result) => result.map_err(|error| explain(&error)),
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
