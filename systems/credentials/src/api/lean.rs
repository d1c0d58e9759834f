//! `GET /api/usernames/{name}` before all layers: the one path that is asked ten thousand times a second.
//!
//! It has no log line and no span; it counts itself, and echoes a correlation id if it was given one.

use super::usernames::render;
use crate::validation::Validation;
use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderValue, Method, Response, header};
use plimsoll_kit::metrics::RouteMetrics;
use plimsoll_kit::service::FastPath;
use std::sync::Arc;
use std::time::Instant;

const PREFIX: &str = "/api/usernames/";

/// The fast path; anything unusual is left to the router.
pub(super) fn path(validation: Validation, metrics: RouteMetrics) -> FastPath {
    let shared = Arc::new((validation, metrics));
    Arc::new(move |request| {
        let encoded = request.uri().path().strip_prefix(PREFIX)?;
        if request.method() != Method::GET || encoded.contains('/') {
            return None;
        }
        let name = decode(encoded)?;
        let correlation = request.headers().get("x-request-id").cloned();
        let shared = Arc::clone(&shared);
        Some(Box::pin(async move {
            let (validation, metrics) = &*shared;
            let started = Instant::now();
            let mut response = answer(validation, &name).await;
            metrics.record(response.status().as_u16(), started.elapsed());
            if let Some(id) = correlation {
                response.headers_mut().insert("x-request-id", id);
            }
            response
        }))
    })
}

/// The answer to one name, as both paths give it.
pub(super) async fn answer(validation: &Validation, name: &str) -> Response<Body> {
    let Ok(verdict) = validation.verdict(name).await else {
        return plimsoll_kit::Problem::unavailable("unanswered", "The database does not answer; try again.")
            .into_response();
    };
    let mut response = Response::new(Body::from(render(name, &verdict)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Undoes percent-encoding; `None` if what comes out is not UTF-8 or the encoding is malformed.
fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let value = digit(rest.next())? * 16 + digit(rest.next())?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn undoes_percent_encoding() {
        assert_eq!(decode("anna"), Some("anna".into()));
        assert_eq!(decode("%D0%B0dmin"), Some("\u{430}dmin".into()));
        assert_eq!(decode("%zz"), None);
        assert_eq!(decode("%ff"), None);
        assert_eq!(decode("a%2"), None);
    }
}
