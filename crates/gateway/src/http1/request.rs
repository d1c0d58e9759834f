//! The head of a request: what is refused before anybody else sees it, and what a replica gets to see of it.
//!
//! Invariant: what passes can be read in one way only; a doubt is a refusal and the end of the connection.

use super::{
    body::Framing,
    field::{self, FIELDS_MAX, Fields, Kind, Options},
};
use crate::{belonging, connection::Connection, head, outgoing::Outgoing, problem::Problem, trace};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use httparse::{Header, ParserConfig, Request};
use std::mem::MaybeUninit;

/// A head that was read and found good.
pub(super) struct Asked<'h, 'b> {
    pub(super) method: &'b str,
    /// Path and query.
    pub(super) path: &'b str,
    /// Whom it is for, with a port if there is one; empty for a client of HTTP/1.0 that does not say.
    pub(super) authority: &'b str,
    pub(super) is_old: bool,
    pub(super) fields: &'h [Header<'b>],
    pub(super) framing: Framing,
    pub(super) options: Options,
    pub(super) expects_continue: bool,
    pub(super) wants_trailers: bool,
    upgrade: Option<&'b [u8]>,
    traceparent: Option<&'b [u8]>,
    request_id: Option<&'b [u8]>,
}

/// Reads a head that is as long as `head` and ends with an empty line.
///
/// # Errors
/// What the client is told; the connection ends then.
pub(super) fn read<'h, 'b>(head: &'b [u8], room: &'h mut Fields<'b>) -> Result<Asked<'h, 'b>, Problem> {
    let mut request = Request::new(&mut []);
    let read = ParserConfig::default().parse_request_with_uninit_headers(&mut request, head, room);
    match read {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(too_large("the request has too many header fields")),
        Err(error) => return Err(Problem::bad_request("head", format!("the request is not HTTP/1.1: {error}"))),
        Ok(_) => return Err(Problem::bad_request("head", "the request is not HTTP/1.1")),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(Problem::bad_request("head", "the request is not HTTP/1.1"));
    };
    let (authority, path) = split(target);
    head::check_target(method, path)?;
    let mut asked = Asked {
        method,
        path,
        authority: "",
        is_old: minor == 0,
        fields: request.headers,
        framing: Framing::Nothing,
        options: Options::default(),
        expects_continue: false,
        wants_trailers: false,
        upgrade: None,
        traceparent: None,
        request_id: None,
    };
    let host = asked.note_fields()?;
    asked.authority = match (authority, host) {
        (_, None) if minor == 1 => return Err(Problem::bad_request("host", "Host is missing")),
        (Some(authority), _) => authority,
        (None, Some(host)) => host,
        (None, None) => "",
    };
    head::check_authority(asked.authority)?;
    Ok(asked)
}

/// A head, or its path, is larger than allowed.
pub(super) fn too_large(detail: &str) -> Problem {
    Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large", detail).closing()
}

/// Authority, and path with query, of a target.
fn split(target: &str) -> (Option<&str>, &str) {
    let is = |scheme: &str| target.get(..scheme.len()).is_some_and(|given| given.eq_ignore_ascii_case(scheme));
    let rest = match () {
        () if is("http://") => &target[7..],
        () if is("https://") => &target[8..],
        () => return (None, target),
    };
    match rest.find(['/', '?']) {
        Some(at) if rest.as_bytes()[at] == b'/' => (Some(&rest[..at]), &rest[at..]),
        // Without a path before the query there is nothing that it could be a query of.
        Some(at) => (Some(&rest[..at]), ""),
        None => (Some(rest), "/"),
    }
}

impl<'b> Asked<'_, 'b> {
    /// Looks at each field once; the `Host`.
    fn note_fields(&mut self) -> Result<Option<&'b str>, Problem> {
        let mut host = None;
        let mut length = None;
        let mut chunked = false;
        for Header { name, value } in self.fields {
            let kind = field::kind(name);
            if matches!(kind, Kind::Other | Kind::Claim | Kind::Hop) {
                continue;
            }
            if name.contains('_') {
                field::refuse_twin(kind, name)?;
                continue;
            }
            match kind {
                Kind::Host if host.is_some() => {
                    return Err(Problem::bad_request("host", "there is more than one Host"));
                }
                Kind::Host => {
                    let text = std::str::from_utf8(value);
                    host = Some(text.map_err(|_| Problem::bad_request("host", head::ODD_HOST))?);
                }
                Kind::ContentLength => match (length, field::length(value)) {
                    (None, Some(given)) => length = Some(given),
                    _ => return Err(Problem::bad_request("content-length", "Content-Length is not one plain number")),
                },
                Kind::TransferEncoding if chunked || self.is_old || !value.eq_ignore_ascii_case(b"chunked") => {
                    let detail = "only one `Transfer-Encoding: chunked` is understood, and only in HTTP/1.1";
                    return Err(Problem::bad_request("transfer-encoding", detail));
                }
                Kind::TransferEncoding => chunked = true,
                Kind::Connection => self.options.note(value),
                Kind::Expect => self.expects_continue = !self.is_old && value.eq_ignore_ascii_case(b"100-continue"),
                Kind::Te => {
                    self.wants_trailers |= field::list(value).any(|coding| {
                        let name = coding.split(|byte| *byte == b';').next().unwrap_or(coding);
                        name.trim_ascii().eq_ignore_ascii_case(b"trailers")
                    });
                }
                Kind::Upgrade => self.upgrade = self.upgrade.or(Some(value)),
                Kind::TraceParent => self.traceparent = self.traceparent.or(Some(value)),
                Kind::RequestId => self.request_id = self.request_id.or(Some(value)),
                _ => {}
            }
        }
        self.framing = match (chunked, length) {
            (true, Some(_)) => {
                return Err(Problem::bad_request("framing", "both Content-Length and Transfer-Encoding are there"));
            }
            (true, None) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::Nothing,
        };
        Ok(host)
    }

    /// The connection may stay open after the answer.
    pub(super) fn keeps_alive(&self) -> bool {
        !self.options.close && (!self.is_old || self.options.keep_alive)
    }

    /// Another protocol that the client wants to speak on this connection. HTTP/2 is not one of them: whoever speaks it
    /// through a tunnel would speak past the gateway.
    pub(super) fn upgrade(&self) -> Option<&'b [u8]> {
        let may = self.options.upgrade && !self.is_old && matches!(self.framing, Framing::Nothing | Framing::Length(0));
        let is_http = |value: &[u8]| {
            field::list(value).any(|protocol| {
                let name = protocol.split(|byte| *byte == b'/').next().unwrap_or(protocol);
                ["h2c", "h2", "http"].iter().any(|http| name.eq_ignore_ascii_case(http.as_bytes()))
            })
        };
        self.upgrade.filter(|value| may && !is_http(value))
    }

    /// Appends the head that a replica gets, without framing and end; the request's id.
    pub(super) fn write(&self, out: &mut Vec<u8>, connection: &Connection, ingress: bool) -> http::HeaderValue {
        for part in [self.method, " ", self.path, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        let authority = if self.authority.is_empty() { "localhost" } else { self.authority };
        field::write(out, "host", authority.as_bytes());
        let marks = trace::marks(self.traceparent, self.request_id);
        for Header { name, value } in self.fields {
            let passes = match field::kind(name) {
                Kind::Other | Kind::Cookie | Kind::Date => true,
                Kind::Claim => !ingress,
                Kind::TraceState => marks.is_continued,
                _ => false,
            };
            if passes && !self.options.name(name, self.fields) {
                field::write(out, name, value);
            }
        }
        if self.wants_trailers {
            field::write(out, "te", b"trailers");
        }
        if ingress {
            field::write(out, "x-forwarded-for", connection.peer_value.as_bytes());
            field::write(out, "x-forwarded-proto", if connection.secure { b"https" } else { b"http" });
            if !self.authority.is_empty() {
                field::write(out, "x-forwarded-host", self.authority.as_bytes());
            }
        }
        field::write(out, "traceparent", &marks.traceparent);
        field::write(out, "x-request-id", marks.request_id.as_bytes());
        marks.request_id
    }
}

impl<'b> belonging::Head<'b> for Asked<'_, 'b> {
    fn field(&self, name: &str) -> Option<&'b [u8]> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    fn cookies(&self) -> impl Iterator<Item = &'b [u8]> {
        self.fields.iter().filter(|field| field::kind(field.name) == Kind::Cookie).map(|field| field.value)
    }
}

/// The request of a head as it was written for a replica, for another engine; it has no body. `None`: that engine does not
/// take it.
pub(super) fn outgoing(head: &[u8]) -> Option<Outgoing> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut request = Request::new(&mut []);
    ParserConfig::default().parse_request_with_uninit_headers(&mut request, head, &mut room).ok()?;
    let method = Method::from_bytes(request.method?.as_bytes()).ok()?;
    let uri = request.path?.parse().ok()?;
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 1);
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some(Outgoing::reading(method, uri, headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<(&str, &str, Framing), u16>) {
        let mut room = [const { MaybeUninit::uninit() }; field::FIELDS_MAX];
        let read = read(text.as_bytes(), &mut room);
        let got = read.as_ref().map(|asked| (asked.authority, asked.path, asked.framing));
        assert_eq!(got.map_err(|problem| problem.status.as_u16()), want, "{text:?}");
    }

    #[test]
    fn good_heads_are_read() {
        check("GET /a?b HTTP/1.1\r\nHost: a:1\r\n\r\n", Ok(("a:1", "/a?b", Framing::Nothing)));
        check("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", Ok(("b", "/x", Framing::Nothing)));
        check("GET HTTP://b HTTP/1.1\r\nHost: a\r\n\r\n", Ok(("b", "/", Framing::Nothing)));
        check("GET / HTTP/1.0\r\n\r\n", Ok(("", "/", Framing::Nothing)));
        check("PUT / HTTP/1.1\r\nHost:a\r\nContent-Length:\t3 \r\n\r\n", Ok(("a", "/", Framing::Length(3))));
        check("PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: CHUNKED\r\n\r\n", Ok(("a", "/", Framing::Chunked)));
    }

    #[test]
    fn heads_that_could_be_read_in_two_ways_are_refused() {
        for fields in [
            "X: 1\r\n",
            "Host: a\r\nHost: a\r\n",
            "Host: a b\r\n",
            "Host: a/b\r\n",
            "Host: u@a\r\n",
            "Host: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n",
            "Host: a\r\nContent-Length: 3, 3\r\n",
            "Host: a\r\nContent-Length: +3\r\n",
            "Host: a\r\nContent_Length: 3\r\n",
            "Host: a\r\nTransfer_Encoding: chunked\r\n",
            "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n",
            "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            "Host: a\r\nContent-Length : 3\r\n",
            "Host: a\r\n X: folded\r\n",
        ] {
            check(&format!("POST / HTTP/1.1\r\n{fields}\r\n"), Err(400));
        }
        check("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Err(400));
        check("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Err(400));
        check("GET http://b?x HTTP/1.1\r\nHost: a\r\n\r\n", Err(400));
        check("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", Err(400));
        check("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", Err(405));
        check(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000)), Err(414));
        check(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(100)), Err(431));
    }
}
