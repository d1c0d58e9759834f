//! Every way to fail is counted, told apart and listed; none is retried, and none is a panic.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use plimsoll_load::{Cause, Plan, RequestTemplate, Target};

use crate::server::{Seen, Server, never, status};
use crate::{millis, plan, run};

#[test]
fn lists_wrong_answers_up_to_the_bound_and_counts_all() {
    let server = Server::start(|seen: Seen| status(if seen.order.is_multiple_of(4) { 503 } else { 200 }));
    let report = run(&Plan { failures_listed_max: 10, ..plan(server.target(), 400.0, millis(500)) });
    assert_eq!((report.asked, report.answered, report.failed), (200, 200, 50));
    assert_eq!(report.by_cause.clone().into_iter().collect::<Vec<_>>(), [("status 503".to_owned(), 50)]);
    let words = report.to_string();
    assert!(words.contains("asked 200, right 150, failed 50") && words.contains("… and 40 more"), "{words}");
    assert_eq!(report.failures.len(), 10);
    for failure in &report.failures {
        assert_eq!(failure.cause, Cause::Status { status: 503 });
        assert_eq!(failure.request, "GET /");
        assert_eq!(failure.at, millis(1000).mul_f64(failure.number as f64 / 400.0), "its intended start");
    }
}

#[test]
fn an_expected_error_is_no_failure() {
    let server = Server::start(|_| status(404));
    let mut asked = plan(server.target(), 100.0, millis(200));
    asked.requests[0].expect = "404".parse().unwrap();
    assert_eq!(run(&asked).right, 20);
}

#[test]
fn gives_up_what_is_not_answered_in_time() {
    let server = Server::start(|_| never());
    let report = run(&Plan { timeout: millis(300), ..plan(server.target(), 100.0, millis(200)) });
    assert_eq!((report.asked, report.answered, report.failed), (20, 0, 20));
    assert_eq!(report.latency_at(0.5), None);
    assert!(report.failures.iter().all(|failure| failure.after >= millis(300)));
    let known = [Cause::TimedOut, Cause::NotSent];
    assert!(report.failures.iter().all(|failure| known.contains(&failure.cause)), "{:?}", report.by_cause);
}

#[test]
fn says_what_was_never_sent() {
    let server = Server::start(|_| never());
    let burst = Plan::at_once(server.target(), 20, RequestTemplate::get("/"), millis(300));
    let report = run(&Plan { connections_max: 1, ..burst });
    assert_eq!((report.asked, report.sent, report.failed), (20, 1, 20));
    let causes: Vec<_> = report.by_cause.into_iter().collect();
    assert_eq!(causes, [(Cause::NotSent.to_string(), 19), (Cause::TimedOut.to_string(), 1)]);
}

#[test]
fn a_refused_connection_is_a_failure() {
    // Bound, so that nobody else gets the port, but not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let target = Target::parse(&format!("http://{}", socket.local_addr().unwrap())).unwrap();
    let report = run(&Plan { connections_first: 3, ..plan(target, 100.0, millis(200)) });
    assert_eq!((report.asked, report.sent, report.failed), (20, 0, 20));
    assert!(report.failures.iter().all(|failure| failure.cause == Cause::Refused), "{:?}", report.by_cause);
}

/// Reads one request on each connection, does `act`, and closes. Ends with the process.
fn raw(act: fn(&mut std::net::TcpStream)) -> (Target, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let requests = Arc::new(AtomicU64::new(0));
    let counted = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                counted.fetch_add(1, SeqCst);
                act(&mut stream);
            }
        }
    });
    (target, requests)
}

#[test]
fn a_connection_closed_without_an_answer_is_never_retried() {
    let (target, requests) = raw(|_| {});
    let report = run(&plan(target, 100.0, millis(200)));
    assert_eq!((report.asked, report.failed), (20, 20));
    assert_eq!(requests.load(SeqCst), 20, "each was sent once");
    let known = [Cause::Closed, Cause::Reset];
    assert!(report.failures.iter().all(|failure| known.contains(&failure.cause)), "{:?}", report.by_cause);
}

#[test]
fn half_an_answer_is_a_failure() {
    let (target, requests) =
        raw(|stream| stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").unwrap());
    let report = run(&plan(target, 100.0, millis(200)));
    assert_eq!((report.answered, report.failed), (0, 20));
    assert_eq!(requests.load(SeqCst), 20);
}

#[test]
fn what_is_no_http_is_a_failure() {
    let (target, _) = raw(|stream| stream.write_all(b"220 smtp.example ready\r\n").unwrap());
    let report = run(&plan(target, 100.0, millis(200)));
    assert_eq!((report.answered, report.failed), (0, 20));
    let protocol = |cause: &Cause| matches!(cause, Cause::Protocol { .. });
    assert!(report.failures.iter().all(|failure| protocol(&failure.cause)), "{:?}", report.by_cause);
}

#[test]
fn a_connection_that_the_server_ends_between_requests_costs_none() {
    let server = Server::start(|_| {
        let answer = Response::builder().header("connection", "close").body(Full::<Bytes>::from("bye")).unwrap();
        Box::pin(async move { answer })
    });
    let report = run(&Plan { connections_max: 1, ..plan(server.target(), 100.0, millis(300)) });
    assert_eq!((report.right, report.failed), (30, 0));
    assert_eq!(report.generator.connections, 30);
    assert!(report.generator.reconnects >= 29);
}

#[test]
fn a_run_ends_though_nothing_works() {
    let unusable = Target::parse("http://127.0.0.1:9").unwrap();
    let report = run(&Plan { timeout: Duration::from_secs(2), ..plan(unusable, 1000.0, millis(200)) });
    assert_eq!((report.asked, report.failed), (200, 200));
}
