//! Requests made ready before the run: whatever is the same for all is built once.

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Uri};
use http_body_util::Full;

use crate::plan::{PlanError, RequestTemplate};
use crate::statuses::Statuses;
use crate::target::{Protocol, Target};
use crate::text::{Fill, Text};

/// The body of a request.
pub(crate) type Body = Full<Bytes>;

/// One request template, ready to be sent.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) name: String,
    pub(crate) method: http::Method,
    pub(crate) expect: Statuses,
    uri: Made<Uri>,
    /// What the URI begins with: nothing, or HTTP/2's scheme and authority.
    origin: String,
    headers: HeaderMap,
    headers_made: Vec<(HeaderName, Text)>,
    body: Made<Bytes>,
}

#[derive(Debug)]
enum Made<T> {
    Once(T),
    EachTime(Text),
}

impl Prepared {
    /// Makes `template` ready for `target`.
    ///
    /// # Errors
    /// `UnknownPlaceholder`, `Request`: fix the template.
    pub(crate) fn new(template: &RequestTemplate, target: &Target) -> Result<Prepared, PlanError> {
        let origin = match target.protocol {
            Protocol::Http1 => String::new(),
            Protocol::Http2 { .. } => {
                format!("{}://{}", if target.tls { "https" } else { "http" }, target.authority())
            }
        };
        let refuse = |part, text: &str| PlanError::Request { part, text: text.to_owned() };
        if !template.path.starts_with('/') {
            return Err(refuse("path", &template.path));
        }
        let path = Text::parse(&format!("{}{}", target.prefix, template.path))?;
        // Placeholders write only letters, digits and dashes: if one filling is a good URI, all are.
        let sample = path.write(&mut Fill::new(0, 0));
        let uri = format!("{origin}{sample}").parse::<Uri>().map_err(|_| refuse("path", &template.path))?;
        let uri = if path.constant().is_some() { Made::Once(uri) } else { Made::EachTime(path) };
        let body = Text::parse(&template.body)?;
        let body = match body.constant() {
            Some(text) => Made::Once(Bytes::copy_from_slice(text.as_bytes())),
            None => Made::EachTime(body),
        };
        let (method, expect) = (template.method.clone(), template.expect.clone());
        let (headers, headers_made) = headers(template, target)?;
        Ok(Prepared { name: template.name(), method, expect, uri, origin, headers, headers_made, body })
    }

    /// The request itself, filled in. `None` only if a filling isn't allowed by HTTP, which `new` has ruled out.
    pub(crate) fn request(&self, mut fill: Fill) -> Option<Request<Body>> {
        let uri = match &self.uri {
            Made::Once(uri) => uri.clone(),
            Made::EachTime(text) => format!("{}{}", self.origin, text.write(&mut fill)).parse().ok()?,
        };
        let mut headers = self.headers.clone();
        for (name, text) in &self.headers_made {
            headers.append(name.clone(), HeaderValue::from_str(&text.write(&mut fill)).ok()?);
        }
        let body = match &self.body {
            Made::Once(bytes) => bytes.clone(),
            Made::EachTime(text) => Bytes::from(text.write(&mut fill)),
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Some(request)
    }

    /// The path that `fill` makes, for a list of failures.
    pub(crate) fn path(&self, mut fill: Fill) -> String {
        match &self.uri {
            Made::Once(uri) => uri.path_and_query().map_or_else(String::new, |path| path.as_str().to_owned()),
            Made::EachTime(text) => text.write(&mut fill),
        }
    }
}

type MadeHeaders = (HeaderMap, Vec<(HeaderName, Text)>);

fn headers(template: &RequestTemplate, target: &Target) -> Result<MadeHeaders, PlanError> {
    let refuse = |part, text: &str| PlanError::Request { part, text: text.to_owned() };
    let mut constant = HeaderMap::new();
    let mut made = Vec::new();
    for (name, value) in &template.headers {
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse("header name", name))?;
        let text = Text::parse(value)?;
        let sample = HeaderValue::from_str(&text.write(&mut Fill::new(0, 0)));
        let sample = sample.map_err(|_| refuse("header value", value))?;
        if text.constant().is_some() {
            constant.append(header, sample);
        } else {
            made.push((header, text));
        }
    }
    let named = constant.contains_key(HOST) || made.iter().any(|(name, _)| name == HOST);
    if !named && target.protocol == Protocol::Http1 {
        let authority = target.authority();
        let host = HeaderValue::from_str(&authority).map_err(|_| refuse("header value", &authority))?;
        constant.insert(HOST, host);
    }
    Ok((constant, made))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepare(template: &RequestTemplate, url: &str) -> Result<Prepared, PlanError> {
        Prepared::new(template, &Target::parse(url).unwrap())
    }

    #[test]
    fn fills_path_headers_and_body() {
        let mut template = RequestTemplate::post_json("/u/{n}?x=1", r#"{"name":"u{n}"}"#);
        template.headers.push(("idempotency-key".to_owned(), "{uuid}".to_owned()));
        let prepared = prepare(&template, "http://a.localhost:81/api").unwrap();
        let request = prepared.request(Fill::new(1, 42)).unwrap();
        assert_eq!(request.uri(), "/api/u/42?x=1");
        assert_eq!(request.headers()["host"], "a.localhost:81");
        assert_eq!(request.headers()["idempotency-key"].len(), 36);
        assert_eq!(prepared.path(Fill::new(1, 42)), "/api/u/42?x=1");
    }

    #[test]
    fn keeps_a_host_header_of_one_s_own() {
        let mut template = RequestTemplate::get("/");
        template.headers.push(("Host".to_owned(), "shop.example".to_owned()));
        let request = prepare(&template, "http://127.0.0.1:1").unwrap().request(Fill::new(0, 0)).unwrap();
        assert_eq!(request.headers().get_all("host").iter().collect::<Vec<_>>(), ["shop.example"]);
    }

    #[test]
    fn names_the_whole_uri_for_http2() {
        let mut target = Target::parse("http://a.localhost:81").unwrap();
        target.protocol = Protocol::Http2 { streams: 1 };
        let prepared = Prepared::new(&RequestTemplate::get("/x/{n}"), &target).unwrap();
        let request = prepared.request(Fill::new(0, 5)).unwrap();
        assert_eq!(request.uri(), "http://a.localhost:81/x/5");
        assert!(request.headers().is_empty());
    }

    #[test]
    fn refuses_what_http_does_not_allow() {
        let header = |name: &str, value: &str| RequestTemplate {
            headers: vec![(name.to_owned(), value.to_owned())],
            ..RequestTemplate::get("/")
        };
        for (template, wanted) in [
            (RequestTemplate::get("x"), "path"),
            (RequestTemplate::get("/a b"), "path"),
            (header("a b", "c"), "header name"),
            (header("a", "c\nd"), "header value"),
        ] {
            let refused = prepare(&template, "http://127.0.0.1:1").unwrap_err();
            assert!(matches!(refused, PlanError::Request { part, .. } if part == wanted), "{refused}");
        }
    }
}
