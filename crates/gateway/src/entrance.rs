//! Where clients come in: ends TLS, and has a connection served by the engine for what it speaks: [`crate::http1`], or hyper for
//! HTTP/2 and for what HTTP/1.1 asks of services that speak HTTP/2.

use crate::{
    connection::{Connection, MayReset, Presence, Verdict, Watch, Watched},
    frames::Guarded,
    handle,
    http1::{self, Onward},
    relay,
    shared::Shared,
    table::Entrance,
    worker::Open,
};
use http::HeaderValue;
use hyper::{server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, task::Poll, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time,
};
use tokio_rustls::TlsAcceptor;

/// Heads longer than this are refused with 431.
pub(crate) const HEAD_MAX: usize = 64 * 1024;
/// How HTTP/2 begins, as far as no HTTP/1.1 request can.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2";

/// Who comes in, and where.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) peer: SocketAddr,
    pub(crate) listener: Arc<str>,
    pub(crate) open: Open,
}

/// Serves a connection in a task of its own.
pub(crate) fn spawn(worker: usize, shared: &Arc<Shared>, stream: std::net::TcpStream, caller: Caller) {
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    tokio::spawn(serve(worker, Arc::clone(shared), stream, caller));
}

async fn serve(worker: usize, shared: Arc<Shared>, stream: TcpStream, caller: Caller) {
    // Without it small answers would wait for acknowledgements; a socket that refuses works all the same.
    let _ = stream.set_nodelay(true);
    let (entrance, header) = {
        let table = shared.table.load();
        (table.listeners.get(&*caller.listener).cloned(), table.header)
    };
    if let Some(Entrance::Store { store, reads }) = entrance {
        return relay::relay(&shared, stream, &relay::Wish { store, reads }, caller.open).await;
    }
    let ends_tls = matches!(entrance, Some(Entrance::Ingress(Some(_))));
    let header = header.filter(|_| matches!(entrance, Some(Entrance::Ingress(_))));
    let head_timeout = header.unwrap_or(Duration::from_millis(shared.settings.head_ms));
    let watch = Watch::begin(Arc::clone(&caller.listener), head_timeout);
    let presence = Presence::new(Arc::clone(&watch), caller.open);
    let connection = Arc::new(Connection {
        worker,
        listener: caller.listener,
        peer: caller.peer.ip(),
        peer_value: HeaderValue::from_str(&caller.peer.ip().to_string()).unwrap_or(HeaderValue::from_static("unknown")),
        secure: ends_tls,
        watch: Arc::clone(&watch),
        shared,
    });
    if ends_tls {
        Box::pin(end_tls(stream, presence, connection, head_timeout)).await;
    } else {
        speak(presence.over(stream), connection).await;
    }
}

async fn end_tls(stream: TcpStream, presence: Presence, connection: Arc<Connection>, head_timeout: Duration) {
    let config = connection.shared.certificates.load().get(&connection.listener).cloned();
    // No certificate could be read: said when the edition came.
    let Some(config) = config else { return };
    let accepted = time::timeout(head_timeout, TlsAcceptor::from(config).accept(stream));
    let Some(Ok(Ok(stream))) = unless_wanted_closed(&connection.watch, accepted).await else { return };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        return Box::pin(speak_http2(presence.over(stream), connection)).await;
    }
    speak(presence.over(stream), connection).await;
}

/// HTTP/1.1, as long as it is that.
async fn speak<S>(stream: Watched<S>, connection: Arc<Connection>)
where
    S: AsyncRead + AsyncWrite + MayReset + Unpin + Send + 'static,
{
    // What comes behind is much larger than a connection that speaks HTTP/1.1, which should not pay for it.
    match http1::serve(stream, Arc::clone(&connection)).await {
        Some((stream, Onward::Http2)) => Box::pin(speak_http2(stream, connection)).await,
        Some((stream, Onward::Http1)) => Box::pin(speak_http1(stream, connection)).await,
        None => {}
    }
}

async fn speak_http1<S>(stream: S, connection: Arc<Connection>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let watch = Arc::clone(&connection.watch);
    let service = service_fn(move |request| handle::answer(Arc::clone(&connection), request));
    let mut server = pin!(
        conn::http1::Builder::new()
            .max_buf_size(HEAD_MAX)
            .max_header_size(HEAD_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    until_verdict(&watch, |context, finish| {
        if finish {
            server.as_mut().graceful_shutdown();
        }
        server.as_mut().poll(context).map(|_| ())
    })
    .await;
}

async fn speak_http2<S>(stream: S, connection: Arc<Connection>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let watch = Arc::clone(&connection.watch);
    watch.set_multiplexed();
    let stream = Guarded::new(stream, Arc::clone(&connection));
    let service = service_fn(move |request| handle::answer(Arc::clone(&connection), request));
    let mut server = pin!(
        conn::http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(256)
            .max_header_list_size(HEAD_MAX as u32)
            .max_pending_accept_reset_streams(20)
            .max_send_buf_size(64 * 1024)
            .initial_stream_window_size(64 * 1024)
            .initial_connection_window_size(1 << 20)
            .serve_connection(TokioIo::new(stream), service)
    );
    until_verdict(&watch, |context, finish| {
        if finish {
            server.as_mut().graceful_shutdown();
        }
        server.as_mut().poll(context).map(|_| ())
    })
    .await;
}

/// The outcome of `work`; `None` if the connection shall be closed before there is one.
async fn unless_wanted_closed<T>(watch: &Watch, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| {
        watch.wake_on_verdict(context);
        if watch.verdict() != Verdict::Go {
            return Poll::Ready(None);
        }
        work.as_mut().poll(context).map(Some)
    })
    .await
}

/// Polls a connection until it ends, or the sweep wants it closed. It is told once when it shall finish.
async fn until_verdict(watch: &Watch, mut poll: impl FnMut(&mut std::task::Context<'_>, bool) -> Poll<()>) {
    let mut registered = false;
    let mut told = false;
    poll_fn(|context| {
        if !registered {
            // A task's waker stays the same for its whole life.
            watch.wake_on_verdict(context);
            registered = true;
        }
        let finish = match watch.verdict() {
            Verdict::Close => return Poll::Ready(()),
            Verdict::Finish => !std::mem::replace(&mut told, true),
            Verdict::Go => false,
        };
        poll(context, finish)
    })
    .await;
}
