//! One connection, and one exchange on it.
//!
//! Invariant: a request is never sent twice. If a connection turns out to be closed before any of the request was
//! written, the request comes back whole (`Exchange::Unsent`) and may go on another connection; once a byte may have been
//! written, a broken connection is a failure of that request.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::rt::Executor;
use tokio::sync::Mutex;

use crate::connector::{Connector, Io};
use crate::failure::Cause;
use crate::prepared::Body;

type Connection = Pin<Box<http1::Connection<Box<dyn Io>, Body>>>;
type Sent = Result<Response<Incoming>, TrySendError<Request<Body>>>;

/// What became of a request on a connection.
pub(crate) enum Exchange {
    /// Answered wholly, with this status.
    Answered(u16),
    /// The connection was closed before any of the request was written.
    Unsent(Box<Request<Body>>),
    /// It may have been written, and there is no whole answer.
    Failed(Cause),
}

/// One connection (HTTP/1.1) or one lane of a shared one (HTTP/2).
pub(crate) enum Link {
    /// The connection is driven by the task that sends on it: no other task has to be woken.
    One { sender: http1::SendRequest<Body>, connection: Option<Connection> },
    /// The connection is driven by a task of its own.
    Two { sender: http2::SendRequest<Body> },
}

impl Link {
    /// Opens an HTTP/1.1 connection.
    pub(crate) async fn open(connector: &Connector) -> Result<Link, Cause> {
        let io = connector.connect().await?;
        let (sender, connection) = http1::handshake(io).await.map_err(|error| Cause::of_exchange(&error))?;
        Ok(Link::One { sender, connection: Some(Box::pin(connection)) })
    }

    /// Whether the server has closed the connection while it's idle; wakes the task when it does.
    pub(crate) fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Link::One { connection, .. } => {
                let closed = connection.as_mut().is_none_or(|connection| connection.as_mut().poll(context).is_ready());
                if closed {
                    *connection = None;
                    return Poll::Ready(());
                }
                Poll::Pending
            }
            // Looked at when the next request is sent.
            Link::Two { .. } => Poll::Pending,
        }
    }

    /// Sends one request and reads its whole answer.
    pub(crate) async fn exchange(&mut self, request: Request<Body>) -> Exchange {
        match self {
            Link::One { sender, connection } => {
                if drive(connection, poll_fn(|context| sender.poll_ready(context))).await.is_err() {
                    return Exchange::Unsent(Box::new(request));
                }
                let sent = drive(connection, pin!(sender.try_send_request(request))).await;
                read(connection, sent).await
            }
            Link::Two { sender } => {
                if sender.ready().await.is_err() {
                    return Exchange::Unsent(Box::new(request));
                }
                let sent = sender.try_send_request(request).await;
                read(&mut None, sent).await
            }
        }
    }
}

/// Reads an answer to its end.
async fn read(connection: &mut Option<Connection>, sent: Sent) -> Exchange {
    let response = match sent {
        Ok(response) => response,
        Err(mut error) => {
            return match error.take_message() {
                Some(request) => Exchange::Unsent(Box::new(request)),
                None => Exchange::Failed(Cause::of_exchange(error.error())),
            };
        }
    };
    let status = response.status().as_u16();
    let mut body = response.into_body();
    while let Some(frame) = drive(connection, body.frame()).await {
        if let Err(error) = frame {
            return Exchange::Failed(Cause::of_exchange(&error));
        }
    }
    Exchange::Answered(status)
}

/// Opens an HTTP/1.1 connection, sends one request, and gives the answer with its body (of `bytes_max` at most).
pub(crate) async fn fetch(
    connector: &Connector,
    request: Request<Body>,
    bytes_max: usize,
) -> Result<Response<Bytes>, Cause> {
    let io = connector.connect().await?;
    let (mut sender, connection) = http1::handshake(io).await.map_err(|error| Cause::of_exchange(&error))?;
    let mut connection: Option<Connection> = Some(Box::pin(connection));
    let sent = drive(&mut connection, pin!(sender.send_request(request))).await;
    let response = sent.map_err(|error| Cause::of_exchange(&error))?;
    let (head, body) = response.into_parts();
    let body = http_body_util::Limited::new(body, bytes_max).collect();
    let body = drive(&mut connection, pin!(body)).await;
    let body = body.map_err(|error| Cause::Protocol { why: error.to_string() })?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

/// Polls the connection and what waits for it together.
async fn drive<F: Future + Unpin>(connection: &mut Option<Connection>, mut waiting: F) -> F::Output {
    poll_fn(|context| {
        let over = connection.as_mut().is_some_and(|connection| connection.as_mut().poll(context).is_ready());
        if over {
            *connection = None;
        }
        Pin::new(&mut waiting).poll(context)
    })
    .await
}

/// The HTTP/2 connections of one worker, each shared by several lanes.
pub(crate) struct Shared {
    connections: Vec<Mutex<Option<http2::SendRequest<Body>>>>,
    streams: usize,
}

impl Shared {
    /// Room for `connections` connections of `streams` lanes each; none is opened yet.
    pub(crate) fn new(connections: usize, streams: usize) -> Shared {
        Shared { connections: (0..connections.max(1)).map(|_| Mutex::new(None)).collect(), streams: streams.max(1) }
    }

    /// A link on the connection of `lane`, and whether that connection had to be opened.
    pub(crate) async fn open(&self, connector: &Connector, lane: usize) -> Result<(Link, bool), Cause> {
        let mut place = self.connections[lane / self.streams % self.connections.len()].lock().await;
        if let Some(sender) = place.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((Link::Two { sender: sender.clone() }, false));
        }
        let io = connector.connect().await?;
        let (sender, connection) = http2::handshake(Local, io).await.map_err(|error| Cause::of_exchange(&error))?;
        // How it ends, its lanes are told: each exchange on it fails.
        tokio::task::spawn_local(async move { connection.await.ok() });
        *place = Some(sender.clone());
        Ok((Link::Two { sender }, true))
    }
}

/// Runs hyper's own tasks on the worker's thread.
#[derive(Debug, Clone, Copy)]
struct Local;

impl<F> Executor<F> for Local
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}
