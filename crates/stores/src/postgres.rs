//! PostgreSQL: a server with its own data folder, port, role and database, and its standbys.
//!
//! Invariant: a data folder is complete or not there: it is made beside its place and moved there at the end.
//! Invariant: it listens on 127.0.0.1 only, and its administrator can connect by the Unix socket only.

mod config;
mod data;
pub(crate) mod installed;
mod log_end;
mod looking;
pub mod pooler;
mod provision;
pub(crate) mod session;
mod standby;

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
use plimsoll_control::failover::{Preparation, Role};
use plimsoll_model::{Millis, store::Store};
use std::path::{Path, PathBuf};

/// The administrator's role. Services get their own.
pub(crate) const ADMIN: &str = "plimsoll_admin";

/// The signal that ends a server cleanly: whoever is connected is cut off, and standbys get the end of the log.
pub const STOP_SIGNAL: i32 = SIGINT;
/// How long a server may take for that before it is killed.
pub const GRACE: Millis = Millis::from_secs(30);

/// A PostgreSQL store that runs here.
#[derive(Debug)]
pub struct Postgres {
    name: String,
    /// The role and database of services.
    role: String,
    store: Store,
    site: Site,
    installed: Installed,
    admin_password: Secret,
    password: Secret,
    /// Of the role by which standbys get the log. `None`: it has none.
    replication: Option<Secret>,
    /// Connections that are kept to look at members, by their place.
    looks: looking::Looks,
    pooler: Option<Box<pooler::Pooler>>,
}

/// How many members a PostgreSQL store has.
pub(crate) fn member_count(store: &Store) -> usize {
    usize::try_from(store.instances.max(1)).unwrap_or(1)
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
        config::check(store).map_err(invalid)?;
        let wanted = store.version.as_deref().map(installed::major).transpose().map_err(invalid)?;
        if site.ports.is_empty() {
            return Err(invalid("it needs a port".to_owned()));
        }
        let mut data = None;
        for place in 0..site.ports.len() {
            data = data.or(data::look(&site.data.join(place.to_string())).map_err(refused)?);
        }
        let installed = installed::choose(wanted, data, found).map_err(|why| why.for_store(name))?;
        if rustix::process::geteuid().is_root() && site.server_user.is_none_or(|user| user.uid == 0) {
            return Err(invalid("PostgreSQL doesn't run as root: an unprivileged account is needed for it".to_owned()));
        }
        let (role, password) = (config::role(name), secret::keep(&site.secrets, name, Purpose::Service)?);
        Ok(Self {
            pooler: pooler::Pooler::try_new((name, &role), store, site, &password)?.map(Box::new),
            role,
            name: name.to_owned(),
            store: store.clone(),
            site: site.clone(),
            installed,
            admin_password: secret::keep(&site.secrets, name, Purpose::Admin)?,
            password,
            replication: site.front.map(|_| secret::keep(&site.secrets, name, Purpose::Replication)).transpose()?,
            looks: looking::Looks::of(site.ports.len()),
        })
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        (0..self.site.ports.len()).map(|place| self.member(place, Role::Primary)).collect()
    }

    /// The process of the member at `place`, as it is to be started in that role.
    #[must_use]
    pub fn member(&self, place: usize, role: Role) -> Member {
        let there = self.has_data(place);
        let prepare = match role {
            Role::Primary if there => Vec::new(),
            Role::Primary => vec![self.initdb(place)],
            Role::Standby { of, by: Preparation::Copy } => vec![self.copy(place, of)],
            Role::Standby { of, by: Preparation::Rewind } => vec![self.rewind(place, of)],
            Role::Standby { by: Preparation::Nothing, .. } => Vec::new(),
        };
        Member {
            name: place.to_string(),
            port: self.port(place),
            prepare,
            files: self.config_files(place, role),
            serve: self.command(
                self.installed.program("postgres"),
                vec![
                    "-D".to_owned(),
                    self.data_dir(place).display().to_string(),
                    "-c".to_owned(),
                    format!("config_file={}", self.beside(place, "conf").display()),
                ],
            ),
            stop_signal: STOP_SIGNAL,
            grace: GRACE,
        }
    }

    /// Whether the member at `place` has data.
    #[must_use]
    pub fn has_data(&self, place: usize) -> bool {
        self.data_dir(place).join("PG_VERSION").exists()
    }

    /// Right before the member at `place` is started in that role, and again after its preparation: checks its data, writes its
    /// files, clears locks that a crash left behind.
    ///
    /// # Errors
    /// As [`crate::Driver::before_start`].
    pub fn before_start(&self, place: usize, role: Role) -> Result<(), StoreError> {
        let dir = self.data_dir(place);
        for used in [dir.clone(), self.beside(place, "new")] {
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
                files::remove(&self.site.data, Path::new(&format!("{place}.admin")))?;
                data::clear_stale_locks(&self.site, place)?;
                self.mark(place, role)?;
            }
            None => {}
        }
        for file in self.config_files(place, role) {
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

    pub(crate) async fn ready(&self, place: usize) -> Result<(), NotReady> {
        let session = session::open(&self.admin(place), "postgres").await.map_err(NotReady::asking)?;
        session.one("SELECT pg_is_in_recovery()").await.map(drop).map_err(NotReady::new)
    }

    /// Makes what services and standbys need at the primary at `place`: roles, database, a slot for each standby.
    ///
    /// # Errors
    /// `Server`: retry.
    pub async fn provision(&self, place: usize) -> Result<Provisioned, StoreError> {
        let mut done = provision::provision(&self.admin(place), &self.service(place))
            .await
            .map_err(|(act, why)| StoreError::Server { store: self.name.clone(), act, why })?;
        if let Some(password) = &self.replication {
            // Those that the file asks for; further ones may have been.
            let wanted = self.others(place).take(member_count(&self.store).saturating_sub(1));
            let slots = wanted.map(standby::name).collect::<Vec<_>>();
            let standbys = standby::provision(&self.admin(place), password, &slots).await;
            done.extend(standbys.map_err(|(act, why)| StoreError::Server { store: self.name.clone(), act, why })?);
        }
        Ok(Provisioned { done, notes: Vec::new() })
    }

    pub(crate) async fn inspect(&self) -> Inspection {
        match provision::figures(&self.admin(0)).await {
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
                let members: Vec<MemberSeen> = std::iter::once(seen).chain(self.pooler_seen().await).collect();
                Inspection { healthy: members.iter().all(|member| member.ok), members, summary }
            }
            Err(why) => Inspection {
                members: std::iter::once(MemberSeen::silent("0".to_owned(), why.clone()))
                    .chain(self.pooler_seen().await)
                    .collect(),
                healthy: false,
                summary: format!("PostgreSQL {}: {why}", self.installed.major),
            },
        }
    }

    pub(crate) fn url(&self) -> String {
        self.url_at(self.pooler.as_deref().map_or(self.server_port(), pooler::Pooler::port))
    }

    /// What services are told for what a pooler can't give them: prepared statements by name, locks and settings of a session,
    /// `LISTEN`. `None`: their URL leads to the server itself.
    pub(crate) fn direct_url(&self) -> Option<String> {
        self.pooler.as_ref().map(|_| self.url_at(self.server_port()))
    }

    /// Where the server is reached, whoever is the primary.
    fn server_port(&self) -> u16 {
        self.site.front.map_or(self.port(0), |front| front.port)
    }

    fn url_at(&self, port: u16) -> String {
        let role = text::percent(&self.role);
        format!("postgres://{role}:{}@127.0.0.1:{port}/{role}", self.password.expose())
    }

    /// The pooler before it. `None`: it has none.
    #[must_use]
    pub fn pooler(&self) -> Option<&pooler::Pooler> {
        self.pooler.as_deref()
    }

    /// How its pooler is. `None`: it has none.
    pub async fn pooler_seen(&self) -> Option<MemberSeen> {
        Some(self.pooler.as_ref()?.seen().await)
    }

    /// What services are told for reads that may be a second old. `None`: it has no standbys.
    #[must_use]
    pub fn read_url(&self) -> Option<String> {
        Some(self.url_at(self.site.front?.reads))
    }

    /// The port of the member at `place`; 0: it is none.
    #[must_use]
    pub fn port(&self, place: usize) -> u16 {
        self.site.ports.get(place).copied().unwrap_or(0)
    }

    fn others(&self, place: usize) -> impl Iterator<Item = usize> {
        (0..self.site.ports.len()).filter(move |other| *other != place)
    }

    fn data_dir(&self, place: usize) -> PathBuf {
        self.site.data.join(place.to_string())
    }

    /// A file of the member, outside its data folder.
    fn beside(&self, place: usize, ending: &str) -> PathBuf {
        self.site.data.join(format!("{place}.{ending}"))
    }

    fn admin(&self, place: usize) -> session::Login {
        session::Login {
            run: self.site.run.clone(),
            port: self.port(place),
            role: ADMIN.to_owned(),
            password: self.admin_password.clone(),
        }
    }

    fn service(&self, place: usize) -> session::Login {
        session::Login {
            run: self.site.run.clone(),
            port: self.port(place),
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
    fn initdb(&self, place: usize) -> Command {
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
            path(self.beside(place, "new")),
            path(self.data_dir(place)),
            path(self.beside(place, "admin")),
            ADMIN.to_owned(),
            path(self.site.data.clone()),
        ];
        self.command("/bin/sh".to_owned(), args)
    }

    fn config_files(&self, place: usize, role: Role) -> Vec<ConfigFile> {
        let file = |ending: &str, text: String| ConfigFile {
            path: self.beside(place, ending),
            text,
            mode: 0o600,
            owner: self.owner(),
        };
        let standbys = self.beside(place, "standbys");
        let at = config::Place {
            cluster: &self.role,
            port: self.port(place),
            run: &self.site.run,
            hba: &self.beside(place, "hba"),
            ident: &self.beside(place, "ident"),
            standbys: self.is_replicated().then_some(standbys.as_path()),
        };
        let mut files = vec![
            file("conf", config::server(&self.store, &at)),
            file("hba", config::access()),
            file("ident", String::new()),
        ];
        if let Some(password) = &self.replication {
            files.push(file("standbys", self.following(place, role)));
            files.push(file("pass", standby::passfile(password)));
        }
        if role == Role::Primary && !self.has_data(place) {
            files.push(file("admin", format!("{}\n", self.admin_password.expose())));
        }
        files
    }
}
