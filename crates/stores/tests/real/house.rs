//! Folders, ports and processes of one store, all gone when it is dropped.

use plimsoll_model::{Store, store::Engine};
use plimsoll_stores::{Command, Driver, Site, StoreError, User};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    future::Future,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::{Child, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// How long anything may take on a busy machine before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// One store's place and processes.
pub(crate) struct House {
    pub(crate) name: String,
    pub(crate) store: Store,
    pub(crate) site: Site,
    pub(crate) dir: tempfile::TempDir,
    children: BTreeMap<usize, Child>,
    guards: Vec<TcpListener>,
}

/// A store with every default.
pub(crate) fn store(engine: Engine) -> Store {
    Store {
        engine,
        version: None,
        external: None,
        instances: 1,
        synchronous: false,
        strict: false,
        cluster: None,
        max_memory: None,
        eviction: None,
        persistent: true,
        pooler: None,
        backup: None,
        resources: plimsoll_model::service::Resources::default(),
        settings: BTreeMap::new(),
    }
}

/// The account that servers run as: none but our own unless we are root.
pub(crate) fn server_user(engine: Engine) -> Option<User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let (names, package): (&[&str], _) = match engine {
        Engine::Postgres => (&["postgres"], "postgresql"),
        Engine::Nats => (&["nats", "nobody"], "nats-server"),
        _ => (&["redis", "nobody"], "redis-server"),
    };
    Some(
        plimsoll_stores::site::account(names)
            .unwrap_or_else(|| panic!("no account {names:?}: apt-get install -y {package}")),
    )
}

impl House {
    pub(crate) fn new(name: &str, store: Store) -> Self {
        // Whatever can be in a path must not matter.
        let dir = tempfile::Builder::new().prefix("st or's \"\\$x\"#,").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let user = server_user(store.engine);
        let make = |name: &str, owner: Option<User>| -> PathBuf {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            std::os::unix::fs::chown(&path, owner.map(|user| user.uid), owner.map(|user| user.gid)).unwrap();
            path
        };
        let (ports, guards) = free_ports(plimsoll_stores::member_count(&store));
        let site = Site {
            data: make("data", user),
            secrets: make("secrets", None),
            ports,
            server_user: user,
            run: make("run", user),
            front: None,
            pooler: None,
        };
        Self { name: name.to_owned(), store, site, dir, children: BTreeMap::new(), guards }
    }

    /// Other ports for all members, as when another program has taken the old ones.
    pub(crate) fn move_ports(&mut self) {
        let (ports, guards) = free_ports(self.site.ports.len());
        self.site.ports = ports;
        self.guards.extend(guards);
    }

    /// The driver, made anew from what is on disk, as an engine that was started again would.
    #[track_caller]
    pub(crate) fn driver(&self) -> Driver {
        self.try_driver().unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn try_driver(&self) -> Result<Driver, StoreError> {
        plimsoll_stores::driver(&self.name, &self.store, &self.site)
    }

    /// Starts a member as the engine does, and waits until it is ready.
    pub(crate) async fn start(&mut self, member: usize) {
        self.launch(member).await;
        let driver = self.driver();
        let log = self.log_path(member);
        until(|| async { driver.ready(member).await.map_err(|not| format!("{not}; log:\n{}", tail(&log))) }).await;
    }

    /// Starts a member, and waits for nothing but its preparation.
    pub(crate) async fn launch(&mut self, member: usize) {
        let driver = self.driver();
        until(|| async { driver.before_start(member).map_err(|error| error.to_string()) }).await;
        let member_now = driver.members().swap_remove(member);
        for command in &member_now.prepare {
            let status = self.command(command, member).status().unwrap();
            assert!(status.success(), "{command:?}: {status}\n{}", tail(&self.log_path(member)));
        }
        let child = self.command(&member_now.serve, member).spawn().unwrap();
        assert!(self.children.insert(member, child).is_none(), "already started");
    }

    /// Starts all members, waits until each is ready.
    pub(crate) async fn start_all(&mut self) {
        for member in 0..self.site.ports.len() {
            self.launch(member).await;
        }
        let driver = self.driver();
        for member in 0..self.site.ports.len() {
            let log = self.log_path(member);
            until(|| async { driver.ready(member).await.map_err(|not| format!("{not}; log:\n{}", tail(&log))) }).await;
        }
    }

    /// A command as the keeper would run it; it dies with the test.
    pub(crate) fn command(&self, command: &Command, member: usize) -> std::process::Command {
        let mut run = std::process::Command::new("/usr/bin/setpriv");
        run.args(["--pdeathsig", "KILL"]);
        if let Some(user) = command.user {
            run.args(["--reuid", &user.uid.to_string(), "--regid", &user.gid.to_string(), "--clear-groups"]);
        }
        let log = File::options().create(true).append(true).open(self.log_path(member)).unwrap();
        run.arg("--").arg(&command.program).args(&command.args);
        run.env_clear().envs(command.env.iter().cloned()).current_dir(&command.dir);
        run.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        run
    }

    pub(crate) fn log_path(&self, member: usize) -> PathBuf {
        self.dir.path().join(format!("{member}.log"))
    }

    /// Ends a member as the engine does, and answers how it ended.
    pub(crate) fn stop(&mut self, member: usize) -> ExitStatus {
        let signal = self.driver().members()[member].stop_signal;
        let signal = rustix::process::Signal::from_named_raw(signal).expect("a signal");
        let mut child = self.children.remove(&member).expect("it runs");
        rustix::process::kill_process(pid_of(&child), signal).unwrap();
        child.wait().unwrap()
    }

    /// Kills a member's first process and nothing else.
    pub(crate) fn kill(&mut self, member: usize) {
        let mut child = self.children.remove(&member).expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn pid(&self, member: usize) -> u32 {
        self.children[&member].id()
    }

    /// A secret stands neither in what everybody sees of the first member's process, nor in its log, nor in what is printed of
    /// the driver.
    #[track_caller]
    pub(crate) fn assert_hidden(&self, driver: &Driver, secret: &str) {
        let pid = self.pid(0);
        let places = [
            fs::read(format!("/proc/{pid}/cmdline")).unwrap(),
            fs::read(format!("/proc/{pid}/environ")).unwrap(),
            fs::read(self.log_path(0)).unwrap(),
            format!("{driver:?} {:?}", driver.members()).into_bytes(),
        ];
        for place in &places {
            assert!(!String::from_utf8_lossy(place).contains(secret.trim()));
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        for (member, mut child) in std::mem::take(&mut self.children) {
            if std::thread::panicking() {
                eprintln!("--- log of member {member}:\n{}", tail(&self.log_path(member)));
            }
            // PostgreSQL takes its children with it; the others have none that outlive it.
            let signal = if self.store.engine == Engine::Postgres {
                rustix::process::Signal::QUIT
            } else {
                rustix::process::Signal::KILL
            };
            let _ = rustix::process::kill_process(pid_of(&child), signal);
            let _ = child.wait();
        }
    }
}

pub(crate) fn pid_of(child: &Child) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

/// Asks again until it is so.
pub(crate) async fn until<T, F: Future<Output = Result<T, String>>>(mut ask: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(why) => assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {why}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The end of a file, for a failed test's message.
pub(crate) fn tail(path: &std::path::Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// Ports below those that the kernel hands out, free together with the one 10,000 above. A listener on the same port of
/// another loopback address keeps other tests, also of other processes, away for as long as the guards live.
fn free_ports(count: usize) -> (Vec<u16>, Vec<TcpListener>) {
    let mut ports = Vec::new();
    let mut guards = Vec::new();
    let start = u16::try_from(std::process::id() % 10_000).unwrap();
    for step in 0..10_000u16 {
        if ports.len() == count {
            break;
        }
        let port = 11_000 + (start + step) % 10_000;
        let Ok(guard) = TcpListener::bind(("127.0.0.2", port)) else { continue };
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 10_000) {
            ports.push(port);
            guards.push(guard);
        }
    }
    assert_eq!(ports.len(), count, "no free ports");
    (ports, guards)
}
