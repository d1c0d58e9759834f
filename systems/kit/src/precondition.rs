//! Entity tags: `"7"` is version 7. Who changes something says in `If-Match` which version was seen (RFC 9110 §13).

use crate::Problem;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// The tag of a version.
pub fn tag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The header that carries it.
pub fn header_of(version: i64) -> [(HeaderName, String); 1] {
    [(header::ETAG, tag(version))]
}

/// `If-Match`; without it a request is refused with 428.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(Vec<String>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let given = tags(&parts.headers, &header::IF_MATCH);
        if given.is_empty() {
            let detail = "Say in If-Match which version you have seen (the ETag of your GET), or * for any.";
            return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition-required", detail));
        }
        Ok(Self(given))
    }
}

impl IfMatch {
    /// Is this version one that was seen?
    ///
    /// # Errors
    /// 412, with the version that is there now.
    pub fn check(&self, version: i64) -> Result<(), Problem> {
        // A weak tag never matches here (RFC 9110 §13.1.1).
        if self.0.iter().any(|given| given == "*" || *given == tag(version)) {
            return Ok(());
        }
        let detail = "It was changed since you have seen it; get it again.";
        let problem = Problem::new(StatusCode::PRECONDITION_FAILED, "changed-meanwhile", detail);
        let problem = problem.with("version", version);
        Err(match HeaderValue::from_str(&tag(version)) {
            Ok(value) => problem.with_header(header::ETAG, value),
            Err(_) => problem,
        })
    }
}

/// Does the client have this version already (`If-None-Match`, compared weakly)?
pub fn is_known(headers: &HeaderMap, version: i64) -> bool {
    let given = tags(headers, &header::IF_NONE_MATCH);
    given.iter().any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag(version))
}

/// Our tags hold no comma, so commas part them.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, matches: bool, known: bool) {
        let headers = |name| HeaderMap::from_iter([(name, HeaderValue::from_str(given).unwrap())]);
        let if_match = IfMatch(tags(&headers(header::IF_MATCH), &header::IF_MATCH));
        assert_eq!(if_match.check(7).is_ok(), matches, "If-Match: {given}");
        assert_eq!(is_known(&headers(header::IF_NONE_MATCH), 7), known, "If-None-Match: {given}");
    }

    #[test]
    fn compares_as_the_rfc_says() {
        check("\"7\"", true, true);
        check("\"6\", \"7\"", true, true);
        check("\"6\"", false, false);
        check("*", true, true);
        check("W/\"7\"", false, true);
        check("7", false, false);
    }
}
