//! From the head of a request to all that is needed to serve it: decided at once, while the head lies in its buffer.

use super::{
    body::Framing,
    field::{self, FIELDS_MAX},
    request::{self, Asked},
};
use crate::{
    belonging::{Belonging, Head},
    connection::Connection,
    forward,
    handle::{Told, check_limits, find_route},
    head,
    problem::Problem,
    table::{Backend, Route},
    visit::{self, Visit},
};
use http::{StatusCode, Version};
use plimsoll_model::route::Protocol;
use std::{mem::MaybeUninit, sync::Arc};

/// A request that can be served.
pub(super) struct Prepared {
    pub(super) visit: Box<Visit>,
    pub(super) backend: Arc<Backend>,
    /// The head for a replica, whole.
    pub(super) head: Vec<u8>,
    pub(super) wish: Wish,
    pub(super) belonging: Belonging,
    /// Lines for the head of the answer.
    pub(super) told: Vec<u8>,
    /// Doing it twice is as doing it once.
    pub(super) idempotent: bool,
}

/// What a client wants of the answer, and of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) framing: Framing,
    /// It speaks HTTP/1.0.
    pub(super) is_old: bool,
    pub(super) to_head: bool,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) trailers: bool,
    /// It wants to speak another protocol.
    pub(super) upgrade: bool,
    /// It only reads, and has no body.
    pub(super) reads: bool,
}

/// A request that is refused.
pub(super) struct Refused {
    pub(super) visit: Box<Visit>,
    pub(super) problem: Problem,
    pub(super) told: Vec<u8>,
    pub(super) wish: Wish,
}

/// What is to be done with a request.
pub(super) enum Plan {
    Serve(Box<Prepared>),
    Refuse(Box<Refused>),
    /// The service speaks HTTP/2: another engine serves this connection from here on.
    HandOver,
}

impl Wish {
    /// Of a request that could not be read.
    pub(super) const NONE: Self = Self {
        framing: Framing::Nothing,
        is_old: false,
        to_head: false,
        keep_alive: false,
        expects_continue: false,
        trailers: false,
        upgrade: false,
        reads: false,
    };

    fn of(asked: &Asked<'_, '_>) -> Self {
        Self {
            framing: asked.framing,
            is_old: asked.is_old,
            to_head: asked.method == "HEAD",
            keep_alive: asked.keeps_alive(),
            expects_continue: asked.expects_continue,
            trailers: asked.wants_trailers,
            upgrade: asked.upgrade().is_some(),
            reads: matches!(asked.method, "GET" | "HEAD")
                && matches!(asked.framing, Framing::Nothing)
                && asked.upgrade().is_none(),
        }
    }
}

/// Plans what is done with the request whose head is `head`.
pub(super) fn prepare(head: &[u8], connection: &Arc<Connection>) -> Plan {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let asked = match request::read(head, &mut room) {
        Ok(asked) => asked,
        Err(problem) => return Plan::Refuse(Box::new(unreadable(connection, problem))),
    };
    let found = find(&asked, connection);
    if let Ok((route, _)) = &found
        && route.backend.as_ref().is_some_and(|backend| backend.protocol == Protocol::H2c)
    {
        return Plan::HandOver;
    }
    let version = if asked.is_old { Version::HTTP_10 } else { Version::HTTP_11 };
    let text = visit::Asked::new(asked.method.as_bytes(), asked.authority.as_bytes(), asked.path.as_bytes());
    let mut visit = Visit::begin(Arc::clone(connection), text, version);
    let mut told = Vec::new();
    let admitted = found.and_then(|(route, ingress)| {
        visit.enter(Arc::clone(&route));
        admit(&route, &asked, connection, &mut told).map(|backend| (backend, ingress))
    });
    let wish = Wish::of(&asked);
    let (backend, ingress) = match admitted {
        Ok(admitted) => admitted,
        Err(problem) => return Plan::Refuse(Box::new(Refused { visit, problem, told, wish })),
    };
    connection.watch.allow_idle(backend.limits.idle.0);
    let mut out = Vec::with_capacity(head.len() + 320);
    visit.request_id = asked.write(&mut out, connection, ingress);
    write_framing(&mut out, &asked);
    let belonging = Belonging::of(&backend, &asked, connection.secure);
    let idempotent = forward::is_idempotent(asked.method);
    Plan::Serve(Box::new(Prepared { visit, backend, head: out, wish, belonging, told, idempotent }))
}

/// A request whose head is no head.
pub(super) fn unreadable(connection: &Arc<Connection>, problem: Problem) -> Refused {
    let visit = Visit::begin(Arc::clone(connection), visit::Asked::default(), Version::HTTP_11);
    Refused { visit, problem, told: Vec::new(), wish: Wish::NONE }
}

fn find(asked: &Asked<'_, '_>, connection: &Connection) -> Result<(Arc<Route>, bool), Problem> {
    let table = connection.shared.table.load();
    let path = asked.path.split('?').next().unwrap_or(asked.path);
    find_route(&table, connection, head::without_port(asked.authority), path)
}

/// The service for a request, if it is served now.
fn admit(
    route: &Route,
    asked: &Asked<'_, '_>,
    connection: &Connection,
    lines: &mut Vec<u8>,
) -> Result<Arc<Backend>, Problem> {
    if let Some(told) = check_limits(route, connection, |name| asked.field(name)) {
        write_told(lines, &told);
        told.refusal()?;
    }
    let Some(backend) = &route.backend else {
        return Err(Problem::shed("no-service", format!("`{}` is not running", route.service)));
    };
    let bytes_max = backend.limits.body_bytes_max;
    if matches!(asked.framing, Framing::Length(length) if length > bytes_max) {
        let detail = format!("the request's body is longer than {bytes_max} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail).closing());
    }
    Ok(Arc::clone(backend))
}

fn write_told(lines: &mut Vec<u8>, told: &Told) {
    field::write_number(lines, "ratelimit-limit", u64::from(told.requests));
    field::write_number(lines, "ratelimit-remaining", u64::from(told.verdict.remaining));
    field::write_number(lines, "ratelimit-reset", told.reset_seconds());
}

/// How the body goes on, and the end of the head.
fn write_framing(out: &mut Vec<u8>, asked: &Asked<'_, '_>) {
    match asked.framing {
        Framing::Length(length) => field::write_number(out, "content-length", length),
        Framing::Chunked => field::write(out, "transfer-encoding", b"chunked"),
        Framing::Nothing | Framing::UntilClose => {}
    }
    if let Some(protocol) = asked.upgrade() {
        field::write(out, "connection", b"upgrade");
        field::write(out, "upgrade", protocol);
    }
    out.extend_from_slice(b"\r\n");
}
