//! The head of a request: what is refused before anybody else sees it, and what a replica gets to see of it.
//!
//! For HTTP/2; the heads of HTTP/1.1 are read by [`crate::http1`]. Framing is the protocol engine's: it refuses contradictory
//! lengths, folded lines, control characters. What it passes is framed anew towards the replica, so nobody behind the gateway
//! sees a client's own framing.
//!
//! Invariant: no header that a client sent about who it is (`x-forwarded-*`, `forwarded`, `x-real-ip`) passes the ingress.

use crate::{
    connection::Connection,
    http1::field::{self, Kind},
    problem::Problem,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING},
};

/// Why an authority is refused.
pub(crate) const ODD_HOST: &str = "Host has characters that no host has";
/// Longer paths (with their query) are refused with 414.
const URI_MAX: usize = 8 * 1024;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What is meant for the next hop only.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Refuses what no replica shall see; the host (without port) for which the request is.
pub(crate) fn check<B>(request: &Request<B>) -> Result<&str, Problem> {
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    check_target(request.method().as_str(), path)?;
    check_framing(request.headers())?;
    for name in request.headers().keys().filter(|name| name.as_str().contains('_')) {
        field::refuse_twin(field::kind(name.as_str()), name.as_str())?;
    }
    host(request)
}

/// Refuses methods and paths (with their query) that no replica shall see.
pub(crate) fn check_target(method: &str, path: &str) -> Result<(), Problem> {
    if path.len() > URI_MAX {
        let detail = format!("the request's path has {} bytes; at most {URI_MAX} are allowed", path.len());
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "uri-too-long", detail).closing());
    }
    if method == "CONNECT" || method == "TRACE" {
        return Err(
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", format!("{method} is not served here")).closing()
        );
    }
    if !path.starts_with('/') {
        return Err(Problem::bad_request("path", "the request's path does not begin with `/`"));
    }
    if path.contains('#') {
        return Err(Problem::bad_request("path", "the request's path has a fragment"));
    }
    Ok(())
}

/// The engine has settled how long the body is; what is unusual is refused here all the same.
fn check_framing(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Problem::bad_request(
                "transfer-encoding",
                "only one `Transfer-Encoding: chunked` is understood",
            ));
        }
        if headers.contains_key(CONTENT_LENGTH) {
            return Err(Problem::bad_request("framing", "both Content-Length and Transfer-Encoding are there"));
        }
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let digits = |value: &HeaderValue| !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit);
    if lengths.next().is_some_and(|length| !digits(length)) || lengths.next().is_some() {
        return Err(Problem::bad_request("content-length", "Content-Length is not one plain number"));
    }
    Ok(())
}

fn host<B>(request: &Request<B>) -> Result<&str, Problem> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let given = hosts.next();
    if hosts.next().is_some() {
        return Err(Problem::bad_request("host", "there is more than one Host"));
    }
    let authority = match (request.uri().authority(), given) {
        (Some(authority), _) => authority.as_str(),
        (None, Some(host)) => host.to_str().map_err(|_| Problem::bad_request("host", ODD_HOST))?,
        (None, None) if request.version() == Version::HTTP_10 => "",
        (None, None) => return Err(Problem::bad_request("host", "Host is missing")),
    };
    check_authority(authority)?;
    Ok(without_port(authority))
}

/// Refuses an authority (host and port) that could be taken for something else.
pub(crate) fn check_authority(authority: &str) -> Result<(), Problem> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]%~".contains(&byte);
    if authority.bytes().all(fits) { Ok(()) } else { Err(Problem::bad_request("host", ODD_HOST)) }
}

pub(crate) fn without_port(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.find(']').map_or(authority, |end| &authority[..=end]);
    }
    authority.split_once(':').map_or(authority, |(host, _)| host)
}

/// Makes a client's headers those that a replica gets. `uri` is the client's, for the host of an absolute one.
pub(crate) fn prepare(headers: &mut HeaderMap, uri: &Uri, connection: &Connection, ingress: bool) {
    // A host in the request's target wins over the header.
    if let Some(host) = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        headers.insert(HOST, host);
    }
    let trailers = headers.get_all(TE).iter().any(|value| has_token(value, b"trailers"));
    strip_hop_by_hop(headers);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if !ingress {
        headers.remove(EXPECT);
        return;
    }
    // `expect` is the gateway's to answer.
    remove_all(headers, |name| matches!(field::kind(name.as_str()), Kind::Claim | Kind::Expect));
    headers.insert(&FORWARDED_FOR, connection.peer_value.clone());
    headers.insert(&FORWARDED_PROTO, HeaderValue::from_static(if connection.secure { "https" } else { "http" }));
    if let Some(host) = headers.get(HOST).cloned() {
        headers.insert(&FORWARDED_HOST, host);
    }
}

/// Removes what is meant for the next hop only: RFC 9110 §7.6.1.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
            // A client can't have these taken away: they are about the message, not the hop.
            .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    remove_all(headers, |name| HOP_BY_HOP.contains(&name.as_str()));
}

/// Removes those that `is_unwanted`. Most messages have none of them, so names are looked at once instead of looked up.
fn remove_all(headers: &mut HeaderMap, is_unwanted: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| is_unwanted(name)).cloned() {
        headers.remove(name);
    }
}

fn has_token(value: &HeaderValue, token: &[u8]) -> bool {
    value.as_bytes().split(|byte| *byte == b',').any(|part| {
        let part = part.split(|byte| *byte == b';').next().unwrap_or(part);
        part.trim_ascii().eq_ignore_ascii_case(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[track_caller]
    fn check_is(uri: &str, headers: &[(&str, &str)], want: Result<&str, u16>) {
        let request = request(uri, headers);
        assert_eq!(check(&request).map_err(|problem| problem.status.as_u16()), want);
    }

    #[test]
    fn the_host_is_told_without_its_port() {
        check_is("/", &[("host", "shop.localhost:8080")], Ok("shop.localhost"));
        check_is("/", &[("host", "[::1]:8080")], Ok("[::1]"));
        check_is("http://a.b/x", &[("host", "c")], Ok("a.b"));
    }

    #[test]
    fn heads_that_could_be_read_in_two_ways_are_refused() {
        check_is("/", &[], Err(400));
        check_is("/", &[("host", "a"), ("host", "b")], Err(400));
        check_is("/", &[("host", "a b")], Err(400));
        check_is("/", &[("host", "a/b")], Err(400));
        check_is("/", &[("host", "a@b")], Err(400));
        check_is("/", &[("host", "a"), ("transfer-encoding", "gzip, chunked")], Err(400));
        check_is("/", &[("host", "a"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], Err(400));
        check_is("/", &[("host", "a"), ("transfer-encoding", "chunked"), ("content-length", "3")], Err(400));
        check_is("/", &[("host", "a"), ("content-length", "3"), ("content-length", "3")], Err(400));
        check_is("/", &[("host", "a"), ("content-length", "+3")], Err(400));
        check_is(&format!("/{}", "x".repeat(URI_MAX)), &[("host", "a")], Err(414));
    }

    #[test]
    fn hop_by_hop_headers_go_with_those_that_connection_names() {
        let mut headers = request(
            "/",
            &[
                ("host", "a"),
                ("connection", "close, X-Secret, host"),
                ("x-secret", "1"),
                ("keep-alive", "5"),
                ("te", "gzip"),
                ("upgrade", "h2c"),
                ("accept", "*/*"),
            ],
        )
        .into_parts()
        .0
        .headers;
        strip_hop_by_hop(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "host"]);
    }
}
