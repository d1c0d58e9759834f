//! How many requests a client may send in a window of time, counted in Redis, so that all replicas count together.
//!
//! A window begins with a client's first request; so in any span as long as a window no more than twice as many pass. The
//! answer says how one stands (`RateLimit-Policy` and `RateLimit`, draft-ietf-httpapi-ratelimit-headers-10), a refusal also
//! when to come back (`Retry-After`).
//!
//! Invariant: without Redis nobody is refused: it is a guard against floods, and guessing passwords has another one
//! (`lockout`), which is in PostgreSQL.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::breaker::Breaker;
use plimsoll_kit::forward::client_of;
use plimsoll_kit::keyvalue::KeyValue;
use std::sync::Arc;
use std::time::Duration;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STANDING: HeaderName = HeaderName::from_static("ratelimit");
/// Failures in a row after which Redis is left alone, and how long.
const FAILURES_MAX: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// Counts one request; answers how many there were in this window, and how many milliseconds it still lasts.
const COUNT: &str = "
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  left = tonumber(ARGV[1])
end
return {count, left}";

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Its name in headers and keys.
    pub name: &'static str,
    /// Requests in a window.
    pub requests: u64,
    /// How long a window lasts; whole seconds.
    pub window: Duration,
}

/// How a client stands within its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    count: u64,
    /// Seconds until the window ends, rounded up.
    left_s: u64,
}

impl Standing {
    fn of(count: u64, left_ms: u64) -> Self {
        Self { count, left_s: left_ms.div_ceil(1000).max(1) }
    }
}

/// Counts the requests of clients; cheap to clone.
#[derive(Clone)]
pub struct Limiter {
    policy: Policy,
    by: HeaderName,
    store: KeyValue,
    breaker: Arc<Breaker>,
}

impl Limiter {
    /// A limiter that counts in this store; `by` is the header that tells the client's address.
    pub fn new(policy: Policy, store: KeyValue, by: HeaderName) -> Self {
        Self { policy, by, store, breaker: Arc::new(Breaker::new(FAILURES_MAX, PAUSE)) }
    }

    /// `None`: Redis does not answer.
    async fn count(&self, client: &str) -> Option<Standing> {
        if !self.breaker.allows() {
            return None;
        }
        let window_ms = u64::try_from(self.policy.window.as_millis()).unwrap_or(u64::MAX);
        let mut command = redis::cmd("EVAL");
        command.arg(COUNT).arg(1).arg(format!("limit:{}:{client}", self.policy.name)).arg(window_ms);
        match self.store.query::<(u64, u64)>(&command).await {
            Ok((count, left_ms)) => {
                self.breaker.succeeded();
                Some(Standing::of(count, left_ms))
            }
            Err(why) => {
                self.breaker.failed();
                tracing::warn!(error = %why, policy = self.policy.name, "requests are not counted");
                None
            }
        }
    }
}

/// The layer: refuses whoever asks too often, and tells everybody how they stand.
pub async fn limited(State(limiter): State<Limiter>, request: Request, next: Next) -> Response {
    let Some(standing) = limiter.count(&client_of(request.headers(), &limiter.by)).await else {
        return next.run(request).await;
    };
    let mut response = if standing.count > limiter.policy.requests {
        let detail =
            format!("Only {} requests in {} s; wait.", limiter.policy.requests, limiter.policy.window.as_secs());
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail)
            .with("retry_after", standing.left_s)
            .with_header(header::RETRY_AFTER, HeaderValue::from(standing.left_s))
            .into_response()
    } else {
        next.run(request).await
    };
    tell(limiter.policy, standing, response.headers_mut());
    response
}

/// Two policies may hold for one request: each adds its own line.
fn tell(policy: Policy, standing: Standing, headers: &mut HeaderMap) {
    let (name, left) = (policy.name, policy.requests.saturating_sub(standing.count));
    for (header, value) in [
        (POLICY, format!("\"{name}\";q={};w={}", policy.requests, policy.window.as_secs())),
        (STANDING, format!("\"{name}\";r={left};t={}", standing.left_s)),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.append(header, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_what_is_left_and_for_how_long() {
        let policy = Policy { name: "auth", requests: 100, window: Duration::from_secs(900) };
        for (count, left_ms, want) in
            [(1, 900_000, "\"auth\";r=99;t=900"), (100, 1, "\"auth\";r=0;t=1"), (250, 1_500, "\"auth\";r=0;t=2")]
        {
            let mut headers = HeaderMap::new();
            tell(policy, Standing::of(count, left_ms), &mut headers);
            assert_eq!(headers["ratelimit"], want);
            assert_eq!(headers["ratelimit-policy"], "\"auth\";q=100;w=900");
        }
    }
}
