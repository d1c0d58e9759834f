//! Sends a request on to a service, and its answer back: what a gateway in front of services does.
//!
//! Whole requests and whole answers. The client's address goes on in `X-Client-Address`; what a client says of its own
//! address is never believed.

use crate::Problem;
use crate::extract::Whole;
use crate::peer::{Call, Peer};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName, Method, Uri, header};

/// The client's address between our own services; the gateway writes it, whatever a client sent.
pub const CLIENT: HeaderName = HeaderName::from_static("x-client-address");
/// The client's address as whatever stands before our gateway tells it.
pub const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");
/// What is of one connection only (RFC 9110 §7.6.1), and what the client's own connection to us says.
const OF_THE_CONNECTION: [HeaderName; 10] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Where to.
#[derive(Clone)]
pub struct Forward {
    /// The service.
    pub peer: Peer,
    /// Another path than the one that was asked for.
    pub rewritten: Option<&'static str>,
}

/// Forwards a request. It is sent once: the balancer between us and the service tries again where that is right.
///
/// # Errors
/// The service does not answer.
pub async fn forward(
    State(to): State<Forward>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    Whole(body): Whole,
) -> Result<Response, Problem> {
    let client = client_of(&headers, &FORWARDED);
    keep_to_the_message(&mut headers);
    let asked = uri.path_and_query().map_or("/", |path| path.as_str());
    let call = Call::new(method, to.rewritten.unwrap_or(asked)).headers(headers).header(CLIENT, &client).body(body);
    let answer = to.peer.send(call).await?;
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    keep_to_the_message(response.headers_mut());
    Ok(response)
}

/// The client's address as this header tells it.
pub fn client_of(headers: &HeaderMap, by: &HeaderName) -> String {
    let told = headers.get_all(by).iter().next_back().and_then(|value| value.to_str().ok());
    // The last one was added by what is nearest to us; those before it anybody may have made up.
    let nearest = told.and_then(|text| text.rsplit(',').next()).map_or("", str::trim);
    if nearest.is_empty() { "unknown".to_owned() } else { nearest.chars().take(64).collect() }
}

/// Takes away what is not of the message itself, also what `Connection` names.
fn keep_to_the_message(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&OF_THE_CONNECTION) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_client_is_who_the_nearest_proxy_says() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED, HeaderValue::from_static("6.6.6.6"));
        headers.append(FORWARDED, HeaderValue::from_static("6.6.6.6, 10.0.0.7"));
        headers.append(CLIENT, HeaderValue::from_static("10.0.0.8"));
        assert_eq!(client_of(&headers, &FORWARDED), "10.0.0.7");
        assert_eq!(client_of(&headers, &CLIENT), "10.0.0.8");
        assert_eq!(client_of(&HeaderMap::new(), &CLIENT), "unknown");
    }

    #[test]
    fn what_is_of_the_connection_stays_behind() {
        let mut headers: HeaderMap = [
            ("connection", "close, x-secret"),
            ("x-secret", "1"),
            ("keep-alive", "5"),
            ("authorization", "Bearer x"),
            ("content-length", "3"),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect();
        keep_to_the_message(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["authorization"]);
    }
}
