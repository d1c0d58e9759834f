//! Rates, users, placeholders, weights, workers, warm-up, marks and stops.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use plimsoll_load::{Arrivals, Plan, RequestTemplate, once};

use crate::server::{Seen, Server, status};
use crate::{hold, millis, plan, run};

#[test]
fn asks_as_often_as_it_should() {
    let server = Server::start(|_| status(200));
    let report = run(&plan(server.target(), 500.0, millis(1000)));
    assert_eq!((report.asked, report.sent, report.right, report.failed), (500, 500, 500, 0));
    assert_eq!(report.by_status.clone().into_iter().collect::<Vec<_>>(), [(200, 500)]);
    assert_eq!(server.seen().len(), 500);
    let until_the_last = report.duration.max(report.ended_after).as_secs_f64();
    assert!((report.rate_per_s - 500.0 / until_the_last).abs() < 0.01, "{}", report.rate_per_s);
    assert!(report.to_string().contains("0 failed in 500: the failure rate is below 6.00e-3 at 95 %"), "{report}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((json["asked"].as_u64(), json["latency"]["count"].as_u64()), (Some(500), Some(500)));
}

#[test]
fn ramp_and_poisson_ask_what_their_schedule_says() {
    let server = Server::start(|_| status(200));
    let ramp = Arrivals::Ramp { from_per_s: 0.0, to_per_s: 400.0, over: millis(1000) };
    assert_eq!(run(&Plan { arrivals: ramp, ..plan(server.target(), 1.0, millis(1000)) }).right, 200);
    let poisson =
        Plan { arrivals: Arrivals::Poisson { rate_per_s: 400.0, seed: 3 }, ..plan(server.target(), 1.0, millis(1000)) };
    let first = run(&poisson);
    assert!((300..500).contains(&first.asked), "{}", first.asked);
    assert_eq!(first.asked, run(&poisson).asked, "the same seed asks the same");
}

#[test]
fn fills_placeholders_anew_for_each_request() {
    let server = Server::start(|_| status(201));
    let mut request = RequestTemplate::post_json("/users/{n}", r#"{"id":"{uuid}","r":{random:7}}"#);
    request.headers.push(("x-id".to_owned(), "{uuid}".to_owned()));
    let asked = Plan { requests: vec![request], seed: 11, ..plan(server.target(), 200.0, millis(500)) };
    assert_eq!(run(&asked).right, 100);
    let seen = server.seen();
    let numbers: BTreeSet<u64> = seen.iter().map(|seen| seen.path["/users/".len()..].parse().unwrap()).collect();
    assert_eq!(numbers, (0..100).collect());
    let ids: BTreeSet<&str> = seen.iter().map(|seen| seen.headers["x-id"].to_str().unwrap()).collect();
    assert_eq!(ids.len(), 100);
    for seen in &seen {
        let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
        assert_eq!(body["id"], seen.headers["x-id"].to_str().unwrap());
        assert!(body["r"].as_u64().unwrap() < 7);
        assert_eq!(seen.headers["content-type"], "application/json");
    }
}

#[test]
fn chooses_requests_by_weight() {
    let server = Server::start(|_| status(200));
    let weighted = |path: &str, weight| RequestTemplate { weight, ..RequestTemplate::get(path) };
    let requests = vec![weighted("/a", 3), weighted("/never", 0), weighted("/b", 1)];
    let report = run(&Plan { requests, ..plan(server.target(), 1000.0, millis(1000)) });
    let asked: Vec<u64> = report.by_request.iter().map(|figures| figures.asked).collect();
    assert_eq!(asked[1], 0);
    assert!((700..800).contains(&asked[0]) && asked[0] + asked[2] == 1000, "{asked:?}");
    assert_eq!(u64::try_from(server.seen().iter().filter(|seen| seen.path == "/b").count()).unwrap(), asked[2]);
}

#[test]
fn several_workers_share_the_work() {
    let server = Server::start(|_| status(200));
    let requests = vec![RequestTemplate::get("/{n}")];
    let asked = Plan {
        requests,
        workers: 3,
        connections_max: 5,
        first_number: 1000,
        ..plan(server.target(), 300.0, millis(1000))
    };
    let report = run(&asked);
    assert_eq!(report.right, 300);
    assert!(report.generator.connections <= 5, "{}", report.generator.connections);
    let numbers: BTreeSet<u64> = server.seen().iter().map(|seen| seen.path[1..].parse().unwrap()).collect();
    assert_eq!(numbers, (1000..1300).collect());
}

#[test]
fn keeps_the_warm_up_apart() {
    let server = Server::start(|seen: Seen| status(if seen.order < 50 { 500 } else { 200 }));
    let warmed = Plan { warm_up: millis(500), connections_max: 1, ..plan(server.target(), 100.0, millis(500)) };
    let report = run(&warmed);
    assert_eq!((report.warm_up_asked, report.warm_up_failed), (50, 50));
    assert_eq!((report.asked, report.failed), (50, 0));
}

#[test]
fn closed_users_never_ask_twice_at_once() {
    let now = Arc::new(AtomicU64::new(0));
    let most = Arc::new(AtomicU64::new(0));
    let (now_in, most_in) = (now.clone(), most.clone());
    let server = Server::start(move |_| {
        most_in.fetch_max(now_in.fetch_add(1, SeqCst) + 1, SeqCst);
        let now = now_in.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            now.fetch_sub(1, SeqCst);
            status(200).await
        })
    });
    let users = Arrivals::Closed { users: 7, think: Duration::ZERO };
    let report = run(&Plan { arrivals: users, ..plan(server.target(), 1.0, millis(500)) });
    assert!(report.right > 7, "{}", report.right);
    assert_eq!(report.failed, 0);
    assert!(most.load(SeqCst) <= 7, "{}", most.load(SeqCst));
}

#[test]
fn all_at_once_are_in_flight_together() {
    let (waiting, all) = (Arc::new(AtomicU64::new(0)), 50);
    let (gate, _) = tokio::sync::watch::channel(false);
    let server = Server::start(move |_| {
        let mut opened = gate.subscribe();
        if waiting.fetch_add(1, SeqCst) + 1 == all {
            gate.send_replace(true);
        }
        // Nobody is answered before all have asked.
        Box::pin(async move {
            opened.wait_for(|open| *open).await.unwrap();
            status(200).await
        })
    });
    for connections_first in [0, 50] {
        let burst = Plan::at_once(server.target(), 50, RequestTemplate::get("/{n}"), Duration::from_secs(30));
        let report = run(&Plan { connections_first, ..burst });
        assert_eq!((report.asked, report.right), (50, 50));
        assert_eq!(report.generator.connections, 50);
        assert!(report.rate_per_s > 0.0);
    }
}

#[test]
fn can_be_watched_marked_and_stopped() {
    let server = Server::start(|_| status(200));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let running = plan(server.target(), 200.0, Duration::from_secs(3600)).start().unwrap();
    let patience = Instant::now() + Duration::from_secs(30);
    while running.progress().right < 20 {
        assert!(Instant::now() < patience, "{:?}", running.progress());
        std::thread::yield_now();
    }
    let at = running.mark("kill");
    running.stop();
    let report = runtime.block_on(running.finish()).unwrap();
    hold(&report);
    assert!(report.right >= 20 && report.failed == 0);
    assert!(report.duration < Duration::from_secs(3600));
    assert_eq!(report.marks.len(), 1);
    assert_eq!((report.marks[0].at, report.marks[0].label.as_str()), (at, "kill"));
}

#[test]
fn dropping_a_run_ends_it() {
    let server = Server::start(|_| status(200));
    let running = plan(server.target(), 200.0, Duration::from_secs(3600)).start().unwrap();
    let patience = Instant::now() + Duration::from_secs(30);
    while running.progress().sent == 0 {
        assert!(Instant::now() < patience);
        std::thread::yield_now();
    }
    drop(running);
    // The server's own end shows that nothing hangs; a run that went on would keep its connections, and make more.
    while server.open() > 0 {
        assert!(Instant::now() < patience, "it still asks");
        std::thread::yield_now();
    }
}

#[test]
fn comes_from_several_clients_in_turn() {
    let server = Server::start(|_| status(200));
    let asked = Plan { clients: 8, connections_first: 8, ..plan(server.target(), 200.0, millis(200)) };
    assert_eq!(run(&asked).right, 40);
    let seen = server.seen();
    for client in 1..=8 {
        let from = format!("127.0.1.{client}");
        let count = seen.iter().filter(|seen| seen.client.to_string() == from).count();
        assert!((1..=39).contains(&count), "{from} asked {count} times of 40");
    }
}

#[test]
fn one_request_gives_its_answer() {
    let server = Server::start(|seen: Seen| status(if seen.path == "/7" { 201 } else { 404 }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (target, request) = (server.target(), RequestTemplate::get("/{n}"));
    let answer = runtime.block_on(once(&target, &request, (1, 7), Duration::from_secs(30))).unwrap();
    assert_eq!((answer.status, answer.body.as_ref()), (201, b"hello".as_slice()));
}
