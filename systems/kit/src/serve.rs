//! The accept loop and the graceful stop.
//!
//! Order of a stop: not ready → (drain delay, still accepting) → what the kernel has already accepted is served →
//! listener closed → requests in flight end, idle connections are closed → done. Invariant: a request whose first
//! byte was read before the listener closed is answered, unless it outlives `drain_max`.

use crate::fault::Fault;
use crate::service::FastPath;
use axum::{Router, body::Body};
use futures_util::FutureExt;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::{conn::auto, graceful::GracefulShutdown};
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

/// What answers requests.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) router: Router,
    pub(crate) fast: Option<FastPath>,
    pub(crate) fault: Option<Fault>,
}

impl App {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        if let Some(fault) = self.fault
            && let Some(answer) = fault.befall(request.uri().path()).await
        {
            return Ok(answer);
        }
        if let Some(fast) = &self.fast
            && let Some(answer) = fast(&request)
        {
            return Ok(answer.await);
        }
        self.router.oneshot(request.map(Body::new)).await
    }
}

/// How long the stop may take.
pub(crate) struct Drain {
    pub(crate) delay: Duration,
    pub(crate) max: Duration,
}

/// Serves until `stop` ends, then drains. `stopping` is called once, when the stop begins.
pub(crate) async fn serve_until(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()>,
    stopping: impl FnOnce(),
    drain: Drain,
) {
    let graceful = GracefulShutdown::new();
    accept_until(&listener, &app, &graceful, stop).await;
    stopping();
    accept_until(&listener, &app, &graceful, tokio::time::sleep(drain.delay)).await;
    while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
        serve_connection(stream, app.clone(), &graceful);
    }
    drop(listener);
    let open = graceful.count();
    tracing::info!(connections = open, "draining");
    if tokio::time::timeout(drain.max, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end within the drain time");
    }
}

async fn accept_until(listener: &TcpListener, app: &App, graceful: &GracefulShutdown, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => serve_connection(stream, app.clone(), graceful),
                Err(why) => pause_after(&why).await,
            },
        }
    }
}

/// Out of descriptors: accepting again at once would spin.
async fn pause_after(why: &io::Error) {
    tracing::warn!(error = %why, "cannot accept a connection");
    tokio::time::sleep(Duration::from_millis(10)).await;
}

fn serve_connection(stream: TcpStream, app: App, graceful: &GracefulShutdown) {
    if let Err(why) = stream.set_nodelay(true) {
        tracing::debug!(error = %why, "cannot set TCP_NODELAY");
    }
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(75)).pipeline_flush(true);
    builder.http2().timer(TokioTimer::new());
    let service = service_fn(move |request| app.clone().answer(request));
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(why) = connection.await {
            tracing::debug!(error = %why, "a connection ended badly");
        }
    });
}

/// Binds with a deep backlog; must be called within the runtime.
///
/// # Errors
/// The address is taken or not ours.
pub(crate) fn bind(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}
