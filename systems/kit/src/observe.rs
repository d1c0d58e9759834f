//! The layer around every route: context, time limit, caught panics, figures and one log line.
//!
//! Invariant: whatever a handler does, the client gets an answer with a correlation id.

use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::trace::{RequestContext, TraceContext};
use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Method};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// What the layer needs.
#[derive(Clone)]
pub(crate) struct Observer {
    pub(crate) metrics: Metrics,
    pub(crate) request_max: Duration,
}

/// Serves one request with everything around it.
pub(crate) async fn observe(State(observer): State<Observer>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let parent = header(request.headers(), "traceparent").and_then(TraceContext::parse);
    let trace = parent.map_or_else(TraceContext::fresh, TraceContext::child);
    let correlation = correlation_of(request.headers(), trace);
    let span = tracing::info_span!(
        "request", method, route, correlation_id = %correlation, trace_id = %format_args!("{:032x}", trace.trace_id)
    );
    #[cfg(feature = "otlp")]
    let trace = crate::otlp::adopt(&span, parent).unwrap_or(trace);
    let context = RequestContext { trace, correlation: correlation.as_str().into() };
    let in_flight = observer.metrics.entered();
    let work = answer(next, request, observer.request_max);
    let mut response = context.scope(work.instrument(span.clone())).await;
    drop(in_flight);
    let took = started.elapsed();
    let status = response.status().as_u16();
    observer.metrics.record(method, &route, status, took);
    span.in_scope(|| log(&route, status, took));
    if let Ok(value) = HeaderValue::from_str(&correlation) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

async fn answer(next: Next, request: Request, request_max: Duration) -> Response {
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(request_max, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            tracing::error!("a handler panicked");
            Problem::new(http::StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side.")
                .into_response()
        }
        Err(_) => Problem::unavailable("too-slow", "The answer took too long.").into_response(),
    }
}

/// Probes and scrapes are routine: they would drown the rest.
fn log(route: &str, status: u16, took: Duration) {
    let took_ms = took.as_secs_f64() * 1e3;
    if matches!(route, "/health" | "/ready" | "/metrics") {
        tracing::debug!(status, took_ms, "answered");
    } else {
        tracing::info!(status, took_ms, "answered");
    }
}

/// The client's `x-request-id` if it is fit for a log, else the trace id.
pub(crate) fn correlation_of(headers: &HeaderMap, trace: TraceContext) -> String {
    header(headers, "x-request-id")
        .filter(|id| !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic()))
        .map_or_else(|| format!("{:032x}", trace.trace_id), str::to_owned)
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Bounded, for labels.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
