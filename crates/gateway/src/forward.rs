//! Sends a request to a replica, and to another one when that is safe and may help.
//!
//! Invariant: a replica that was tried is never tried again (a kept connection that its replica had closed is no try).
//! Invariant: a request that may have been acted on is sent again only if its method is idempotent and its body can be sent
//! again.

use crate::{
    choose::{Choice, Tried, choose},
    hold::hold,
    live::bump,
    payload::Payload,
    problem::Problem,
    table::{Backend, Endpoint},
    upstream::{self, Answering, Broken, Failure, Link, Patience, pool},
    visit::{Flight, Visit},
};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use plimsoll_model::route::Protocol;
use std::{mem, sync::Arc};
use tokio::time;

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

/// The head of an answer, its body, and the request's place in flight.
pub(crate) struct Answered {
    pub(crate) response: Response<Answering>,
    pub(crate) flight: Flight,
    /// The value for the client's cookie, where it has to be told.
    pub(crate) cookie: Option<String>,
}

impl Outgoing {
    /// Whether it can be sent again after it was sent.
    fn can_repeat(&self) -> bool {
        self.idempotent && !matches!(self.payload, Payload::Stream(_))
    }

    /// Whether it is still here as a whole.
    fn is_whole(&self) -> bool {
        !matches!(self.payload, Payload::Whole(None))
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

/// Sends a request to replicas of `backend` until one answers, or nothing more may be tried.
///
/// # Errors
/// What the client is told instead of an answer.
pub(crate) async fn forward(
    visit: &mut Visit,
    mut backend: Arc<Backend>,
    mut outgoing: Outgoing,
    own: Option<&str>,
) -> Result<Answered, Problem> {
    let connection = Arc::clone(&visit.connection);
    bump(&backend.live.requests[connection.worker].0, 1);
    let answer = backend.limits.response.as_duration();
    let mut patience = Patience { deadline: time::Instant::from_std(visit.started) + answer, answer };
    let mut tried = Tried::default();
    let mut sent = 0;
    let mut last: Option<Problem> = None;
    loop {
        let place = match choose(&backend, &tried, own) {
            Choice::Take(place) => place,
            Choice::Full => return Err(shed(visit, &backend)),
            // Those that were tried are dead or refuse: whoever comes next may serve it.
            Choice::Nobody if sent == 0 || (last.is_some() && time::Instant::now() < patience.deadline) => {
                let service = visit.route.as_ref().map_or("", |route| route.service.as_str()).to_owned();
                backend = match Box::pin(hold(&connection.shared, &service, &backend, &tried)).await {
                    Ok(backend) => backend,
                    // One that only could not be connected to may come again as well.
                    Err(problem) => return Err(last.filter(|last| last.kind != "refused").unwrap_or(problem)),
                };
                if sent == 0 {
                    // Waiting for a replica is not waiting for its answer.
                    patience.deadline = time::Instant::now() + answer;
                }
                continue;
            }
            Choice::Nobody => return Err(last.unwrap_or_else(|| shed(visit, &backend))),
        };
        let endpoint = &backend.endpoints[place];
        tried.add(endpoint.pool);
        visit.tries += 1;
        visit.replica = Some(Arc::clone(&endpoint.live));
        let flight = Flight::begin(&endpoint.live, &backend.live, connection.worker);
        match attempt(&backend, endpoint, &mut outgoing, patience).await {
            Ok(response) => {
                let failed = flight.head_came(response.status().as_u16());
                sent += 1;
                if failed && may_try_again(visit, &backend, &outgoing, &tried, sent) {
                    continue;
                }
                let cookie = tell_cookie(&backend, endpoint, own);
                return Ok(Answered { response, flight, cookie });
            }
            Err(failure) => {
                let problem = problem_of(&failure, endpoint, &backend);
                if matches!(failure, Failure::Body) {
                    return Err(problem);
                }
                if flight.failed() >= u32::from(backend.resilience.eject_after) {
                    connection.shared.nudge.notify_one();
                }
                let unsent = matches!(failure, Failure::Refused(_));
                sent += u32::from(!unsent);
                let again = if unsent {
                    !tried.is_full() && outgoing.is_whole()
                } else {
                    !matches!(failure, Failure::TimedOut) && may_repeat(visit, &backend, &outgoing, &tried, sent)
                };
                if !again {
                    return Err(problem);
                }
                last = Some(problem);
            }
        }
    }
}

fn tell_cookie(backend: &Backend, endpoint: &Endpoint, own: Option<&str>) -> Option<String> {
    let name = backend.sticky.as_ref()?;
    (own != Some(&endpoint.cookie)).then(|| format!("{name}={}; Path=/; HttpOnly; SameSite=Lax", endpoint.cookie))
}

/// Whether an answer 502, 503 or 504 may be thrown away for another try: only if there is somebody else.
fn may_try_again(visit: &Visit, backend: &Backend, outgoing: &Outgoing, tried: &Tried, sent: u32) -> bool {
    matches!(choose(backend, tried, None), Choice::Take(_)) && may_repeat(visit, backend, outgoing, tried, sent)
}

/// Whether a request that was sent may be sent once more.
fn may_repeat(visit: &Visit, backend: &Backend, outgoing: &Outgoing, tried: &Tried, sent: u32) -> bool {
    let may = outgoing.can_repeat()
        && sent < u32::from(backend.resilience.tries_max)
        && !tried.is_full()
        && backend.live.take_retry();
    if may {
        visit.count_retry();
    }
    may
}

/// One try on one replica. A kept connection that was closed meanwhile is replaced by a new one to the same replica.
async fn attempt(
    backend: &Backend,
    endpoint: &Endpoint,
    outgoing: &mut Outgoing,
    patience: Patience,
) -> Result<Response<Answering>, Failure> {
    let timeout = backend.limits.connect.as_duration();
    if backend.protocol == Protocol::H2c {
        return Box::pin(attempt_http2(endpoint, outgoing, patience, timeout)).await;
    }
    let mut kept = kept_link(endpoint, outgoing).await;
    loop {
        let is_kept = kept.is_some();
        let link = match kept.take() {
            Some(link) => link,
            None => Box::pin(upstream::link(endpoint, timeout)).await?,
        };
        match upstream::exchange(link, outgoing.next(Protocol::Http1), patience).await {
            Ok((response, link)) => {
                return Ok(response.map(|body| Answering::on_link(body, link, endpoint.pool)));
            }
            Err(broken) => stale(broken, is_kept, outgoing)?,
        }
    }
}

/// A kept connection for this request. One that must not be sent twice is not sent on one that the replica has just closed:
/// the kernel is asked first.
async fn kept_link(endpoint: &Endpoint, outgoing: &Outgoing) -> Option<Box<Link>> {
    if outgoing.can_repeat() {
        return pool::take(endpoint.pool);
    }
    // Lets the runtime ask the kernel what has happened on its sockets.
    tokio::task::yield_now().await;
    pool::take_alive(endpoint.pool)
}

async fn attempt_http2(
    endpoint: &Endpoint,
    outgoing: &mut Outgoing,
    patience: Patience,
    timeout: std::time::Duration,
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
        match upstream::exchange_http2(sender, outgoing.next(Protocol::H2c), patience).await {
            Ok(response) => return Ok(response.map(Answering::driven)),
            Err(broken) => stale(broken, is_kept, outgoing)?,
        }
    }
}

/// `Ok` if the request can go out once more, on a new connection to the same replica, because the kept one was closed.
fn stale(broken: Broken, is_kept: bool, outgoing: &mut Outgoing) -> Result<(), Failure> {
    let unsent = broken.unsent.is_some();
    if let Some(request) = broken.unsent {
        outgoing.give_back(request);
    }
    if is_kept && matches!(broken.failure, Failure::Closed) && (unsent || outgoing.can_repeat()) {
        return Ok(());
    }
    Err(broken.failure)
}

fn shed(visit: &Visit, backend: &Backend) -> Problem {
    let service = visit.route.as_ref().map_or("", |route| route.service.as_str());
    let most = backend.in_flight_max();
    Problem::shed("overload", format!("`{service}` has {most} requests in flight, as many as it may"))
}

fn problem_of(failure: &Failure, endpoint: &Endpoint, backend: &Backend) -> Problem {
    let replica = &endpoint.live.id;
    let bad = |kind, detail| Problem::new(StatusCode::BAD_GATEWAY, kind, detail);
    match failure {
        Failure::Refused(error) => bad("refused", format!("{replica} can't be connected to: {error}")),
        Failure::Closed => bad("closed", format!("{replica} closed the connection before it answered")),
        Failure::Nonsense(error) => bad("nonsense", format!("{replica} answered what is not HTTP: {error}")),
        Failure::TimedOut => {
            let detail = format!("{replica} did not answer within {}", backend.limits.response);
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail)
        }
        Failure::Body => {
            let detail =
                format!("the request's body was not whole, or longer than {} bytes", backend.limits.body_bytes_max);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body", detail).closing()
        }
    }
}
