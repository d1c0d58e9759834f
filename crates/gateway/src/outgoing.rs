//! A request of a client that speaks HTTP/2, on its way to replicas: carried by hyper.

use crate::{
    forward::Errand,
    patience::Patience,
    payload::Payload,
    table::{Backend, Endpoint},
    upstream::{self, Answering, Broken, Failure, Link, pool},
};
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use plimsoll_model::route::Protocol;
use std::{mem, time::Duration};

/// A request as replicas get it.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    /// Path and query only.
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload,
    /// Doing it twice is as doing it once.
    pub(crate) idempotent: bool,
}

impl Errand for Outgoing {
    type Answer = Response<Answering>;

    fn can_repeat(&self) -> bool {
        // Of a stream that was sent nothing is left here, and its head went with it.
        self.idempotent && !matches!(self.payload, Payload::Stream(_) | Payload::Whole(None))
    }

    fn is_whole(&self) -> bool {
        !matches!(self.payload, Payload::Whole(None))
    }

    fn is_copyable(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD) && matches!(self.payload, Payload::Empty)
    }

    fn copy(&self) -> Option<Outgoing> {
        self.is_copyable().then(|| Self::reading(self.method.clone(), self.uri.clone(), self.headers.clone()))
    }

    fn status(answer: &Self::Answer) -> u16 {
        answer.status().as_u16()
    }

    async fn attempt(
        &mut self,
        backend: &Backend,
        endpoint: &Endpoint,
        patience: Patience,
    ) -> Result<Response<Answering>, Failure> {
        let timeout = backend.limits.connect.as_duration();
        if backend.protocol == Protocol::H2c {
            return Box::pin(self.attempt_http2(endpoint, patience, timeout)).await;
        }
        let mut kept = self.kept_link(endpoint).await;
        loop {
            let is_kept = kept.is_some();
            let link = match kept.take() {
                Some(link) => link,
                None => Box::pin(upstream::link(endpoint, timeout)).await?,
            };
            match upstream::exchange(link, self.next(Protocol::Http1), patience).await {
                Ok((response, link)) => {
                    return Ok(response.map(|body| Answering::on_link(body, link, endpoint.pool)));
                }
                Err(broken) => self.stale(broken, is_kept)?,
            }
        }
    }

    async fn wait<T: Send>(&mut self, work: impl Future<Output = T> + Send) -> Option<T> {
        // A client that goes away has the engine drop all of this.
        Some(work.await)
    }
}

impl Outgoing {
    /// One without a body, which changes nothing.
    pub(crate) fn reading(method: Method, uri: Uri, headers: HeaderMap) -> Self {
        Self { method, uri, headers, payload: Payload::Empty, idempotent: true }
    }

    fn next(&mut self, protocol: Protocol) -> Request<Payload> {
        let repeat = self.can_repeat();
        let body = match &mut self.payload {
            Payload::Empty => Payload::Empty,
            Payload::Whole(bytes) => Payload::Whole(bytes.clone()),
            // What is left here can't be sent: it is given back if it was not sent.
            stream @ Payload::Stream(_) => mem::replace(stream, Payload::Whole(None)),
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = if repeat { self.headers.clone() } else { mem::take(&mut self.headers) };
        match protocol {
            Protocol::Http1 => *request.uri_mut() = self.uri.clone(),
            Protocol::H2c => {
                *request.version_mut() = Version::HTTP_2;
                *request.uri_mut() = with_authority(&self.uri, request.headers_mut());
            }
        }
        request
    }

    fn give_back(&mut self, request: Request<Payload>) {
        let (head, body) = request.into_parts();
        self.headers = head.headers;
        if matches!(self.payload, Payload::Whole(None)) {
            self.payload = body;
        }
    }

    /// A kept connection for this request. One that must not be sent twice is not sent on one that the replica has just
    /// closed: the kernel is asked first.
    async fn kept_link(&self, endpoint: &Endpoint) -> Option<Box<Link>> {
        if self.can_repeat() {
            return pool::take(endpoint.pool);
        }
        // Lets the runtime ask the kernel what has happened on its sockets.
        tokio::task::yield_now().await;
        pool::take_alive(endpoint.pool)
    }

    async fn attempt_http2(
        &mut self,
        endpoint: &Endpoint,
        patience: Patience,
        timeout: Duration,
    ) -> Result<Response<Answering>, Failure> {
        let mut kept = pool::shared(endpoint.pool);
        loop {
            let is_kept = kept.is_some();
            let sender = match kept.take() {
                Some(sender) => sender,
                None => {
                    let sender = upstream::link_http2(endpoint, timeout).await?;
                    pool::share(endpoint.pool, sender.clone());
                    sender
                }
            };
            match upstream::exchange_http2(sender, self.next(Protocol::H2c), patience).await {
                Ok(response) => return Ok(response.map(Answering::driven)),
                Err(broken) => self.stale(broken, is_kept)?,
            }
        }
    }

    /// `Ok` if the request can go out once more, on a new connection to the same replica, because the kept one was closed.
    fn stale(&mut self, broken: Broken, is_kept: bool) -> Result<(), Failure> {
        let unsent = broken.unsent.is_some();
        if let Some(request) = broken.unsent {
            self.give_back(request);
        }
        if is_kept && matches!(broken.failure, Failure::Closed) && (unsent || self.can_repeat()) {
            return Ok(());
        }
        Err(broken.failure)
    }
}

fn with_authority(uri: &Uri, headers: &mut HeaderMap) -> Uri {
    let host = headers.remove(http::header::HOST);
    let authority = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    Uri::builder()
        .scheme("http")
        .authority(authority)
        .path_and_query(uri.path_and_query().map_or("/", |path| path.as_str()))
        .build()
        .unwrap_or_else(|_| uri.clone())
}
