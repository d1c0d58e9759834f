//! The way to a replica for a client that speaks HTTP/2: connections of a worker's own, and one exchange of request and answer
//! on them. Clients that speak HTTP/1.1 go by [`crate::http1`].
//!
//! A connection is driven by the request that uses it, in that request's own task: no task and no channel between threads.
//! While it is idle nobody drives it; whether the replica has closed it is seen when it is taken again.

mod answering;
pub(crate) mod pool;

pub(crate) use answering::Answering;

use crate::{
    entrance::HEAD_MAX,
    patience::Patience,
    payload::{Meter, Payload},
    table::Endpoint,
};
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use plimsoll_control::route::Failed;
use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{net::TcpStream, time};

/// A connection that speaks HTTP/1.1.
pub(crate) struct Link {
    pub(crate) sender: http1::SendRequest<Payload>,
    pub(crate) connection: http1::Connection<TokioIo<TcpStream>, Payload>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No connection could be made; nothing was sent.
    Refused(io::Error),
    /// It was closed, or reset, before there was a whole head.
    Closed,
    /// The time was over.
    TimedOut,
    /// The time for all of it was over while a connection was made, a replica waited for, or the body came.
    Over,
    /// What came is no answer.
    Nonsense(String),
    /// The request's body could not be had, or was too long: not the replica's fault.
    Body,
    /// The gateway has no descriptor for a connection.
    Exhausted,
    /// The client went away.
    Gone,
    /// The client sends its body too slowly.
    Slow,
    /// The framing of the client's body is wrong.
    Framing(&'static str),
}

impl Failure {
    /// What it is to those who decide whether the request is tried again.
    pub(crate) fn failed(&self) -> Failed {
        match self {
            Self::Refused(_) => Failed::Unsent,
            Self::Closed | Self::Nonsense(_) => Failed::Broken,
            Self::TimedOut => Failed::Late,
            Self::Over | Self::Body | Self::Exhausted | Self::Gone | Self::Slow | Self::Framing(_) => Failed::Elsewhere,
        }
    }
}

/// A failure, and the request if it was certainly not sent.
pub(crate) struct Broken {
    pub(crate) failure: Failure,
    pub(crate) unsent: Option<Request<Payload>>,
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self { failure, unsent: None }
    }
}

impl Link {
    /// Lets the connection notice what the kernel knows already. `false`: the replica has closed it.
    pub(crate) fn is_alive(&mut self) -> bool {
        // Nobody waits for it while it is idle, so nobody is to be woken.
        let mut nobody = Context::from_waker(Waker::noop());
        Pin::new(&mut self.connection).poll(&mut nobody).is_pending() && self.sender.is_ready()
    }
}

/// Connects to a replica.
///
/// # Errors
/// Refused, unreachable, no descriptors, or not within `timeout`.
pub(crate) async fn dial(endpoint: &Endpoint, timeout: Duration) -> Result<TcpStream, Failure> {
    let connect = || time::timeout(timeout, TcpStream::connect(endpoint.address));
    let mut connected = connect().await;
    if matches!(&connected, Ok(Err(error)) if is_exhausted(error)) {
        // Connections that wait for a request give way to one that has one.
        crate::http1::close_idle();
        connected = connect().await;
    }
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if is_exhausted(&error) => return Err(Failure::Exhausted),
        Ok(Err(error)) => return Err(Failure::Refused(error)),
        Err(_) => return Err(Failure::Refused(io::ErrorKind::TimedOut.into())),
    };
    // A connection without it works, only slower.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// A new connection that speaks HTTP/1.1.
pub(crate) async fn link(endpoint: &Endpoint, timeout: Duration) -> Result<Box<Link>, Failure> {
    let stream = dial(endpoint, timeout).await?;
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Failure::Nonsense(error.to_string()))?;
    Ok(Box::new(Link { sender, connection }))
}

/// Sends a request on a link and waits for the head of its answer.
///
/// # Errors
/// See [`Failure`]. The link is gone then.
pub(crate) async fn exchange(
    mut link: Box<Link>,
    request: Request<Payload>,
    patience: Patience,
) -> Result<(Response<Incoming>, Option<Box<Link>>), Broken> {
    let meter = request.body().meter();
    let mut answer = pin!(link.sender.try_send_request(request));
    let mut link = Some(link);
    let mut sleep = pin!(time::sleep_until(patience.deadline));
    let result = poll_fn(|context| {
        // The answer comes only from driving the connection, so nobody else has to wake us for it.
        let mut nobody = Context::from_waker(Waker::noop());
        if link.as_mut().is_some_and(|link| Pin::new(&mut link.connection).poll(context).is_ready()) {
            // Dropping it tells the request, if it did not get that far, that it was not sent.
            link = None;
        }
        match answer.as_mut().poll(&mut nobody) {
            Poll::Ready(Ok(response)) => return Poll::Ready(Ok(response)),
            Poll::Ready(Err(mut error)) => {
                let unsent = error.take_message();
                return Poll::Ready(Err(Broken { failure: failure_of(error.into_error(), meter.as_deref()), unsent }));
            }
            Poll::Pending if link.is_none() => return Poll::Ready(Err(Failure::Closed.into())),
            Poll::Pending => {}
        }
        while sleep.as_mut().poll(context).is_ready() {
            if meter.as_ref().is_none_or(|meter| meter.ended.load(Relaxed)) {
                return Poll::Ready(Err(Failure::TimedOut.into()));
            }
            // The client is still sending; whether it stalls, the body itself watches.
            sleep.as_mut().reset(time::Instant::now() + patience.answer);
        }
        Poll::Pending
    })
    .await;
    result.map(|response| (response, link))
}

/// A new connection that speaks HTTP/2, driven by a task of its own since many requests share it.
pub(crate) async fn link_http2(endpoint: &Endpoint, timeout: Duration) -> Result<http2::SendRequest<Payload>, Failure> {
    let stream = dial(endpoint, timeout).await?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1 << 20)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Failure::Nonsense(error.to_string()))?;
    // How it ends is told to each request on it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// The same as [`exchange`] on a connection that speaks HTTP/2.
pub(crate) async fn exchange_http2(
    mut sender: http2::SendRequest<Payload>,
    request: Request<Payload>,
    patience: Patience,
) -> Result<Response<Incoming>, Broken> {
    let meter = request.body().meter();
    let mut answer = pin!(sender.try_send_request(request));
    let mut deadline = patience.deadline;
    loop {
        match time::timeout_at(deadline, answer.as_mut()).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(mut error)) => {
                let unsent = error.take_message();
                return Err(Broken { failure: failure_of(error.into_error(), meter.as_deref()), unsent });
            }
            Err(_) if meter.as_ref().is_none_or(|meter| meter.ended.load(Relaxed)) => {
                return Err(Failure::TimedOut.into());
            }
            Err(_) => deadline = time::Instant::now() + patience.answer,
        }
    }
}

fn failure_of(error: hyper::Error, meter: Option<&Meter>) -> Failure {
    if let Some(failure) = meter.and_then(Meter::failure) {
        failure
    } else if error.is_parse() {
        Failure::Nonsense(error.to_string())
    } else {
        Failure::Closed
    }
}
