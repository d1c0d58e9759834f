//! NATS: one server, with JetStream where data is kept.
//!
//! Invariant: it listens on 127.0.0.1 only, and lets nobody in without the password.
//! Invariant: readiness is asked at the port of its figures, to which no password is offered.

mod config;
mod monitor;
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
    stamp, text,
};
use plimsoll_model::{Millis, store::Store};
use std::path::{Path, PathBuf};

const KIND: Kind = Kind {
    name: "NATS",
    programs: &["/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"],
    version: &["--version"],
    package: "nats-server",
    oldest: (2, 9),
};

/// The port of its figures is that far above its own.
const FIGURES: u16 = 10_000;

/// The only member.
const FOLDER: &str = "0";

/// A NATS store that runs here.
#[derive(Debug)]
pub struct Nats {
    name: String,
    store: Store,
    site: Site,
    installed: Installed,
    password: Secret,
}

/// What this machine has and lacks for it.
pub(crate) fn doctor(store: &Store) -> Finding {
    KIND.doctor(store.version.as_deref())
}

/// Whether an external server lets us in. The URL is never repeated.
pub(crate) async fn external(url: &str) -> Result<(), NotReady> {
    session::external(url).await.map_err(NotReady::new)
}

impl Nats {
    pub(crate) fn try_new(name: &str, store: &Store, site: &Site) -> Result<Self, StoreError> {
        let invalid = |why: String| StoreError::Invalid { store: name.to_owned(), why };
        config::check(store).map_err(invalid)?;
        if site.ports.iter().any(|port| *port > u16::MAX - FIGURES) {
            return Err(invalid("its port must be at most 55535: that of its figures is 10000 above".to_owned()));
        }
        if rustix::process::geteuid().is_root() && site.server_user.is_none_or(|user| user.uid == 0) {
            return Err(invalid("NATS is not run as root: an unprivileged account is needed for it".to_owned()));
        }
        let found = KIND.found();
        let installed = KIND.choose(store.version.as_deref(), found.as_ref()).map_err(|why| why.for_store(name))?;
        let password = secret::keep(&site.secrets, name, Purpose::Service)?;
        Ok(Self { name: name.to_owned(), store: store.clone(), site: site.clone(), installed, password })
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        let path = self.site.data.join("0.conf");
        let place = config::Place { port: self.port(), figures: self.port() + FIGURES, dir: &self.data_dir() };
        let login = config::Login { user: &self.user(), password: &self.password };
        let text = config::server(&self.store, &place, &login);
        vec![Member {
            name: FOLDER.to_owned(),
            port: self.port(),
            prepare: Vec::new(),
            files: vec![ConfigFile { path: path.clone(), text, mode: 0o600, owner: self.site.server_user }],
            serve: Command {
                program: self.installed.program.display().to_string(),
                args: vec!["--config".to_owned(), path.display().to_string()],
                env: environment(),
                dir: self.data_dir(),
                user: self.site.server_user,
            },
            stop_signal: SIGTERM,
            grace: Millis::from_secs(30),
        }]
    }

    pub(crate) fn before_start(&self) -> Result<(), StoreError> {
        let dir = self.data_dir();
        if let Some(pid) = crate::processes::working_in(&dir) {
            return Err(StoreError::Lingering { pid, path: dir });
        }
        stamp::stamp(&self.name, &self.site, 0, &self.installed.version)?;
        files::ensure_dir(&self.site.data, Path::new(FOLDER), Access { mode: 0o700, owner: self.site.server_user })?;
        for file in self.members().into_iter().flat_map(|member| member.files) {
            let path = file.path.strip_prefix(&self.site.data).unwrap_or(&file.path);
            let access = Access { mode: file.mode, owner: file.owner };
            files::write_durably(&self.site.data, path, file.text.as_bytes(), access)?;
        }
        Ok(())
    }

    /// It serves, and has read all of its streams.
    pub(crate) async fn ready(&self) -> Result<(), NotReady> {
        monitor::health(self.port() + FIGURES).await.map_err(NotReady::asking)
    }

    /// There is nothing to be made; whoever comes with the password is let in.
    pub(crate) async fn provision(&self) -> Result<Provisioned, StoreError> {
        let failed = |why: String| StoreError::Server { store: self.name.clone(), act: "sign in".to_owned(), why };
        let login = session::Login { user: self.user(), password: self.password.expose().to_owned() };
        session::sign_in(&format!("127.0.0.1:{}", self.port()), Some(&login)).await.map_err(failed)?;
        Ok(Provisioned::default())
    }

    pub(crate) async fn inspect(&self) -> Inspection {
        let asked = monitor::figures(self.port() + FIGURES, self.store.persistent).await;
        let (seen, summary) = match asked {
            Ok(figures) => {
                let mut detail = format!("{}, {} connections", text::bytes(figures.memory), figures.connections);
                if let Some(kept) = &figures.kept {
                    detail = format!(
                        "{detail}, {} streams with {} messages in {}",
                        kept.streams,
                        kept.messages,
                        text::bytes(kept.bytes)
                    );
                }
                let summary = format!("NATS {}, {detail}", figures.version);
                let (name, role) = (FOLDER.to_owned(), "primary".to_owned());
                (MemberSeen { name, role, lag_bytes: None, ok: true, detail }, summary)
            }
            Err(why) => {
                let summary = format!("NATS {}: not running", self.installed.version);
                (MemberSeen::silent(FOLDER.to_owned(), why), summary)
            }
        };
        Inspection { healthy: seen.ok, members: vec![seen], summary }
    }

    pub(crate) fn url(&self) -> String {
        let password = self.password.expose();
        format!("nats://{}:{password}@127.0.0.1:{}", text::percent(&self.user()), self.port())
    }

    /// The user of services: the store's name, as far as it can be one.
    fn user(&self) -> String {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let usable = !self.name.is_empty() && self.name.len() <= 63 && self.name.bytes().all(plain);
        if usable { self.name.clone() } else { format!("store-{}", text::digest(&self.name)) }
    }

    fn port(&self) -> u16 {
        self.site.ports.first().copied().unwrap_or(0)
    }

    fn data_dir(&self) -> PathBuf {
        self.site.data.join(FOLDER)
    }
}
