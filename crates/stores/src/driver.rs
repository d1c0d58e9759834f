//! One store of any kind that can be run here.

use crate::{
    error::{NotReady, StoreError},
    member::Member,
    nats::Nats,
    postgres::{Postgres, pooler::Pooler},
    redis::Redis,
    seen::{Inspection, Provisioned},
    site::Site,
};
use plimsoll_control::failover::Role;
use plimsoll_model::store::{Engine, Store};

/// A store that runs on this machine: what its processes are, and how to speak to them.
#[derive(Debug)]
pub enum Driver {
    /// PostgreSQL.
    Postgres(Postgres),
    /// Redis, single or cluster.
    Redis(Redis),
    /// NATS, with JetStream or without.
    Nats(Nats),
}

/// How many members a store has here, and so how many ports it needs. Zero: it is external, or can't be run here.
#[must_use]
pub fn member_count(store: &Store) -> usize {
    match (store.engine, &store.external) {
        (Engine::Postgres, None) => crate::postgres::member_count(store),
        (Engine::Redis, None) => crate::redis::member_count(store),
        (Engine::Nats, None) => 1,
        _ => 0,
    }
}

/// What the file asks of the store that is not enforced on this machine yet, one line each; for `plan` and `status`.
#[must_use]
pub fn recorded(store: &Store) -> Vec<String> {
    if store.external.is_some() {
        return Vec::new();
    }
    let mut lines = Vec::new();
    if store.engine == Engine::Postgres {
        if store.synchronous && !store.waits_for_standby() {
            lines.push("synchronous: there is no standby to wait for".to_owned());
        }
        if store.max_memory.is_some() || store.eviction.is_some() {
            lines.push("maxMemory, eviction: PostgreSQL is no cache".to_owned());
        }
    }
    if store.engine == Engine::Redis && store.synchronous {
        lines.push("synchronous: Redis copies to its replicas without waiting".to_owned());
    }
    if store.backup.is_some() {
        lines.push("backup: no backup is made".to_owned());
    }
    lines
}

/// Gets ready to run a store: finds the server, checks the settings and the data that is there, makes the passwords.
///
/// # Errors
/// `Missing` (install), `Invalid` (fix the file), `Refused` (the data is another's), `Unsupported`, `File` (fix the disk).
pub fn driver(name: &str, store: &Store, site: &Site) -> Result<Driver, StoreError> {
    let invalid = |why: String| StoreError::Invalid { store: name.to_owned(), why };
    if store.external.is_some() {
        return Err(invalid("it is external: it is used where it is, and never run".to_owned()));
    }
    // Of a PostgreSQL store more members than wanted may be known: the last one may be its primary.
    let enough = site.ports.len() == member_count(store)
        || (store.engine == Engine::Postgres && site.ports.len() > member_count(store));
    if !enough && member_count(store) > 0 {
        return Err(invalid(format!("it needs {} ports and was given {}", member_count(store), site.ports.len())));
    }
    check_paths(site).map_err(invalid)?;
    match store.engine {
        Engine::Postgres => Postgres::try_new(name, store, site).map(Driver::Postgres),
        Engine::Redis => Redis::try_new(name, store, site).map(Driver::Redis),
        Engine::Nats => Nats::try_new(name, store, site).map(Driver::Nats),
        other => Err(StoreError::Unsupported { engine: format!("{other:?}").to_lowercase() }),
    }
}

/// Paths that go into configuration files and addresses of sockets (107 bytes at most, the socket's name included).
fn check_paths(site: &Site) -> Result<(), String> {
    for path in [&site.data, &site.run] {
        let plain = path.is_absolute() && path.to_str().is_some_and(|text| !text.chars().any(char::is_control));
        if !plain {
            return Err(format!("{path:?} can't be used: it must be an absolute path of plain text"));
        }
    }
    let length = site.run.as_os_str().len();
    if length > 80 {
        return Err(format!(
            "{} is too long for Unix sockets: {length} bytes where 80 are allowed",
            site.run.display()
        ));
    }
    Ok(())
}

impl Driver {
    /// A PostgreSQL store of several members, one of which is the primary: who that is decides `control::failover`, and
    /// everything about its members goes by the role that they have. `None`: a store of another kind, or of one server.
    #[must_use]
    pub fn replicated(&self) -> Option<&Postgres> {
        match self {
            Self::Postgres(store) if store.is_replicated() => Some(store),
            _ => None,
        }
    }

    /// The pooler before it. `None`: it has none.
    #[must_use]
    pub fn pooler(&self) -> Option<&Pooler> {
        match self {
            Self::Postgres(store) => store.pooler(),
            _ => None,
        }
    }

    /// What services are told for what a pooler can't give them. Holds the password. `None`: their URL leads to the server.
    #[must_use]
    pub fn direct_url(&self) -> Option<String> {
        match self {
            Self::Postgres(store) => store.direct_url(),
            _ => None,
        }
    }

    /// Its processes, by their place. Cheap; looks whether data is there, so ask again before each start.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        match self {
            Self::Postgres(store) => store.members(),
            Self::Redis(store) => store.members(),
            Self::Nats(store) => store.members(),
        }
    }

    /// Right before a member is started: checks its data, writes its files, clears locks that a crash left behind.
    ///
    /// # Errors
    /// `Lingering` (retry in a moment), `Refused` (the data is not ours), `File`. Nothing may be started then.
    pub fn before_start(&self, member: usize) -> Result<(), StoreError> {
        match self {
            Self::Postgres(store) => store.before_start(member, Role::Primary),
            Self::Redis(store) => store.before_start(member),
            Self::Nats(store) => store.before_start(),
        }
    }

    /// Whether a member serves: it answers a query within two seconds, and has loaded its data.
    ///
    /// # Errors
    /// Why not (yet). Ask again.
    pub async fn ready(&self, member: usize) -> Result<(), NotReady> {
        match self {
            Self::Postgres(store) => store.ready(member).await,
            Self::Redis(store) => store.ready(member).await,
            Self::Nats(store) => store.ready().await,
        }
    }

    /// Once all members are ready, and whenever one came back: makes what services need (role, database, cluster), or
    /// finds that it is there. Idempotent; may be cut short anywhere.
    ///
    /// # Errors
    /// `Server` and `NotFormed` (retry), `Refused` (a person must decide; nothing was changed that holds data).
    pub async fn provision(&self) -> Result<Provisioned, StoreError> {
        match self {
            Self::Postgres(store) => store.provision(0).await,
            Self::Redis(store) => store.provision().await,
            Self::Nats(store) => store.provision().await,
        }
    }

    /// How it is now. Answers within a few seconds, also when nothing runs.
    pub async fn inspect(&self) -> Inspection {
        match self {
            Self::Postgres(store) => store.inspect().await,
            Self::Redis(store) => store.inspect().await,
            Self::Nats(store) => store.inspect().await,
        }
    }

    /// What services are told. Holds the password.
    ///
    /// `postgres://NAME:PASS@127.0.0.1:PORT/NAME`, `redis://:PASS@127.0.0.1:PORT/0`,
    /// `redis+cluster://:PASS@127.0.0.1:7001,127.0.0.1:7002,…` or `nats://NAME:PASS@127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Postgres(store) => store.url(),
            Self::Redis(store) => store.url(),
            Self::Nats(store) => store.url(),
        }
    }
}
