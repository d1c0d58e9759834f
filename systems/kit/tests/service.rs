//! A whole service on a real socket, asked by a real peer.

#![expect(clippy::unwrap_used, reason = "a test fails where it fails")]

use axum::Router;
use axum::routing::get;
use http::{HeaderName, Method, StatusCode};
use plimsoll_kit::peer::{Answer, Call, Peer, PeerError, PeerSettings};
use plimsoll_kit::readiness::Readiness;
use plimsoll_kit::settings::{ServerSettings, read_from};
use plimsoll_kit::trace::{RequestContext, TraceContext};
use plimsoll_kit::{Problem, Service};
use serde_json::Value;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

struct Running {
    peer: Peer,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Running {
    async fn start(routes: Router, readiness: Readiness, more: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let lookup = |name: &str| match name {
            "PORT" => Some("0".to_owned()),
            "TESTED_URL" => Some(url.clone()),
            "TESTED_ANSWER_MS" => Some("60000".to_owned()),
            name => more.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()),
        };
        let (server, peer) =
            read_from(lookup, |env| (ServerSettings::read("tested", env), PeerSettings::read("tested", env))).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let service = Service::new(server, routes).readiness(readiness);
        let served = tokio::spawn(async move {
            service.serve_on(listener, async { drop(stopped.await) }).await.unwrap();
        });
        Self { peer: peer.client(), stop: Some(stop), served }
    }

    async fn get(&self, path: &str) -> Answer {
        self.peer.send(Call::new(Method::GET, path)).await.unwrap()
    }
}

#[track_caller]
fn is_problem(answer: &Answer, status: u16, kind: &str) -> Value {
    let document: Value = answer.json().unwrap();
    assert_eq!(answer.status.as_u16(), status, "{document}");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(document["type"], format!("urn:problem:{kind}"));
    document
}

#[tokio::test]
async fn every_failure_is_a_problem_document() {
    let routes = Router::new()
        .route("/panics", get(async || -> StatusCode { panic!("on purpose") }))
        .route("/refuses", get(async || Problem::conflict("taken", "It is taken.")))
        .route("/stalls", get(std::future::pending::<StatusCode>));
    let running = Running::start(routes, Readiness::default(), &[("REQUEST_MAX_MS", "100")]).await;
    is_problem(&running.get("/panics").await, 500, "internal");
    is_problem(&running.get("/refuses").await, 409, "taken");
    is_problem(&running.get("/stalls").await, 503, "too-slow");
    is_problem(&running.get("/nowhere").await, 404, "not-found");
    let wrong_method = running.peer.send(Call::new(Method::PUT, "/refuses")).await.unwrap();
    is_problem(&wrong_method, 405, "method-not-allowed");
    let metrics = String::from_utf8(running.get("/metrics").await.body.to_vec()).unwrap();
    for line in ["route=\"/panics\",status=\"500\"} 1", "route=\"unmatched\",status=\"404\"} 1", "process_open_fds"] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn readiness_names_what_is_missing_and_forgives_what_is_optional() {
    let fine = || async { Ok(()) };
    let broken = || async { Err("connection refused".to_owned()) };
    let degraded = Readiness::default().requires("orders", fine).wants("cache", broken);
    let answer = Running::start(Router::new(), degraded, &[]).await.get("/ready").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json::<Value>().unwrap()["degraded"][0]["store"], "cache");
    let missing = Readiness::default().requires("orders", broken).requires("users", fine);
    let running = Running::start(Router::new(), missing, &[]).await;
    let document = is_problem(&running.get("/ready").await, 503, "not-ready");
    assert_eq!(document["missing"].as_array().unwrap().len(), 1);
    assert_eq!(document["missing"][0]["store"], "orders");
    assert_eq!(running.get("/health").await.status, StatusCode::OK);
}

#[tokio::test]
async fn trace_and_correlation_travel_on() {
    let seen = async || {
        let context = RequestContext::current().unwrap();
        format!("{} {}", context.trace, context.correlation)
    };
    let inner = Running::start(Router::new().route("/seen", get(seen)), Readiness::default(), &[]).await;
    let peer = inner.peer.clone();
    let pass = move || async move { peer.send(Call::new(Method::GET, "/seen")).await.unwrap().body };
    let outer = Running::start(Router::new().route("/pass", get(pass)), Readiness::default(), &[]).await;
    let parent = TraceContext::fresh();
    // A peer outside a request starts a trace of its own, so the context is given by hand.
    let call = Call::new(Method::GET, "/pass");
    let context = RequestContext { trace: parent, correlation: "order-7".into() };
    let answer = context.scope(outer.peer.send(call)).await.unwrap();
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let (trace, correlation) = text.split_once(' ').unwrap();
    let trace = TraceContext::parse(trace).unwrap();
    assert_eq!((trace.trace_id, correlation), (parent.trace_id, "order-7"));
    assert_ne!(trace.span_id, parent.span_id);
    assert_eq!(answer.headers["x-request-id"], "order-7");
    let hostile = Call::new(Method::GET, "/seen").header(HeaderName::from_static("x-request-id"), "two words");
    let answer = inner.peer.send(hostile).await.unwrap();
    assert_eq!(answer.headers["x-request-id"].len(), 32, "an unfit id is replaced by the trace id");
}

#[tokio::test]
async fn a_stop_lets_requests_in_flight_end() {
    let (entered, released) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (enter, release) = (Arc::clone(&entered), Arc::clone(&released));
    let slow = move || async move {
        enter.notify_one();
        release.notified().await;
        "done"
    };
    let routes = Router::new().route("/slow", get(slow));
    let mut running = Running::start(routes, Readiness::default(), &[]).await;
    let peer = running.peer.clone();
    let asking = tokio::spawn(async move { peer.send(Call::new(Method::GET, "/slow")).await });
    entered.notified().await;
    running.stop.take().unwrap().send(()).unwrap();
    // The listener closes while the request is still in flight: new connections are refused.
    loop {
        match running.peer.send(Call::new(Method::GET, "/health")).await {
            Err(PeerError::Unreachable { .. }) => break,
            Ok(_) | Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    }
    assert!(!asking.is_finished() && !running.served.is_finished());
    released.notify_one();
    let answer = asking.await.unwrap().unwrap();
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, &b"done"[..]));
    running.served.await.unwrap();
}

#[tokio::test]
async fn a_fault_on_purpose_spares_probes_and_fails_its_share() {
    let routes = || Router::new().route("/thing", get(|| async { "thing" }));
    let all =
        Running::start(routes(), Readiness::default(), &[("FAULT_ERRORS", "100%"), ("FAULT_DELAY_MS", "1")]).await;
    is_problem(&all.get("/thing").await, 500, "fault");
    for probe in ["/health", "/ready", "/metrics"] {
        assert_eq!(all.get(probe).await.status, StatusCode::OK, "{probe}");
    }
    let some = Running::start(routes(), Readiness::default(), &[("FAULT_ERRORS", "50%")]).await;
    let mut failed = 0;
    for _ in 0..200 {
        failed += u32::from(some.get("/thing").await.status == StatusCode::INTERNAL_SERVER_ERROR);
    }
    // 200 throws of a coin lie outside of this about once in 10^15 runs.
    assert!((40..=160).contains(&failed), "{failed} of 200 failed");
}
