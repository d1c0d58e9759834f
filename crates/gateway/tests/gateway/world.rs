//! A gateway process with everything around it.

use crate::{backend::Backend, keeper::Keeper};
use plimsoll_model::{
    ReplicaId, RevisionId,
    route::{self, Endpoint, Entry, Host, Limits, Listener, Path, Protocol, Resilience, RouteTable},
};
use plimsoll_wire::{
    channel::{Channel, Received},
    gateway::{Ask, Figures},
    place::Place,
};
use rustix::event::{PollFd, PollFlags};
use std::{
    io::Read,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// The longest that anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `holds`.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How often something is repeated: `usual`, or more with `PLIMSOLL_SOAK`.
pub(crate) fn times(usual: usize) -> usize {
    usual * std::env::var("PLIMSOLL_SOAK").map_or(1, |times| times.parse().unwrap())
}

/// One gateway and its keeper. All of it ends when it is dropped.
pub(crate) struct World {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) place: Place,
    pub(crate) table: Mutex<RouteTable>,
    child: Mutex<Child>,
    /// What it wrote to standard output.
    log: Arc<Mutex<String>>,
    _folder: tempfile::TempDir,
}

/// How to start a gateway.
#[derive(Default)]
pub(crate) struct Start {
    pub(crate) environment: Vec<(&'static str, String)>,
    /// The limit of open files.
    pub(crate) files: Option<u64>,
    /// Nobody reads what it writes to standard output.
    pub(crate) log_stalls: bool,
}

/// As [`World::serving`], with one replica.
pub(crate) async fn serving_with(start: Start, backend: &Backend) -> (World, SocketAddr) {
    let world = World::start_with(start);
    let address = world.listen("ingress", Entry::Ingress { tls: None });
    world.change(|table| {
        table.hosts.push(host("*", &[("/", "web")]));
        table.services.insert("web".into(), service("web", &[backend]));
    });
    world.applied().await;
    (world, address)
}

impl World {
    /// A gateway with an empty table.
    pub(crate) fn start() -> Self {
        Self::start_with(Start::default())
    }

    pub(crate) fn start_with(start: Start) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path());
        let keeper = Keeper::new();
        let (ours, theirs) = Channel::pair().unwrap();
        keeper.speak(ours);
        let program = std::env::current_exe().unwrap();
        let mut command = match start.files {
            Some(files) => {
                let mut command = Command::new("prlimit");
                command.arg(format!("--nofile={files}:{files}")).arg(program);
                command
            }
            None => Command::new(program),
        };
        let mut child = command
            .args(["--exact", "process", "--nocapture", "--test-threads=1"])
            .env("PLIMSOLL_TEST_GATEWAY", folder.path())
            .env("PLIMSOLL_TEST_ID", "gateway")
            .env("PLIMSOLL_GATEWAY_WORKERS", "2")
            .envs(start.environment)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (mut output, written) = (child.stdout.take().unwrap(), Arc::clone(&log));
        let stalls = start.log_stalls;
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            if stalls {
                // Holds the pipe open without reading until the gateway has ended: `poll` tells of that alone.
                let mut ended = [PollFd::new(&output, PollFlags::empty())];
                rustix::event::poll(&mut ended, None).unwrap();
            }
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                written.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        });
        let table = Mutex::new(RouteTable { edition: 0, ..RouteTable::default() });
        Self { keeper, place, table, child: Mutex::new(child), log, _folder: folder }
    }

    /// A gateway with one ingress, host `*`, whose path `/` is served by those replicas; and the address.
    pub(crate) async fn serving(replicas: &[&Backend]) -> (Self, SocketAddr) {
        let world = Self::start();
        let address = world.listen("ingress", Entry::Ingress { tls: None });
        world.change(|table| {
            table.hosts.push(host("*", &[("/", "web")]));
            table.services.insert("web".into(), service("web", replicas));
        });
        world.applied().await;
        (world, address)
    }

    /// Has the keeper listen, and the table say so from the next edition on.
    pub(crate) fn listen(&self, name: &str, entry: Entry) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        self.keeper.keep(name, listener.into());
        self.table.lock().unwrap().listeners.push(Listener { name: name.into(), entry });
        address
    }

    /// Publishes a new edition.
    pub(crate) fn change(&self, change: impl FnOnce(&mut RouteTable)) {
        let mut table = self.table.lock().unwrap();
        change(&mut table);
        table.edition += 1;
        self.keeper.publish(&table);
    }

    /// Changes the service `web`.
    pub(crate) fn change_web(&self, change: impl FnOnce(&mut route::Backend)) {
        self.change(|table| change(table.services.get_mut("web").unwrap()));
    }

    /// Waits until the last edition is in force.
    pub(crate) async fn applied(&self) {
        let edition = self.table.lock().unwrap().edition;
        until("the edition is in force", || self.figures().is_some_and(|figures| figures.edition >= edition)).await;
    }

    /// What the gateway tells; `None` if it can't be asked.
    pub(crate) fn figures(&self) -> Option<Figures> {
        self.ask(&Ask::Figures)
    }

    pub(crate) fn ask(&self, ask: &Ask) -> Option<Figures> {
        let channel = Channel::connect(&self.place.gateway_socket("gateway")).ok()?;
        channel.send(ask, &[]).ok()?;
        let told: Received<Figures> = channel.receive().ok()??;
        Some(told.0)
    }

    /// Waits until the figures are as they should be.
    pub(crate) async fn told(&self, what: &str, holds: impl Fn(&Figures) -> bool) {
        until(what, || self.figures().is_some_and(|figures| holds(&figures))).await;
    }

    /// The lines of the access log so far.
    pub(crate) fn log(&self) -> Vec<serde_json::Value> {
        let log = self.log.lock().unwrap();
        // The first one comes behind what the test program says of itself.
        log.lines().filter_map(|line| serde_json::from_str(&line[line.find('{')?..]).ok()).collect()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child.lock().unwrap());
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// What it holds in memory now.
    pub(crate) fn memory_kib(&self) -> u64 {
        self.told_by_the_kernel("VmRSS:")
    }

    /// The most that it ever held in memory.
    pub(crate) fn memory_most_kib(&self) -> u64 {
        self.told_by_the_kernel("VmHWM:")
    }

    fn told_by_the_kernel(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.lock().unwrap().id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Whether it has ended, and well.
    pub(crate) fn ended(&self) -> Option<bool> {
        self.child.lock().unwrap().try_wait().unwrap().map(|status| status.success())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A host with paths and their services.
pub(crate) fn host(name: &str, paths: &[(&str, &str)]) -> Host {
    let paths = paths.iter().map(|(prefix, service)| Path { prefix: (*prefix).into(), service: (*service).into() });
    Host { name: name.into(), paths: paths.collect(), rate_limit: None }
}

/// A service with replicas 1, 2, 3 …
pub(crate) fn service(name: &str, replicas: &[&Backend]) -> route::Backend {
    let endpoints = replicas.iter().zip(1..).map(|(backend, serial)| endpoint(name, serial, backend.address)).collect();
    route::Backend {
        replicas: endpoints,
        protocol: Protocol::Http1,
        limits: Limits::default(),
        sticky: None,
        // Tests of retries are not about their budget, unless they say so.
        resilience: Resilience { retry_floor: 10_000, ..Resilience::default() },
        canary: None,
        synthetic: None,
    }
}

pub(crate) fn endpoint(name: &str, serial: u64, address: SocketAddr) -> Endpoint {
    Endpoint {
        id: ReplicaId::new(name, serial),
        revision: RevisionId("r".into()),
        address,
        serving: true,
        weight: 1000,
        process: String::new(),
    }
}
