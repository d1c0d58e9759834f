//! PgBouncer before a PostgreSQL store: many clients on few connections of the server's.
//!
//! Services sign in at the pooler by the store's password, and it signs in at the primary by the same, at its Unix socket.
//! While it is paused, whoever asks something waits, and stays connected.
//!
//! Invariant: it lets in the store's role to the store's database, and nobody else anywhere; its own console only by its
//! Unix socket, with a password of its own.

use super::session::{self, Login};
use crate::{
    doctor::Finding,
    error::{NotReady, StoreError},
    files::{self, Access, ConfigFile},
    member::{Command, Member, SIGTERM, environment},
    program::{Installed, Kind},
    secret::{self, Purpose, Secret},
    seen::MemberSeen,
    site::Site,
};
use plimsoll_model::{Millis, store};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU16, Ordering::Relaxed},
};

pub(crate) const KIND: Kind = Kind {
    name: "PgBouncer",
    programs: &["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"],
    version: &["--version"],
    package: "pgbouncer",
    oldest: (1, 16),
};

/// Its name beside the members of its store.
pub const NAME: &str = "pooler";

/// Who may use its console.
const CONSOLE: &str = "plimsoll_pooler";

/// Its name for its console.
const CONSOLE_DATABASE: &str = "pgbouncer";

/// Whoever waits for a connection of the server's for so long is sent away. Longer than a failover takes.
const WAIT_S: u32 = 60;

/// How soon a server that could not be reached is tried again: by PgBouncer's default of 15 s, a server that is back would
/// be used that late.
const RETRY_S: &str = "0.2";

/// What it needs of files that are open, beside connections.
const FILES: u32 = 100;

/// What a server that has a pooler before it takes of connections beside those of the pooler.
pub(crate) const BESIDE: u32 = 50;

/// The connections of a pooler to its server at most.
pub(crate) fn most(pooler: &store::Pooler) -> u32 {
    pooler.default_pool_size.saturating_add(pooler.reserve_pool_size)
}

/// A pooler that runs here.
#[derive(Debug)]
pub struct Pooler {
    wanted: store::Pooler,
    role: String,
    site: Site,
    port: u16,
    installed: Installed,
    password: Secret,
    console: Secret,
    /// The port of the server that it leads to.
    to: AtomicU16,
}

impl Pooler {
    /// The pooler that the store asks for. `None`: it asks for none.
    pub(super) fn try_new(
        (name, role): (&str, &str),
        wanted: &store::Store,
        site: &Site,
        password: &Secret,
    ) -> Result<Option<Self>, StoreError> {
        let Some(pooler) = &wanted.pooler else { return Ok(None) };
        let invalid = |why: &str| StoreError::Invalid { store: name.to_owned(), why: why.to_owned() };
        let Some(port) = site.pooler else { return Err(invalid("its pooler needs a port")) };
        if pooler.default_pool_size == 0 || pooler.max_connections == 0 {
            return Err(invalid("a pooler of no connections serves nobody: write at least 1"));
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        if !role.bytes().all(plain) {
            return Err(invalid("with a pooler its name may have letters, digits, `_`, `-` and `.`"));
        }
        let run = site.run.display().to_string();
        if run.contains([',', '\'', '\\', '"']) {
            return Err(invalid("PgBouncer can't use the folder of its sockets: it has a comma, a quote or `\\`"));
        }
        let installed = KIND.choose(None, KIND.found().as_ref()).map_err(|why| why.for_store(name))?;
        Ok(Some(Self {
            wanted: pooler.clone(),
            role: role.to_owned(),
            site: site.clone(),
            port,
            installed,
            password: password.clone(),
            console: secret::keep(&site.secrets, name, Purpose::Pooler)?,
            to: AtomicU16::new(site.ports.first().copied().unwrap_or(0)),
        }))
    }

    /// Its process. As any member's, but that it has no data.
    #[must_use]
    pub fn member(&self) -> Member {
        // It warns when fewer files may be open than it may need, and goes on; so does this.
        const SCRIPT: &str = r#"ulimit -n "$1" 2>/dev/null || true; exec "$2" "$3""#;
        let files = self.wanted.max_connections.saturating_add(most(&self.wanted)).saturating_add(FILES);
        let args = [
            "-c",
            SCRIPT,
            "pooler",
            &files.to_string(),
            &self.installed.program.display().to_string(),
            &self.file("ini").display().to_string(),
        ];
        Member {
            name: NAME.to_owned(),
            port: self.port,
            prepare: Vec::new(),
            files: vec![self.config("ini", self.settings()), self.config("users", self.users())],
            serve: Command {
                program: "/bin/sh".to_owned(),
                args: args.map(str::to_owned).to_vec(),
                env: environment(),
                dir: self.dir(),
                user: self.site.server_user,
            },
            stop_signal: SIGTERM,
            grace: Millis::from_secs(10),
        }
    }

    /// Right before it is started: writes its files.
    ///
    /// # Errors
    /// As [`crate::Driver::before_start`].
    pub fn before_start(&self) -> Result<(), StoreError> {
        if let Some(pid) = crate::processes::working_in(&self.dir()) {
            return Err(StoreError::Lingering { pid, path: self.dir() });
        }
        files::ensure_dir(&self.site.data, Path::new(NAME), Access { mode: 0o700, owner: self.site.server_user })?;
        self.member().files.iter().try_for_each(|file| self.write(file))
    }

    /// Whether it answers. That says nothing of the server behind it.
    ///
    /// # Errors
    /// Why not; ask again.
    pub async fn ready(&self) -> Result<(), NotReady> {
        let session = self.console().await.map_err(NotReady::asking)?;
        session.rows("SHOW VERSION").await.map(drop).map_err(NotReady::new)
    }

    /// Leads to the server at that port from now on, and lets go whoever waits.
    ///
    /// # Errors
    /// Why not; ask again.
    pub async fn lead(&self, port: u16) -> Result<(), String> {
        self.to.store(port, Relaxed);
        self.write(&self.config("ini", self.settings())).map_err(|error| error.to_string())?;
        let session = self.console().await?;
        session.run("RELOAD").await?;
        match session.run(&format!("RESUME \"{}\"", self.role)).await {
            Err(why) if !why.contains("is not paused") => Err(why),
            _ => Ok(()),
        }
    }

    /// Has whoever asks something wait from now on, and returns when what was under way is done and no connection to the
    /// server is left. Who is cut short here leaves it paused, or about to be: [`Pooler::lead`] ends that.
    ///
    /// # Errors
    /// Why not; ask again.
    pub async fn pause(&self) -> Result<(), String> {
        let session = self.console().await?;
        session.run(&format!("PAUSE \"{}\"", self.role)).await
    }

    /// How it is now.
    pub async fn seen(&self) -> MemberSeen {
        let asked = async {
            let session = self.console().await?;
            let pools = session.rows("SHOW POOLS").await?;
            let ours = pools.into_iter().find(|row| row.get("database") == Some(&self.role)).unwrap_or_default();
            let number = |name: &str| ours.get(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            let (active, waiting) = (number("cl_active"), number("cl_waiting"));
            let busy = number("sv_active");
            let open = busy + number("sv_idle") + number("sv_used") + number("sv_tested") + number("sv_login");
            let longest = Millis(number("maxwait") * 1000 + number("maxwait_us") / 1000);
            let waits = if waiting > 0 { format!(", {waiting} wait (the first for {longest})") } else { String::new() };
            Ok::<_, String>(format!(
                "{} clients of at most {}{waits}; {busy} of {open} connections to the server busy, at most {}",
                active + waiting,
                self.wanted.max_connections,
                most(&self.wanted)
            ))
        };
        match asked.await {
            Ok(detail) => {
                let role = format!("{NAME} ({})", self.wanted.pool_mode);
                MemberSeen { name: NAME.to_owned(), role, lag_bytes: None, ok: true, detail }
            }
            Err(why) => MemberSeen { role: NAME.to_owned(), ..MemberSeen::silent(NAME.to_owned(), why) },
        }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    async fn console(&self) -> Result<session::Session, String> {
        let login = Login {
            run: self.site.run.clone(),
            port: self.port,
            role: CONSOLE.to_owned(),
            password: self.console.clone(),
        };
        session::open(&login, CONSOLE_DATABASE).await
    }

    /// `pgbouncer.ini`.
    fn settings(&self) -> String {
        let run = self.site.run.display();
        let lines = [
            ("listen_addr", "127.0.0.1".to_owned()),
            ("listen_port", self.port.to_string()),
            ("unix_socket_dir", run.to_string()),
            ("unix_socket_mode", "0700".to_owned()),
            ("auth_type", "scram-sha-256".to_owned()),
            ("auth_file", self.file("users").display().to_string()),
            ("admin_users", CONSOLE.to_owned()),
            ("pool_mode", self.wanted.pool_mode.clone()),
            ("max_client_conn", self.wanted.max_connections.to_string()),
            ("default_pool_size", self.wanted.default_pool_size.to_string()),
            ("reserve_pool_size", self.wanted.reserve_pool_size.to_string()),
            ("max_db_connections", most(&self.wanted).to_string()),
            ("query_wait_timeout", WAIT_S.to_string()),
            ("server_login_retry", RETRY_S.to_owned()),
            // Drivers send it; PostgreSQL 12 and newer are as exact without it.
            ("ignore_startup_parameters", "extra_float_digits".to_owned()),
            ("log_connections", "0".to_owned()),
            ("log_disconnections", "0".to_owned()),
            ("log_stats", "0".to_owned()),
        ];
        let mut out = ";; Written by Plimsoll; changes made here are lost.\n[databases]\n".to_owned();
        let _ = writeln!(out, "{0} = host='{run}' port={1} dbname={0}", self.role, self.to.load(Relaxed));
        let _ = writeln!(out, "[pgbouncer]");
        for (name, value) in lines {
            let _ = writeln!(out, "{name} = {value}");
        }
        out
    }

    /// Who may sign in.
    fn users(&self) -> String {
        let line = |name: &str, password: &Secret| format!("\"{name}\" \"{}\"\n", password.expose());
        line(&self.role, &self.password) + &line(CONSOLE, &self.console)
    }

    fn config(&self, ending: &str, text: String) -> ConfigFile {
        ConfigFile { path: self.file(ending), text, mode: 0o600, owner: self.site.server_user }
    }

    fn write(&self, file: &ConfigFile) -> Result<(), StoreError> {
        let path = file.path.strip_prefix(&self.site.data).unwrap_or(&file.path);
        let access = Access { mode: file.mode, owner: file.owner };
        files::write_durably(&self.site.data, path, file.text.as_bytes(), access)
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.site.data.join(format!("{NAME}.{ending}"))
    }

    fn dir(&self) -> PathBuf {
        self.site.data.join(NAME)
    }
}

/// What this machine has and lacks for it.
pub(crate) fn doctor() -> Finding {
    KIND.doctor(None)
}
