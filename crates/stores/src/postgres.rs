//! PostgreSQL: one server with its own data folder, port, role and database.
//!
//! Invariant: a data folder is complete or not there: it is made beside its place and moved there at the end.
//! Invariant: it listens on 127.0.0.1 only, and its administrator can connect by the Unix socket only.

mod config;
mod data;
pub(crate) mod installed;
mod provision;
pub(crate) mod session;

use crate::{
    error::{NotReady, StoreError},
    files::{self, Access, ConfigFile},
    member::{Command, Member, SIGINT, environment},
    secret::{self, Purpose, Secret},
    seen::{Inspection, MemberSeen, Provisioned},
    site::{Site, User},
    text,
};
use installed::Installed;
use plimsoll_model::{Millis, store::Store};
use std::path::{Path, PathBuf};

/// The administrator's role. Services get their own.
pub(crate) const ADMIN: &str = "plimsoll_admin";

/// A PostgreSQL store that runs here.
#[derive(Debug)]
pub struct Postgres {
    name: String,
    /// The role and database of services.
    role: String,
    store: Store,
    site: Site,
    port: u16,
    installed: Installed,
    admin_password: Secret,
    password: Secret,
}

impl Postgres {
    pub(crate) fn try_new(name: &str, store: &Store, site: &Site) -> Result<Self, StoreError> {
        Self::with_installed(name, store, site, &installed::found())
    }

    pub(crate) fn with_installed(
        name: &str,
        store: &Store,
        site: &Site,
        found: &[Installed],
    ) -> Result<Self, StoreError> {
        let invalid = |why: String| StoreError::Invalid { store: name.to_owned(), why };
        let refused = |why: String| StoreError::Refused { store: name.to_owned(), why };
        config::check(&store.settings).map_err(invalid)?;
        let wanted = store.version.as_deref().map(installed::major).transpose().map_err(invalid)?;
        let port = *site.ports.first().ok_or_else(|| invalid("it needs a port".to_owned()))?;
        let data = data::look(&site.data.join("0")).map_err(refused)?;
        let installed = installed::choose(wanted, data, found).map_err(|why| why.for_store(name))?;
        if rustix::process::geteuid().is_root() && site.server_user.is_none_or(|user| user.uid == 0) {
            return Err(invalid("PostgreSQL doesn't run as root: an unprivileged account is needed for it".to_owned()));
        }
        Ok(Self {
            role: config::role(name),
            name: name.to_owned(),
            store: store.clone(),
            site: site.clone(),
            port,
            installed,
            admin_password: secret::keep(&site.secrets, name, Purpose::Admin)?,
            password: secret::keep(&site.secrets, name, Purpose::Service)?,
        })
    }

    pub(crate) fn member(&self) -> Member {
        let there = self.data_dir().join("PG_VERSION").exists();
        Member {
            name: "0".to_owned(),
            port: self.port,
            prepare: if there { Vec::new() } else { vec![self.initdb()] },
            files: self.config_files(there),
            serve: self.command(
                self.installed.program("postgres"),
                vec![
                    "-D".to_owned(),
                    self.data_dir().display().to_string(),
                    "-c".to_owned(),
                    format!("config_file={}", self.beside("conf").display()),
                ],
            ),
            stop_signal: SIGINT,
            grace: Millis::from_secs(30),
        }
    }

    pub(crate) fn before_start(&self) -> Result<(), StoreError> {
        let dir = self.data_dir();
        for used in [dir.clone(), self.beside("new")] {
            if let Some(pid) = crate::processes::working_in(&used) {
                return Err(StoreError::Lingering { pid, path: used });
            }
        }
        let there = data::look(&dir).map_err(|why| StoreError::Refused { store: self.name.clone(), why })?;
        match there {
            Some(major) if major != self.installed.major => {
                let why = format!("it was made by PostgreSQL {major}, not {}", self.installed.major);
                return Err(StoreError::Refused { store: self.name.clone(), why });
            }
            Some(_) => {
                files::remove(&self.site.data, Path::new("0.admin"))?;
                data::clear_stale_locks(&self.site, self.port)?;
            }
            None => {}
        }
        for file in self.config_files(there.is_some()) {
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

    pub(crate) async fn ready(&self) -> Result<(), NotReady> {
        let session = session::open(&self.admin(), "postgres").await.map_err(NotReady::asking)?;
        session.one("SELECT pg_is_in_recovery()").await.map(drop).map_err(NotReady::new)
    }

    pub(crate) async fn provision(&self) -> Result<Provisioned, StoreError> {
        let done = provision::provision(&self.admin(), &self.service())
            .await
            .map_err(|(act, why)| StoreError::Server { store: self.name.clone(), act, why })?;
        Ok(Provisioned { done, notes: Vec::new() })
    }

    pub(crate) async fn inspect(&self) -> Inspection {
        match provision::figures(&self.admin()).await {
            Ok(figures) => {
                let role = if figures.recovering { "standby" } else { "primary" };
                let detail = format!("{}, {} connections", text::bytes(figures.bytes), figures.connections);
                let seen = MemberSeen {
                    name: "0".to_owned(),
                    role: role.to_owned(),
                    lag_bytes: None,
                    ok: !figures.recovering,
                    detail,
                };
                let summary = format!("PostgreSQL {}, {}", figures.version, seen.detail);
                Inspection { healthy: seen.ok, members: vec![seen], summary }
            }
            Err(why) => Inspection {
                members: vec![MemberSeen::silent("0".to_owned(), why.clone())],
                healthy: false,
                summary: format!("PostgreSQL {}: {why}", self.installed.major),
            },
        }
    }

    pub(crate) fn url(&self) -> String {
        let role = text::percent(&self.role);
        format!("postgres://{role}:{}@127.0.0.1:{}/{role}", self.password.expose(), self.port)
    }

    fn data_dir(&self) -> PathBuf {
        self.site.data.join("0")
    }

    /// A file of the member, outside its data folder.
    fn beside(&self, ending: &str) -> PathBuf {
        self.site.data.join(format!("0.{ending}"))
    }

    fn admin(&self) -> session::Login {
        session::Login {
            run: self.site.run.clone(),
            port: self.port,
            role: ADMIN.to_owned(),
            password: self.admin_password.clone(),
        }
    }

    fn service(&self) -> session::Login {
        session::Login {
            run: self.site.run.clone(),
            port: self.port,
            role: self.role.clone(),
            password: self.password.clone(),
        }
    }

    fn owner(&self) -> Option<User> {
        self.site.server_user
    }

    fn command(&self, program: String, args: Vec<String>) -> Command {
        Command { program, args, env: environment(), dir: self.site.data.clone(), user: self.owner() }
    }

    /// Makes the data folder beside its place, and moves it there durably when it is whole.
    fn initdb(&self) -> Command {
        const SCRIPT: &str = r#"set -eu
umask 077
rm -rf -- "$2"
"$1" --pgdata="$2" --username="$5" --pwfile="$4" --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --data-checksums
mv -T -- "$2" "$3"
sync -- "$6"
rm -f -- "$4""#;
        let path = |path: PathBuf| path.display().to_string();
        let args = vec![
            "-c".to_owned(),
            SCRIPT.to_owned(),
            "initdb".to_owned(),
            self.installed.program("initdb"),
            path(self.beside("new")),
            path(self.data_dir()),
            path(self.beside("admin")),
            ADMIN.to_owned(),
            path(self.site.data.clone()),
        ];
        self.command("/bin/sh".to_owned(), args)
    }

    fn config_files(&self, there: bool) -> Vec<ConfigFile> {
        let file = |ending: &str, text: String| ConfigFile {
            path: self.beside(ending),
            text,
            mode: 0o600,
            owner: self.owner(),
        };
        let place = config::Place {
            cluster: &self.role,
            port: self.port,
            run: &self.site.run,
            hba: &self.beside("hba"),
            ident: &self.beside("ident"),
        };
        let mut files = vec![
            file("conf", config::server(&self.store, &place)),
            file("hba", config::access()),
            file("ident", String::new()),
        ];
        if !there {
            files.push(file("admin", format!("{}\n", self.admin_password.expose())));
        }
        files
    }
}
