//! One request: from its checked head to the head of its answer.

use crate::{
    answer::Answer,
    connection::Connection,
    forward::{self, Outgoing},
    head,
    payload::Payload,
    problem::Problem,
    rate,
    table::{Backend, Entrance, Route, Table},
    trace, upgrade,
    visit::Visit,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
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
    let mut visit = Visit::begin(connection, &request);
    let mut limits = HeaderMap::new();
    let mut response = match respond(&mut visit, request, &mut limits).await {
        Ok(Outcome::Answered(answered)) => {
            let (mut head, body) = answered.response.into_parts();
            head::strip_hop_by_hop(&mut head.headers);
            // The client's version is the engine's business.
            head.version = http::Version::default();
            if let Some(cookie) = answered.cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
                head.headers.append(SET_COOKIE, cookie);
            }
            visit.status = head.status.as_u16();
            head.headers.insert(&trace::REQUEST_ID, visit.request_id.clone());
            Response::from_parts(head, Answer::upstream(body, visit, answered.flight))
        }
        Ok(Outcome::Switched(response)) => return Ok(response.map(|()| Answer::own(Bytes::new(), None))),
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
    response.map(|body| Answer::own(body, Some(visit)))
}

enum Outcome {
    Answered(forward::Answered),
    /// The connection speaks something else now.
    Switched(Response<()>),
}

async fn respond(visit: &mut Visit, request: Request<Incoming>, limits: &mut HeaderMap) -> Result<Outcome, Problem> {
    let connection = Arc::clone(&visit.connection);
    let (route, ingress) = {
        let host = head::check(&request)?;
        let table = connection.shared.table.load();
        find_route(&table, &connection, host, request.uri().path())?
    };
    visit.enter(Arc::clone(&route));
    check_limits(&route, &connection, request.headers(), limits)?;
    let Some(backend) = route.backend.clone() else {
        return Err(Problem::shed("no-service", format!("`{}` is not running", route.service)));
    };
    let bytes_max = backend.limits.body_bytes_max;
    if request.body().size_hint().lower() > bytes_max {
        let detail = format!("the request's body is longer than {bytes_max} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail).closing());
    }
    connection.watch.allow_idle(backend.limits.idle.0);
    if head::asks_upgrade(&request) {
        // Rare, and larger than what every request needs: kept out of each connection's own memory.
        let upgrade = Box::pin(upgrade::upgrade(visit, backend, request, ingress));
        return upgrade.await.map(|switched| match switched {
            upgrade::Upgraded::Switched(response) => Outcome::Switched(response),
            upgrade::Upgraded::Refused(answered) => Outcome::Answered(answered),
        });
    }
    let own = own_cookie(&backend, request.headers());
    let mut outgoing = outgoing(visit, request, &backend, ingress);
    if outgoing.idempotent && outgoing.payload.is_small() {
        // Read first, so that it can be sent again.
        let broken = |_| Problem::bad_request("body", "the request's body was not whole");
        let payload = mem::replace(&mut outgoing.payload, Payload::Empty);
        outgoing.payload = Box::pin(payload.read_whole()).await.map_err(broken)?;
    }
    forward::forward(visit, backend, outgoing, own.as_deref()).await.map(Outcome::Answered)
}

fn find_route(table: &Table, connection: &Connection, host: &str, path: &str) -> Result<(Arc<Route>, bool), Problem> {
    match table.listeners.get(&*connection.listener) {
        Some(Entrance::Edge(route)) => Ok((Arc::clone(route), false)),
        // A listener that has just left the table: its connections are served to their end.
        Some(Entrance::Ingress(_)) | None => match table.hosts.find(host, path) {
            Some(route) => Ok((Arc::clone(route), true)),
            None => {
                let detail = format!("nothing is served at `{host}` under `{path}`");
                Err(Problem::new(StatusCode::NOT_FOUND, "no-route", detail))
            }
        },
    }
}

/// Refuses with 429 what a limit does not allow, and tells every client of a limited route how much is left to it.
fn check_limits(
    route: &Route,
    connection: &Connection,
    headers: &HeaderMap,
    told: &mut HeaderMap,
) -> Result<(), Problem> {
    if route.limits.is_empty() {
        return Ok(());
    }
    let shared = &connection.shared;
    let now = shared.instant(std::time::Instant::now());
    let mut tightest: Option<(u32, Verdict)> = None;
    for (number, limit) in &route.limits {
        let key = rate::key(&limit.by, connection.peer, headers);
        let verdict = shared.rates.decide(*number, limit, key, now);
        if tightest.is_none_or(|(_, known)| verdict.remaining < known.remaining || !verdict.allowed) {
            tightest = Some((limit.requests, verdict));
        }
        if !verdict.allowed {
            break;
        }
    }
    let Some((requests, verdict)) = tightest else { return Ok(()) };
    told.insert(&LIMIT, HeaderValue::from(requests));
    told.insert(&REMAINING, HeaderValue::from(verdict.remaining));
    told.insert(&RESET, HeaderValue::from(verdict.reset_after_us.div_ceil(1_000_000)));
    if verdict.allowed {
        return Ok(());
    }
    let wait = verdict.retry_after_us.div_ceil(1_000_000).max(1);
    let detail = format!("more than {requests} requests in the time that is allowed for them");
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate-limit", detail);
    Err(Problem { retry_after: Some(wait), shed: true, ..problem })
}

/// What the client's cookie says of its replica.
fn own_cookie(backend: &Backend, headers: &HeaderMap) -> Option<String> {
    let name = backend.sticky.as_ref()?;
    headers.get_all(COOKIE).iter().find_map(|value| {
        value.to_str().ok()?.split(';').find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then(|| value.to_owned())
        })
    })
}

fn outgoing(visit: &mut Visit, request: Request<Incoming>, backend: &Backend, ingress: bool) -> Outgoing {
    let (mut head, body) = request.into_parts();
    head::prepare(&mut head.headers, &head.uri, &visit.connection, ingress);
    visit.request_id = trace::mark(&mut head.headers);
    let idempotent = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
    let payload =
        if body.is_end_stream() { Payload::Empty } else { Payload::stream(body, backend.limits.body_bytes_max) };
    Outgoing { method: head.method, uri: origin_form(head.uri), headers: head.headers, payload, idempotent }
}

/// Path and query only, as replicas expect it.
pub(crate) fn origin_form(uri: Uri) -> Uri {
    if uri.authority().is_none() {
        return uri;
    }
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = uri.path_and_query().cloned();
    Uri::from_parts(parts).unwrap_or(uri)
}
