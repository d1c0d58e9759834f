//! Sends a request on to a service, and its answer back.

use crate::limit::{CLIENT, FORWARDED, client_of};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName, Method, Uri, header};
use plimsoll_kit::Problem;
use plimsoll_kit::extract::Whole;
use plimsoll_kit::peer::{Call, Peer};

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
pub(super) struct Forward {
    pub(super) peer: Peer,
    /// Another path than the one that was asked for.
    pub(super) rewritten: Option<&'static str>,
}

/// Forwards a request. It is sent once: the balancer between us and the service tries again where that is right.
pub(super) async fn forward(
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
