//! The reason for this crate: a stall shows as what it was.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use plimsoll_load::Plan;

use crate::server::{Seen, Server, status};
use crate::{millis, plan, run};

/// Stalls for 500 ms when the 20th request comes, once: whatever comes meanwhile waits, too.
fn stalling() -> Server {
    let until: Mutex<Option<Instant>> = Mutex::new(None);
    Server::start(move |seen: Seen| {
        let mut until = until.lock().unwrap();
        if seen.order == 20 {
            *until = Some(Instant::now() + millis(500));
        }
        let until = *until;
        Box::pin(async move {
            if let Some(until) = until {
                tokio::time::sleep_until(until.into()).await;
            }
            status(200).await
        })
    })
}

#[test]
fn a_stall_shows_in_every_request_that_should_have_started_during_it() {
    let server = stalling();
    let report = run(&plan(server.target(), 200.0, Duration::from_secs(2)));
    assert_eq!(report.failed, 0);
    // 400 of the 500 ms are more than 100 ms before its end: 80 requests at 200 a second.
    let slow = report.latency.above(millis(100));
    assert!(slow >= 75, "{slow}");
}

#[test]
fn even_on_one_connection_where_service_times_hide_it() {
    let server = stalling();
    let report = run(&Plan { connections_max: 1, ..plan(server.target(), 200.0, Duration::from_secs(2)) });
    assert_eq!(report.failed, 0);
    assert_eq!(report.generator.connections, 1);
    let (slow, slow_service) = (report.latency.above(millis(100)), report.service.above(millis(100)));
    assert!(slow >= 75, "{slow}");
    assert!(slow_service < slow, "one request was served slowly, and {slow_service} seemed to be");
    assert!(report.generator.waited_for_connection >= 75);
    assert!(report.latency_at(0.9).unwrap() >= millis(100));
}

#[test]
fn a_queue_that_grows_is_no_throughput() {
    let server = stalling();
    let report = run(&plan(server.target(), 200.0, millis(200)));
    assert_eq!(report.right, 40);
    assert!(report.rate_per_s < 100.0, "40 answers after half a second are no 200 a second: {}", report.rate_per_s);
}
