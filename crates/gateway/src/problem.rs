//! Answers of the gateway's own: `application/problem+json`, with a reason that a person can act on.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

/// Why a request was not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// One word for programs, as `no-replica`.
    pub(crate) kind: &'static str,
    pub(crate) detail: String,
    /// When it may be tried again, in whole seconds.
    pub(crate) retry_after: Option<u64>,
    /// It was refused because of load or a limit.
    pub(crate) shed: bool,
    /// The connection is closed afterwards: the rest of the request is not read.
    pub(crate) close: bool,
}

impl Problem {
    /// The kind of one that nobody is told, since nobody is there.
    pub(crate) const GONE: &'static str = "gone";

    pub(crate) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), retry_after: None, shed: false, close: false }
    }

    /// Refused because of load: 503, try again in a second.
    pub(crate) fn shed(kind: &'static str, detail: impl Into<String>) -> Self {
        Self { retry_after: Some(1), shed: true, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail) }
    }

    pub(crate) fn bad_request(kind: &'static str, detail: impl Into<String>) -> Self {
        Self { close: true, ..Self::new(StatusCode::BAD_REQUEST, kind, detail) }
    }

    pub(crate) fn closing(self) -> Self {
        Self { close: true, ..self }
    }

    /// Head and body of the answer. `instance` is the request's id.
    pub(crate) fn response(&self, instance: &str) -> Response<Bytes> {
        let body = serde_json::json!({
            "type": format!("urn:plimsoll:problem:{}", self.kind),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "instance": instance,
        });
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
