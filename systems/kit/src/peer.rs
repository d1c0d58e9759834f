//! Calls to another service: pooled connections, a time limit, trace context and correlation id passed on.

use crate::settings::{Environment, url_variable};
use crate::trace::{RequestContext, TraceContext};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// Largest answer in bytes that is read.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// The other service did not answer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Nobody answered in time; whether the request was carried out is unknown.
    #[error("{peer} did not answer in time")]
    TooSlow {
        /// Name of the service.
        peer: String,
    },
    /// No connection, or it broke.
    #[error("{peer} cannot be reached")]
    Unreachable {
        /// Name of the service.
        peer: String,
        /// What the connection said.
        #[source]
        why: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It answered something that we do not understand; our mistake or theirs.
    #[error("{peer} answered something unexpected")]
    Malformed {
        /// Name of the service.
        peer: String,
        /// What the reader said.
        #[source]
        why: serde_json::Error,
    },
}

/// Where another service is.
#[derive(Debug, Clone)]
pub struct PeerSettings {
    name: String,
    base: String,
    answer_max: Duration,
}

impl PeerSettings {
    /// Reads `<NAME>_URL` (`http://host:port`) and `<NAME>_ANSWER_MS` (default 10 s).
    pub fn read(name: &str, environment: &mut Environment<'_>) -> Self {
        let variable = url_variable(name);
        let base = environment.text(&variable).trim_end_matches('/').to_owned();
        let fits = base.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
        if !base.is_empty() && !fits {
            environment.mistake(&variable, "is not an http:// address");
        }
        let answer_variable = format!("{}_ANSWER_MS", variable.trim_end_matches("_URL"));
        let answer_max = environment.millis(&answer_variable, Duration::from_secs(10));
        Self { name: name.to_owned(), base, answer_max }
    }

    /// A client; cheap to clone.
    pub fn client(&self) -> Peer {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(64)
            .build(connector);
        Peer { settings: self.clone(), client }
    }
}

/// A client of another service.
#[derive(Clone)]
pub struct Peer {
    settings: PeerSettings,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What the other service answered; any status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
    peer: String,
}

impl Answer {
    /// The body read as JSON.
    ///
    /// # Errors
    /// It is not such JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, PeerError> {
        serde_json::from_slice(&self.body).map_err(|why| PeerError::Malformed { peer: self.peer.clone(), why })
    }
}

/// A request being put together.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    /// A request without a body; `path` begins with `/` and is already percent-encoded.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// Adds a header; one that cannot be written is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Sets all headers, those of the connection excepted, which are the caller's to leave out.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Sets a body of any kind.
    #[must_use]
    pub fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// Signs the request with a bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header(header::AUTHORIZATION, &format!("Bearer {token}"))
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(mut self, body: &impl Serialize) -> Self {
        self.body = serde_json::to_vec(body).unwrap_or_default().into();
        self.header(header::CONTENT_TYPE, "application/json")
    }
}

impl Peer {
    /// Sends the request and reads the whole answer. It is sent once; whoever calls decides about retries.
    ///
    /// # Errors
    /// No answer; an answer with an error status is an [`Answer`].
    pub async fn send(&self, call: Call) -> Result<Answer, PeerError> {
        let unreachable = |why: Box<dyn std::error::Error + Send + Sync>| PeerError::Unreachable {
            peer: self.settings.name.clone(),
            why,
        };
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.settings.base, call.path))
            .body(Full::new(call.body))
            .map_err(|why| unreachable(why.into()))?;
        *request.headers_mut() = call.headers;
        pass_context_on(request.headers_mut());
        let work = async {
            let (parts, body) = self.client.request(request).await.map_err(|why| unreachable(why.into()))?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(unreachable)?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body, peer: self.settings.name.clone() })
        };
        tokio::time::timeout(self.settings.answer_max, work)
            .await
            .unwrap_or_else(|_| Err(PeerError::TooSlow { peer: self.settings.name.clone() }))
    }

    /// Asks the service's `/health`; for our own `/ready`.
    ///
    /// # Errors
    /// A sentence saying what is wrong.
    pub async fn answers(self) -> Result<(), String> {
        let answer = self.send(Call::new(Method::GET, "/health")).await.map_err(|why| why.to_string())?;
        if answer.status.is_success() { Ok(()) } else { Err(format!("answered {}", answer.status)) }
    }
}

fn pass_context_on(headers: &mut HeaderMap) {
    let context = RequestContext::current();
    let trace = context.as_ref().map_or_else(TraceContext::fresh, |context| context.trace);
    if let Ok(value) = HeaderValue::from_str(&trace.to_string()) {
        headers.insert("traceparent", value);
    }
    if let Some(value) = context.and_then(|context| HeaderValue::from_str(&context.correlation).ok()) {
        headers.insert("x-request-id", value);
    }
}
