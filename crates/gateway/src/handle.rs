//! One request of HTTP/2: from its checked head to the head of its answer. What is decided here for HTTP/1.1 too is asked for
//! by [`crate::http1`].

use crate::{
    answer::Answer,
    belonging::{self, Belonging},
    connection::Connection,
    forward::{self, Answered, problem_of_client},
    head,
    outgoing::Outgoing,
    payload::Payload,
    problem::Problem,
    rate,
    table::{Backend, Entrance, Route, Table},
    trace,
    upstream::{Answering, Failure},
    visit::Visit,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri,
    header::{CONNECTION, COOKIE, SET_COOKIE},
};
use hyper::body::{Body, Incoming};
use plimsoll_control::route::limit::Verdict;
use std::{
    convert::Infallible,
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
};

static LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
static REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
static RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Answers a request. It never fails: what goes wrong is an answer too.
pub(crate) async fn answer(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let (shared, version) = (Arc::clone(&connection.shared), request.version());
    let mut visit = Visit::of(connection, &request);
    let mut limits = HeaderMap::new();
    let mut response = match respond(&mut visit, request, &mut limits).await {
        Ok(answered) => {
            let (mut head, body) = answered.answer.into_parts();
            head::strip_hop_by_hop(&mut head.headers);
            // The client's version is the engine's business.
            head.version = http::Version::default();
            for cookie in answered.cookies.iter().flatten().filter_map(|cookie| HeaderValue::from_str(cookie).ok()) {
                head.headers.append(SET_COOKIE, cookie);
            }
            visit.status = head.status.as_u16();
            head.headers.insert(&trace::REQUEST_ID, visit.request_id.clone());
            Response::from_parts(head, Answer::upstream(body, visit, answered.flight))
        }
        Err(problem) => refuse(visit, &problem),
    };
    if !limits.is_empty() {
        response.headers_mut().extend(limits);
    }
    if version < http::Version::HTTP_2 && shared.draining.load(Relaxed) {
        // Another gateway serves the next one.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

fn refuse(mut visit: Box<Visit>, problem: &Problem) -> Response<Answer> {
    visit.status = problem.status.as_u16();
    visit.reason = Some(problem.kind);
    if problem.shed {
        visit.count_shed();
    }
    let mut response = problem.response(visit.request_id.to_str().unwrap_or("-"));
    response.headers_mut().insert(&trace::REQUEST_ID, visit.request_id.clone());
    if visit.version == http::Version::HTTP_2 {
        response.headers_mut().remove(http::header::CONNECTION);
    }
    response.map(|body| Answer::own(body, visit))
}

async fn respond(
    visit: &mut Visit,
    request: Request<Incoming>,
    limits: &mut HeaderMap,
) -> Result<Answered<Response<Answering>>, Problem> {
    let connection = Arc::clone(&visit.connection);
    let (route, ingress) = {
        let host = head::check(&request)?;
        let table = connection.shared.table.load();
        find_route(&table, &connection, host, request.uri().path())?
    };
    visit.enter(Arc::clone(&route));
    let field = |name: &str| request.headers().get(name).map(HeaderValue::as_bytes);
    if let Some(told) = check_limits(&route, &connection, field) {
        limits.insert(&LIMIT, HeaderValue::from(told.requests));
        limits.insert(&REMAINING, HeaderValue::from(told.verdict.remaining));
        limits.insert(&RESET, HeaderValue::from(told.reset_seconds()));
        told.refusal()?;
    }
    let Some(backend) = route.backend.clone() else {
        return Err(Problem::shed("no-service", format!("`{}` is not running", route.service)));
    };
    let bytes_max = backend.limits.body_bytes_max;
    if request.body().size_hint().lower() > bytes_max {
        let detail = format!("the request's body is longer than {bytes_max} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail).closing());
    }
    connection.watch.allow_idle(backend.limits.idle.0);
    let belonging = Belonging::of(&backend, &request.headers(), connection.secure);
    let mut outgoing = outgoing(visit, request, &backend, ingress);
    if outgoing.idempotent && outgoing.payload.is_small() {
        // Read first, so that it can be sent again.
        let refused = |failure| match failure {
            Failure::Slow => problem_of_client(&failure),
            _ => Problem::bad_request("body", "the request's body was not whole"),
        };
        let payload = mem::replace(&mut outgoing.payload, Payload::Empty);
        outgoing.payload = Box::pin(payload.read_whole()).await.map_err(refused)?;
    }
    forward::forward(visit, backend, &mut outgoing, &belonging).await
}

/// Where a request goes, and whether it comes from outside.
pub(crate) fn find_route(
    table: &Table,
    connection: &Connection,
    host: &str,
    path: &str,
) -> Result<(Arc<Route>, bool), Problem> {
    match table.listeners.get(&*connection.listener) {
        Some(Entrance::Edge(route)) => Ok((Arc::clone(route), false)),
        // A listener that has just left the table: its connections are served to their end.
        Some(Entrance::Ingress(_) | Entrance::Store { .. }) | None => match table.hosts.find(host, path) {
            Some(route) => Ok((Arc::clone(route), true)),
            None => {
                let detail = format!("nothing is served at `{host}` under `{path}`");
                Err(Problem::new(StatusCode::NOT_FOUND, "no-route", detail))
            }
        },
    }
}

/// What a rate limit says of a request.
pub(crate) struct Told {
    /// The limit.
    pub(crate) requests: u32,
    pub(crate) verdict: Verdict,
}

impl Told {
    pub(crate) fn reset_seconds(&self) -> u64 {
        self.verdict.reset_after_us.div_ceil(1_000_000)
    }

    /// 429 for what the limit does not allow.
    pub(crate) fn refusal(&self) -> Result<(), Problem> {
        if self.verdict.allowed {
            return Ok(());
        }
        let wait = self.verdict.retry_after_us.div_ceil(1_000_000).max(1);
        let detail = format!("more than {} requests in the time that is allowed for them", self.requests);
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate-limit", detail);
        Err(Problem { retry_after: Some(wait), shed: true, ..problem })
    }
}

/// Counts a request under the limits of its route; every client of a limited route is told how much is left to it.
pub(crate) fn check_limits<'a>(
    route: &Route,
    connection: &Connection,
    field: impl Fn(&str) -> Option<&'a [u8]>,
) -> Option<Told> {
    if route.limits.is_empty() {
        return None;
    }
    let shared = &connection.shared;
    let now = shared.instant(std::time::Instant::now());
    let mut tightest: Option<Told> = None;
    for (number, limit) in &route.limits {
        let key = rate::key(&limit.by, connection.peer, &field);
        let verdict = shared.rates.decide(*number, limit, key, now);
        if tightest.as_ref().is_none_or(|known| verdict.remaining < known.verdict.remaining || !verdict.allowed) {
            tightest = Some(Told { requests: limit.requests, verdict });
        }
        if !verdict.allowed {
            break;
        }
    }
    tightest
}

impl<'h> belonging::Head<'h> for &'h HeaderMap {
    fn field(&self, name: &str) -> Option<&'h [u8]> {
        self.get(name).map(HeaderValue::as_bytes)
    }

    fn cookies(&self) -> impl Iterator<Item = &'h [u8]> {
        self.get_all(COOKIE).iter().map(HeaderValue::as_bytes)
    }
}

fn outgoing(visit: &mut Visit, request: Request<Incoming>, backend: &Backend, ingress: bool) -> Outgoing {
    let (mut head, body) = request.into_parts();
    head::prepare(&mut head.headers, &head.uri, &visit.connection, ingress);
    visit.request_id = trace::mark(&mut head.headers);
    let idempotent = forward::is_idempotent(head.method.as_str());
    let payload = if body.is_end_stream() {
        Payload::Empty
    } else {
        Payload::stream(body, backend.limits.body_bytes_max, visit.connection.shared.settings.upload())
    };
    Outgoing { method: head.method, uri: origin_form(head.uri), headers: head.headers, payload, idempotent }
}

/// Path and query only, as replicas expect it.
fn origin_form(uri: Uri) -> Uri {
    if uri.authority().is_none() {
        return uri;
    }
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = uri.path_and_query().cloned();
    Uri::from_parts(parts).unwrap_or(uri)
}
