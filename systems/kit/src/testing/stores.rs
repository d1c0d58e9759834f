//! A PostgreSQL, a Redis and a NATS for one test.

use super::process::{PATIENCE, Process, command, is_root, own_address, own_number, run};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PASSWORD: &str = "for-tests";

/// Waits until `done`, which is asked again and again.
///
/// # Panics
/// It never is.
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until somebody waits for a lock in that database.
///
/// # Panics
/// Nobody does for a minute, or the database can't be asked.
pub async fn until_locked(pool: &sqlx::PgPool) {
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    let deadline = Instant::now() + PATIENCE;
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(pool).await.unwrap() == 0 {
        assert!(Instant::now() < deadline, "nobody waits for a lock");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A PostgreSQL; ended when dropped.
pub struct Postgres {
    process: Process,
    port: u16,
    _folder: TempDir,
}

impl Postgres {
    /// Starts an empty one.
    ///
    /// # Panics
    /// It does not start.
    pub fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let user = is_root().then_some("postgres");
        if user.is_some() {
            run("chown", Command::new("chown").arg("postgres:").arg(folder.path()));
        }
        let port = 5432 + own_number();
        let data = folder.path().join("data");
        let initdb = ["--auth=trust", "--username=test", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"];
        run("initdb", command(&program("initdb"), user).args(initdb).arg(&data));
        let mut server = command(&program("postgres"), user);
        server.arg("-D").arg(&data);
        for setting in [
            format!("listen_addresses={}", own_address()),
            format!("port={port}"),
            "unix_socket_directories=".into(),
            "fsync=off".into(),
            "max_connections=60".into(),
        ] {
            server.arg("-c").arg(setting);
        }
        let process = Process::start("postgres", &mut server);
        process.wait_for(|line| line.contains("ready to accept connections").then_some(()));
        Self { process, port, _folder: folder }
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The address of one of its databases.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://test@{}:{}/{database}", own_address(), self.port)
    }

    /// Makes a database.
    ///
    /// # Panics
    /// It is there already, or cannot be made.
    pub async fn create(&self, database: &str) {
        let pool = sqlx::PgPool::connect(&self.url()).await.unwrap();
        let sql = format!("CREATE DATABASE {database}");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        pool.close().await;
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.process.interrupt();
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.process.wait()));
    }
}

/// Debian keeps the servers outside PATH.
fn program(name: &str) -> String {
    let folders = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        folders.map(|folder| folder.path().join("bin").join(name)).filter(|path| path.exists()).collect();
    found.sort();
    found.pop().map_or_else(|| name.to_owned(), |path| path.to_string_lossy().into_owned())
}

/// One node, or three that form a cluster.
pub struct Redis {
    nodes: Vec<Process>,
    /// The nodes' ports, one or three.
    pub ports: Vec<u16>,
    folder: TempDir,
    is_cluster: bool,
}

impl Redis {
    /// One node.
    pub fn single() -> Self {
        Self::start(1)
    }

    /// Three nodes that form a cluster.
    pub fn cluster() -> Self {
        let this = Self::start(3);
        let nodes = this.ports.iter().map(|port| format!("{}:{port}", own_address()));
        let mut create = Command::new("redis-cli");
        create.args(["-a", PASSWORD, "--no-auth-warning", "--cluster", "create"]).args(nodes).arg("--cluster-yes");
        run("redis-cli", &mut create);
        for port in &this.ports {
            wait_until("the cluster is formed", || this.ask(*port, &["cluster", "info"]).contains("cluster_state:ok"));
        }
        this
    }

    fn start(count: u16) -> Self {
        let first = 7001 + 10 * own_number();
        let ports: Vec<u16> = (first..first + count).collect();
        let folder = TempDir::new().unwrap();
        let mut this = Self { nodes: Vec::new(), ports: ports.clone(), folder, is_cluster: count > 1 };
        for port in ports {
            this.nodes.push(this.start_node(port));
        }
        this
    }

    fn start_node(&self, port: u16) -> Process {
        let folder = self.folder.path().join(port.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let mut server = command("redis-server", None);
        server.args(["--port", &port.to_string(), "--bind", &own_address().to_string()]);
        server.args(["--requirepass", PASSWORD, "--save", "", "--appendonly", "no", "--dir"]).arg(&folder);
        if self.is_cluster {
            server.args(["--cluster-enabled", "yes", "--cluster-node-timeout", "60000"]);
            server.args(["--cluster-announce-ip", &own_address().to_string()]);
        }
        let process = Process::start("redis", &mut server);
        process.wait_for(|line| line.contains("Ready to accept connections").then_some(()));
        assert!(TcpStream::connect((own_address(), port)).is_ok());
        process
    }

    /// What redis-cli answers.
    pub fn ask(&self, port: u16, words: &[&str]) -> String {
        let mut ask = Command::new("redis-cli");
        ask.args(["-h", &own_address().to_string(), "-p", &port.to_string(), "-a", PASSWORD, "--no-auth-warning"]);
        run("redis-cli", ask.args(words))
    }

    /// Moves the slot of `key`, and all that is in it, from the node that serves it to the next one.
    ///
    /// # Panics
    /// No node has it, or one refuses.
    pub fn move_key(&self, key: &str) {
        let slot = self.ask(self.ports[0], &["cluster", "keyslot", key]).trim().to_owned();
        let holds = |port: &&u16| self.ask(**port, &["cluster", "getkeysinslot", &slot, "1"]).contains(key);
        let from = *self.ports.iter().find(holds).expect("a node that has the key");
        let at = self.ports.iter().position(|port| *port == from).unwrap();
        let to = self.ports[(at + 1) % self.ports.len()];
        let id = |port| self.ask(port, &["cluster", "myid"]).trim().to_owned();
        let (from_id, to_id) = (id(from), id(to));
        self.ask(to, &["cluster", "setslot", &slot, "importing", &from_id]);
        self.ask(from, &["cluster", "setslot", &slot, "migrating", &to_id]);
        let (host, port) = (own_address().to_string(), to.to_string());
        let moved = self.ask(from, &["migrate", &host, &port, key, "0", "30000", "auth", PASSWORD]);
        assert!(moved.contains("OK"), "{moved}");
        for port in [to, from].into_iter().chain(self.ports.iter().copied().filter(|port| ![to, from].contains(port))) {
            self.ask(port, &["cluster", "setslot", &slot, "node", &to_id]);
        }
    }

    /// Kills every node.
    pub fn kill(&mut self) {
        self.nodes.iter_mut().for_each(Process::kill);
        self.nodes.clear();
    }

    /// Starts the single node again, empty.
    pub fn start_again(&mut self) {
        let node = self.start_node(self.ports[0]);
        self.nodes.push(node);
    }

    /// Its address.
    pub fn url(&self) -> String {
        let nodes: Vec<_> = self.ports.iter().map(|port| format!("{}:{port}", own_address())).collect();
        if self.is_cluster {
            return format!("redis+cluster://:{PASSWORD}@{}", nodes.join(","));
        }
        format!("redis://:{PASSWORD}@{}/0", nodes[0])
    }
}

/// A NATS with JetStream; killed when dropped.
pub struct Nats {
    process: Option<Process>,
    port: u16,
    folder: TempDir,
}

impl Nats {
    /// Starts an empty one.
    ///
    /// # Panics
    /// It does not start.
    pub fn start() -> Self {
        let port = 4222 + own_number();
        let mut this = Self { process: None, port, folder: TempDir::new().unwrap() };
        this.start_again();
        this
    }

    /// Starts it, with what it had stored.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_again(&mut self) {
        let mut server = command("nats-server", None);
        server.args(["--addr", &own_address().to_string(), "--port", &self.port.to_string()]);
        server.args(["--user", "test", "--pass", PASSWORD, "--jetstream", "--store_dir"]).arg(self.folder.path());
        let process = Process::start("nats-server", &mut server);
        process.wait_for(|line| line.contains("Server is ready").then_some(()));
        self.process = Some(process);
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("nats://test:{PASSWORD}@{}:{}", own_address(), self.port)
    }
}
