//! The role and database of services, and a server's figures.

use super::{
    config::{identifier, literal},
    session::{self, Login},
};

/// Makes the role and its database where they are missing, and sets the role's password where it isn't the one we know.
///
/// Answers what was done. The error is what failed and why.
pub(crate) async fn provision(admin: &Login, service: &Login) -> Result<Vec<String>, (String, String)> {
    if session::open(service, &service.role).await.is_ok() {
        return Ok(Vec::new());
    }
    let named = |act: &'static str| move |why: String| (act.to_owned(), why);
    let session = session::open(admin, "postgres").await.map_err(named("connect"))?;
    // There may be no standby yet that a commit could wait for.
    session.run("SET synchronous_commit = local").await.map_err(named("set up the session"))?;
    let role = identifier(&service.role);
    // Only the verifier is sent, so that not even a failed statement puts the password into the server's log.
    let verifier = literal(&postgres_protocol::password::scram_sha_256(service.password.expose().as_bytes()));
    let mut done = Vec::new();
    if session
        .finds("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1::text", &service.role)
        .await
        .map_err(named("list roles"))?
    {
        session
            .run(&format!("ALTER ROLE {role} LOGIN PASSWORD {verifier}"))
            .await
            .map_err(named("set the password"))?;
        done.push(format!("password of role {} set", service.role));
    } else {
        session
            .run(&format!("CREATE ROLE {role} LOGIN PASSWORD {verifier}"))
            .await
            .map_err(named("create the role"))?;
        done.push(format!("role {} created", service.role));
    }
    let known = session.finds("SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1::text", &service.role).await;
    if !known.map_err(named("list databases"))? {
        session.run(&format!("CREATE DATABASE {role} OWNER {role}")).await.map_err(named("create the database"))?;
        done.push(format!("database {} created", service.role));
    }
    session::open(service, &service.role).await.map_err(named("connect as the store's role"))?;
    Ok(done)
}

/// What a server says of itself.
pub(crate) struct Figures {
    /// `15.10`.
    pub version: String,
    /// Bytes of all databases.
    pub bytes: u64,
    /// Clients that are connected, without ourselves.
    pub connections: i64,
    /// It replays a log: after a crash, or as a standby.
    pub recovering: bool,
}

/// Asks a server for its figures.
pub(crate) async fn figures(admin: &Login) -> Result<Figures, String> {
    const QUERY: &str = "SELECT split_part(current_setting('server_version'), ' ', 1), \
        (SELECT sum(pg_database_size(oid))::int8 FROM pg_catalog.pg_database), \
        (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()), \
        pg_is_in_recovery()";
    let row = session::open(admin, "postgres").await?.one(QUERY).await?;
    let bytes: i64 = row.get(1);
    Ok(Figures {
        version: row.get(0),
        bytes: u64::try_from(bytes).unwrap_or(0),
        connections: row.get(2),
        recovering: row.get(3),
    })
}
