//! A small HTTP client; never follows redirects, keeps cookies only if asked.

use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A client of one address.
#[derive(Clone)]
pub struct Client {
    base: String,
    http: Http<HttpConnector, Full<bytes::Bytes>>,
}

/// An answer.
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub text: String,
}

impl Reply {
    /// The body as JSON.
    ///
    /// # Panics
    /// It is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The answer, if it has this status.
    ///
    /// # Panics
    /// It has another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// A header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Client {
    /// A client of `host:port`.
    pub fn new(address: &str) -> Self {
        let http = Http::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self { base: format!("http://{address}"), http }
    }

    /// Sends.
    ///
    /// # Errors
    /// No answer came.
    pub async fn try_send(&self, method: Method, path: &str, more: More<'_>) -> Result<Reply, String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in &more.headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(more.body.into())).unwrap();
        let (parts, body) = self.http.request(request).await.map_err(|why| why.to_string())?.into_parts();
        let bytes = body.collect().await.map_err(|why| why.to_string())?.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Reply { status: parts.status, headers: parts.headers, text })
    }

    /// Sends.
    ///
    /// # Panics
    /// No answer came.
    pub async fn send(&self, method: Method, path: &str, more: More<'_>) -> Reply {
        self.try_send(method, path, more).await.unwrap()
    }

    /// A GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, More::default()).await
    }

    /// A GET by whoever bears that token.
    pub async fn get_as(&self, bearer: &str, path: &str) -> Reply {
        self.send(Method::GET, path, More::default().with("authorization", bearer)).await
    }

    /// JSON from whoever bears that token; with an `If-Match` if one is given.
    pub async fn send_as(
        &self,
        bearer: &str,
        (method, path): (Method, &str),
        body: &Value,
        if_match: Option<&str>,
    ) -> Reply {
        let mut more = More::json(body).with("authorization", bearer);
        if let Some(tag) = if_match {
            more = more.with("if-match", tag);
        }
        self.send(method, path, more).await
    }

    /// A POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, More::json(body)).await
    }
}

/// Headers and body.
#[derive(Default)]
pub struct More<'a> {
    headers: Vec<(&'static str, &'a str)>,
    body: String,
}

impl<'a> More<'a> {
    /// A body of JSON.
    pub fn json(body: &Value) -> Self {
        Self { headers: vec![("content-type", "application/json")], body: body.to_string() }
    }

    /// A body that is text, of no kind yet.
    pub fn text(body: &str) -> Self {
        Self { headers: Vec::new(), body: body.to_owned() }
    }

    /// The fields of a form.
    pub fn form(fields: &[(&str, &str)]) -> Self {
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b' ');
        assert!(fields.iter().all(|(_, value)| plain(value)), "this client does not encode");
        let pairs: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "+"))).collect();
        Self { headers: vec![("content-type", "application/x-www-form-urlencoded")], body: pairs.join("&") }
    }

    /// With a header more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }
}
