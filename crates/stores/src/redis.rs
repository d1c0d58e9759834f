//! Redis: a single server with its replicas, or a Redis Cluster.
//!
//! Invariant: every server needs the password, and listens on 127.0.0.1 only.
//! Invariant: we speak to servers by their Unix sockets, so the password is never offered to whoever has taken a port.

mod config;
mod form;
mod nodes;
mod session;

use crate::{
    doctor::Finding,
    error::{NotReady, StoreError},
    files::{self, Access, ConfigFile},
    member::{Command, Member, SIGTERM, environment},
    program::{Installed, Kind},
    secret::{self, Purpose, Secret},
    seen::{Inspection, MemberSeen, Provisioned},
    site::Site,
    text,
};
use futures_util::future::join_all;
use plimsoll_model::{
    Millis,
    store::{Cluster, Store},
};
use std::path::{Path, PathBuf};

const KIND: Kind = Kind {
    name: "Redis",
    programs: &["/usr/bin/redis-server", "/usr/local/bin/redis-server"],
    version: &["--version"],
    package: "redis-server",
    oldest: (7, 0),
};

/// A Redis store that runs here.
#[derive(Debug)]
pub struct Redis {
    name: String,
    store: Store,
    site: Site,
    installed: Installed,
    password: Secret,
}

/// How many members a Redis store has.
pub(crate) fn member_count(store: &Store) -> usize {
    let count = store.cluster.map_or(store.instances.max(1), |cluster| {
        cluster.masters.saturating_mul(cluster.replicas_per_master.saturating_add(1))
    });
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// What this machine has and lacks for it.
pub(crate) fn doctor(store: &Store) -> Finding {
    KIND.doctor(store.version.as_deref())
}

/// Whether an external server answers. The URL is never repeated.
pub(crate) async fn external(url: &str) -> Result<(), NotReady> {
    session::external(url).await.map_err(NotReady::new)
}

impl Redis {
    pub(crate) fn try_new(name: &str, store: &Store, site: &Site) -> Result<Self, StoreError> {
        let invalid = |why: String| StoreError::Invalid { store: name.to_owned(), why };
        config::check(store).map_err(invalid)?;
        if store.cluster.is_some() && site.ports.iter().any(|port| *port > 55_535) {
            return Err(invalid("a port of a Redis Cluster must be at most 55535: its bus is 10000 above".to_owned()));
        }
        if rustix::process::geteuid().is_root() && site.server_user.is_none_or(|user| user.uid == 0) {
            return Err(invalid("Redis is not run as root: an unprivileged account is needed for it".to_owned()));
        }
        let installed =
            KIND.choose(store.version.as_deref(), KIND.found().as_ref()).map_err(|why| why.for_store(name))?;
        let password = secret::keep(&site.secrets, name, Purpose::Service)?;
        Ok(Self { name: name.to_owned(), store: store.clone(), site: site.clone(), installed, password })
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        (0..self.site.ports.len()).map(|index| self.member(index)).collect()
    }

    fn member(&self, index: usize) -> Member {
        let port = self.site.ports[index];
        let path = self.site.data.join(format!("{index}.conf"));
        let place = config::Place {
            port,
            dir: &self.site.data.join(index.to_string()),
            socket: &self.socket(index),
            primary: (self.store.cluster.is_none() && index > 0).then(|| self.site.ports[0]),
        };
        let text = config::server(&self.store, &place, &self.password);
        Member {
            name: index.to_string(),
            port,
            prepare: Vec::new(),
            files: vec![ConfigFile { path: path.clone(), text, mode: 0o600, owner: self.site.server_user }],
            serve: Command {
                program: self.installed.program.display().to_string(),
                args: vec![path.display().to_string()],
                env: environment(),
                dir: self.site.data.clone(),
                user: self.site.server_user,
            },
            stop_signal: SIGTERM,
            grace: Millis::from_secs(30),
        }
    }

    pub(crate) fn before_start(&self, index: usize) -> Result<(), StoreError> {
        let name = index.to_string();
        let dir = self.site.data.join(&name);
        if let Some(pid) = crate::processes::working_in(&dir) {
            return Err(StoreError::Lingering { pid, path: dir });
        }
        files::ensure_dir(&self.site.data, Path::new(&name), Access { mode: 0o700, owner: self.site.server_user })?;
        for file in self.member(index).files {
            let path = file.path.strip_prefix(&self.site.data).unwrap_or(&file.path);
            files::write_durably(
                &self.site.data,
                path,
                file.text.as_bytes(),
                Access { mode: file.mode, owner: file.owner },
            )?;
        }
        Ok(())
    }

    pub(crate) async fn ready(&self, index: usize) -> Result<(), NotReady> {
        // While it loads its data it answers LOADING to everything.
        session::open(&self.socket(index), &self.password)
            .await
            .map_err(NotReady::asking)?
            .ping()
            .await
            .map_err(NotReady::new)
    }

    pub(crate) async fn provision(&self) -> Result<Provisioned, StoreError> {
        match self.store.cluster {
            None => Ok(Provisioned::default()),
            Some(cluster) => self.form(cluster).await,
        }
    }

    async fn form(&self, cluster: Cluster) -> Result<Provisioned, StoreError> {
        let wanted = form::Wanted { cluster, node_timeout_ms: config::node_timeout_ms(&self.store) };
        form::form(&self.places(), &self.password, &wanted).await.map_err(|failed| match failed {
            form::Failed::Refused(why) => StoreError::Refused { store: self.name.clone(), why },
            form::Failed::Late(why) => StoreError::NotFormed { store: self.name.clone(), why },
        })
    }

    pub(crate) async fn inspect(&self) -> Inspection {
        if let Some(cluster) = self.store.cluster {
            return form::inspect(&self.places(), &self.password, cluster).await;
        }
        let asked = join_all((0..self.site.ports.len()).map(|index| self.inspect_one(index))).await;
        let (members, lines): (Vec<MemberSeen>, Vec<Option<String>>) = asked.into_iter().unzip();
        let summary = lines.into_iter().flatten().next();
        Inspection {
            healthy: members.iter().all(|member| member.ok),
            members,
            summary: summary.unwrap_or_else(|| format!("Redis {}: not running", self.installed.version)),
        }
    }

    async fn inspect_one(&self, index: usize) -> (MemberSeen, Option<String>) {
        let name = index.to_string();
        let info = match session::open(&self.socket(index), &self.password).await {
            Ok(session) => session.info().await,
            Err(why) => Err(why),
        };
        match info {
            Ok(info) => {
                let detail = format!(
                    "{}, {} connections",
                    text::bytes(info.number("used_memory")),
                    info.number("connected_clients")
                );
                let line = format!("Redis {}, {detail}", info.text("redis_version"));
                (info.seen(name, detail), Some(line))
            }
            Err(why) => (MemberSeen::silent(name, why), None),
        }
    }

    pub(crate) fn url(&self) -> String {
        let password = self.password.expose();
        if self.store.cluster.is_some() {
            let addresses: Vec<String> = self.site.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
            return format!("redis+cluster://:{password}@{}", addresses.join(","));
        }
        format!("redis://:{password}@127.0.0.1:{}/0", self.site.ports[0])
    }

    fn socket(&self, index: usize) -> PathBuf {
        self.site.run.join(format!("redis-{}.sock", self.site.ports[index]))
    }

    fn places(&self) -> Vec<form::Place> {
        (0..self.site.ports.len())
            .map(|index| form::Place { port: self.site.ports[index], socket: self.socket(index) })
            .collect()
    }
}
