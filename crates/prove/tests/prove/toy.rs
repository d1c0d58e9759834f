//! A small system to experiment on: an ingress that answers over HTTP, the engine's API on a socket, and real processes
//! that stand for replicas, engine and gateway, so that kills are kills.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use plimsoll_api::status::{IngressStatus, OwnProcess, ReplicaStatus, ServiceStatus};
use plimsoll_api::{Client, Offer, Status, paths};
use plimsoll_model::promise::{Kind, Load, Promise};
use plimsoll_model::system::IngressHost;
use plimsoll_model::{ReplicaId, RevisionId, System};
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;

/// A request as the ingress saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) order: usize,
    pub(crate) client: IpAddr,
    pub(crate) host: String,
    pub(crate) authorization: String,
    pub(crate) path: String,
    pub(crate) body: String,
}

/// Status and body for a request.
pub(crate) type Answer = Box<dyn Fn(&Seen) -> (u16, String) + Send>;

/// How the toy behaves.
pub(crate) struct Behaviour {
    /// What the ingress answers.
    pub(crate) answer: Answer,
    /// A killed replica is replaced.
    pub(crate) replaces: bool,
    /// Replicas end with the engine, and others come in their place.
    pub(crate) clings_to_engine: bool,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour { answer: Box::new(|_| (200, "ok".to_owned())), replaces: true, clings_to_engine: false }
    }
}

struct State {
    behaviour: Behaviour,
    system: System,
    ingress: SocketAddr,
    own: BTreeMap<&'static str, Child>,
    replicas: BTreeMap<u64, Child>,
    serial: u64,
    seen: Vec<Seen>,
}

/// A running toy; ends with all its processes when it's dropped.
pub(crate) struct Toy {
    _folder: TempDir,
    client: Client,
    state: Arc<Mutex<State>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A promise that's measured as `load` says.
pub(crate) fn promise(kind: Kind, load: Load) -> Promise {
    Promise { kind, request: None, load, line: Some(1) }
}

fn process() -> Child {
    Command::new("sleep").arg("3600").spawn().unwrap()
}

impl Toy {
    /// Starts one; `change` may change its system before that.
    pub(crate) fn start(behaviour: Behaviour, change: impl FnOnce(&mut System)) -> Toy {
        let mut system = System { name: "toy".to_owned(), ..System::default() };
        let paths = BTreeMap::from([("/api".to_owned(), "web".to_owned())]);
        system.ingress.hosts.insert("toy.localhost".to_owned(), IngressHost { paths, rate_limit: None });
        change(&mut system);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("api");
        let api = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        api.set_nonblocking(true).unwrap();
        let state = State {
            behaviour,
            system,
            ingress: listener.local_addr().unwrap(),
            own: ["engine", "gateway"].into_iter().map(|name| (name, process())).collect(),
            replicas: BTreeMap::from([(1, process()), (2, process())]),
            serial: 2,
            seen: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let shared = state.clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                tokio::select! {
                    () = serve_ingress(listener, shared.clone()) => {}
                    () = serve_api(api, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Toy { client: Client::new(&socket), _folder: folder, state, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// The pids of its replicas.
    pub(crate) fn replicas(&self) -> BTreeSet<u32> {
        self.state.lock().unwrap().replicas.values().map(Child::id).collect()
    }
}

impl Drop for Toy {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
        let mut state = self.state.lock().unwrap();
        let State { own, replicas, .. } = &mut *state;
        for child in own.values_mut().chain(replicas.values_mut()) {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

async fn serve_ingress(listener: std::net::TcpListener, state: Arc<Mutex<State>>) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, from) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(state.clone(), from.ip(), request));
            // How a client's connection ends is its own business.
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    client: IpAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let header = |name: &str| head.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let mut state = state.lock().unwrap();
    let seen = Seen {
        order: state.seen.len(),
        client,
        host: header("host"),
        authorization: header("authorization"),
        path: head.uri.to_string(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let (status, text) = (state.behaviour.answer)(&seen);
    state.seen.push(seen);
    Ok(Response::builder().status(status).body(Full::from(text)).unwrap())
}

async fn serve_api(listener: std::os::unix::net::UnixListener, state: Arc<Mutex<State>>) {
    let listener = UnixListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let answered = state.lock().unwrap().ask(request.uri());
                async move { Ok::<_, Infallible>(answered) }
            });
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}

impl State {
    fn ask(&mut self, uri: &http::Uri) -> Response<Full<Bytes>> {
        let json = |text: String| Response::new(Full::from(text));
        match uri.path() {
            paths::SYSTEM => {
                let offer = Offer { system: self.system.clone(), ..Offer::default() };
                json(serde_json::to_string(&offer).unwrap())
            }
            paths::STATUS => json(serde_json::to_string(&self.status()).unwrap()),
            paths::SIGNAL => {
                let query = uri.query().unwrap();
                let serial = query.strip_prefix("replica=web-").unwrap().strip_suffix("&signal=9").unwrap();
                let mut killed = self.replicas.remove(&serial.parse().unwrap()).unwrap();
                killed.kill().unwrap();
                killed.wait().unwrap();
                if self.behaviour.replaces {
                    self.add_replica();
                }
                json(String::new())
            }
            _ => Response::builder().status(StatusCode::NOT_FOUND).body(Full::default()).unwrap(),
        }
    }

    fn add_replica(&mut self) {
        self.serial += 1;
        self.replicas.insert(self.serial, process());
    }

    /// Own processes that were killed are there again, as a keeper would see to it.
    fn respawn(&mut self) {
        for (name, child) in &mut self.own {
            if child.try_wait().unwrap().is_none() {
                continue;
            }
            *child = process();
            if *name == "engine" && self.behaviour.clings_to_engine {
                for replica in self.replicas.values_mut() {
                    replica.kill().unwrap();
                    replica.wait().unwrap();
                    *replica = process();
                }
            }
        }
    }

    fn status(&mut self) -> Status {
        self.respawn();
        let pid = |child: &Child| i32::try_from(child.id()).unwrap();
        let replica = |(serial, child): (&u64, &Child)| ReplicaStatus {
            id: ReplicaId::new("web", *serial),
            revision: RevisionId::default(),
            phase: "Ready".to_owned(),
            pid: Some(pid(child)),
            address: None,
            restarts: 0,
            started_at: None,
            start_took: None,
            memory: None,
            cpu_us: None,
            in_flight: 0,
            last_exit: None,
            reason: String::new(),
            unenforced: Vec::new(),
        };
        let replicas: Vec<ReplicaStatus> = self.replicas.iter().map(replica).collect();
        let ready = u32::try_from(replicas.len()).unwrap();
        let web = ServiceStatus { wanted: 2, ready, replicas, ..ServiceStatus::default() };
        let url = format!("http://{}", self.ingress);
        Status {
            system: self.system.name.clone(),
            environment: self.system.environment.clone(),
            processes: self
                .own
                .iter()
                .map(|(name, child)| ((*name).to_owned(), OwnProcess { pid: pid(child), ..OwnProcess::default() }))
                .collect(),
            services: BTreeMap::from([("web".to_owned(), web)]),
            ingress: vec![IngressStatus { url, hosts: Vec::new(), problem: None }],
            promises: self.system.promises.clone(),
            ..Status::default()
        }
    }
}
