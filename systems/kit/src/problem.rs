//! Errors as `application/problem+json` (RFC 9457).

use axum::{body::Body, response::IntoResponse, response::Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

/// An error answer; `type` is `urn:problem:` and a kebab-case name, so a client can tell errors apart.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of this status and kind (kebab-case); `detail` is a sentence for people.
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), more: Map::new(), headers: Vec::new() }
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// 401: nobody is signed in.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: signed in, but not allowed.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 404: no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 409: the state of the world forbids it.
    pub fn conflict(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, detail)
    }

    /// 422: understood, but not acceptable.
    pub fn unprocessable(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, detail)
    }

    /// 503 with `Retry-After` of one second: try again.
    pub fn unavailable(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// 500: our fault. `why` goes to the log, never to the client.
    pub fn internal(why: &dyn std::error::Error) -> Self {
        tracing::error!(error = %Chain(why), "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side.")
    }

    /// Adds an extension member.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.more.insert(member.to_owned(), value.into());
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status it answers with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The document as JSON.
    pub fn document(&self) -> Value {
        let mut document = json!({
            "type": format!("urn:problem:{}", self.kind),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(members) = document.as_object_mut() {
            members.extend(self.more.clone());
        }
        document
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.document().to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

/// Shows an error with its causes on one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(why) = cause {
            write!(f, ": {why}")?;
            cause = why.source();
        }
        Ok(())
    }
}

impl From<sqlx::Error> for Problem {
    /// A database that cannot be reached is 503, anything else our fault.
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::PoolClosed => {
                tracing::warn!(error = %Chain(&error), "database unavailable");
                Self::unavailable("database-unavailable", "The database does not answer; try again.")
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<crate::keyvalue::KeyValueError> for Problem {
    fn from(error: crate::keyvalue::KeyValueError) -> Self {
        tracing::warn!(error = %Chain(&error), "key-value store unavailable");
        Self::unavailable("store-unavailable", "A store does not answer; try again.")
    }
}

impl From<crate::hashing::HashingError> for Problem {
    fn from(error: crate::hashing::HashingError) -> Self {
        match error {
            crate::hashing::HashingError::Overloaded => {
                Self::unavailable("busy", "Too many people are here at once; try again.")
            }
            crate::hashing::HashingError::Failed(_) => Self::internal(&error),
        }
    }
}

impl From<crate::peer::PeerError> for Problem {
    fn from(error: crate::peer::PeerError) -> Self {
        tracing::warn!(error = %Chain(&error), "another service does not answer");
        Self::unavailable("peer-unavailable", "Another service does not answer; try again.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_kind_status_and_members() {
        let document = Problem::conflict("taken", "The name is taken.").with("name", "anna").document();
        assert_eq!(document["type"], "urn:problem:taken");
        assert_eq!(document["status"], 409);
        assert_eq!(document["name"], "anna");
    }
}
