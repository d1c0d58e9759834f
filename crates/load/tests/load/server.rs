//! A real HTTP server on a port of the kernel's choice, in a thread of its own, that does what a test tells it.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use plimsoll_load::Target;

/// What a server does with a request.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>;
type Handler = Arc<dyn Fn(Seen) -> Answer + Send + Sync>;

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Its place in the order of arrival, from 0.
    pub(crate) order: u64,
    pub(crate) client: IpAddr,
    pub(crate) path: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

/// A server that ends when it's dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Connections that are open.
    open: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// An answer with this status.
pub(crate) fn status(code: u16) -> Answer {
    Box::pin(async move { Response::builder().status(code).body(Full::from("hello")).unwrap() })
}

/// An answer that never comes.
pub(crate) fn never() -> Answer {
    Box::pin(std::future::pending())
}

impl Server {
    pub(crate) fn start(handler: impl Fn(Seen) -> Answer + Send + Sync + 'static) -> Server {
        Server::listen(Arc::new(handler), None)
    }

    pub(crate) fn start_tls(acceptor: TlsAcceptor) -> Server {
        Server::listen(Arc::new(|_| status(200)), Some(acceptor))
    }

    fn listen(handler: Handler, tls: Option<TlsAcceptor>) -> Server {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = std::sync::mpsc::channel();
        let open = Arc::new(AtomicU64::new(0));
        let state = Arc::new(State { handler, seen: seen.clone(), open: open.clone(), count: AtomicU64::new(0) });
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = accept(listener, state, tls) => {}
                    _ = stopped => {}
                }
            });
        });
        Server { address: address.recv().unwrap(), seen, open, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn target(&self) -> Target {
        Target::parse(&format!("http://{}", self.address)).unwrap()
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(SeqCst)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

struct State {
    handler: Handler,
    seen: Arc<Mutex<Vec<Seen>>>,
    open: Arc<AtomicU64>,
    count: AtomicU64,
}

async fn accept(listener: TcpListener, state: Arc<State>, tls: Option<TlsAcceptor>) {
    loop {
        let (stream, client) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (state, tls) = (state.clone(), tls.clone());
        let open = state.open.clone();
        open.fetch_add(1, SeqCst);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(state.clone(), client.ip(), request));
            let builder = auto::Builder::new(TokioExecutor::new());
            // How a connection ends is the client's business here.
            match tls {
                None => builder.serve_connection(TokioIo::new(stream), service).await.ok(),
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => builder.serve_connection(TokioIo::new(stream), service).await.ok(),
                    Err(_) => None,
                },
            };
            open.fetch_sub(1, SeqCst);
        });
    }
}

async fn answer(
    state: Arc<State>,
    client: IpAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let seen = Seen {
        order: state.count.fetch_add(1, SeqCst),
        client,
        path: head.uri.path_and_query().map_or_else(String::new, |path| path.as_str().to_owned()),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    state.seen.lock().unwrap().push(seen.clone());
    Ok((state.handler)(seen).await)
}
