//! Promises that are broken, or that can't be proven, and systems that are left alone.

use std::collections::BTreeMap;

use plimsoll_model::promise::{Kind, Promise};
use plimsoll_model::system::System;
use plimsoll_model::{Millis, Rate, Ratio, Service, autoscaling::Autoscaling};
use plimsoll_prove::{Detail, Options, Proof, ProveError, Verdict, table};

use crate::toy::{Behaviour, Seen, Toy, promise};
use crate::{LONG, SHORT, load, prove_one, run};

fn with(name: &str, promise: Promise) -> impl FnOnce(&mut System) {
    let name = name.to_owned();
    move |system| {
        system.promises.insert(name, promise);
    }
}

fn answering(answer: impl Fn(&Seen) -> (u16, String) + Send + 'static) -> Behaviour {
    Behaviour { answer: Box::new(answer), ..Behaviour::default() }
}

#[test]
fn wrong_answers_are_no_throughput() {
    let kind = Kind::Throughput { route: "/api".into(), rate: Rate(100_000) };
    let half = answering(|seen| (if seen.order.is_multiple_of(2) { 200 } else { 503 }, String::new()));
    let proof = prove_one(&Toy::start(half, with("it", promise(kind, load(102, 1000)))));
    // A machine that is too busy for the generator makes it unproven; nothing makes it held.
    assert_ne!(proof.verdict, Verdict::Held);
    assert!(proof.failed >= 50, "{}", proof.failed);
    assert_eq!(proof.runs[0].report.failures.len() as u64, proof.failed, "each is listed");
}

#[test]
fn a_replica_that_is_not_replaced_breaks_failover() {
    let kind = Kind::Failover { service: "web".into(), max: LONG };
    let behaviour = Behaviour { replaces: false, ..Behaviour::default() };
    let toy = Toy::start(behaviour, with("it", promise(kind, load(50, 500))));
    let report = run(&toy, Options { patience: SHORT, ..Options::default() }).unwrap();
    assert_eq!(report.proofs[0].verdict, Verdict::Broken, "{:?}", report.proofs[0]);
    assert_eq!(toy.replicas().len(), 1, "it was not hurt further");
}

#[test]
fn services_that_end_with_the_engine_break_survival() {
    let kind = Kind::Survival { route: Some("/api".into()) };
    let behaviour = Behaviour { clings_to_engine: true, ..Behaviour::default() };
    let proof = prove_one(&Toy::start(behaviour, with("it", promise(kind, load(50, 500)))));
    assert_eq!(proof.verdict, Verdict::Broken);
    assert!(proof.why.contains("web-1, web-2"), "{}", proof.why);
}

#[track_caller]
fn unproven(proof: &Proof, why: &str) {
    assert_eq!((proof.verdict, proof.requests), (Verdict::Unproven, 0), "{proof:?}");
    assert!(proof.why.contains(why), "{}", proof.why);
    assert!(!proof.todo.is_empty());
}

#[test]
fn a_request_that_can_not_be_right_proves_nothing() {
    let kind = Kind::Latency { route: "/api".into(), percentiles: BTreeMap::from([(950, LONG)]) };
    let toy = Toy::start(answering(|_| (404, String::new())), with("it", promise(kind, load(50, 500))));
    unproven(&prove_one(&toy), "`GET /api` was answered 404");
    assert_eq!(toy.seen().len(), 1, "no load was made");
}

#[test]
fn a_step_that_scales_nothing_proves_nothing() {
    let kind = || Kind::Autoscale { route: Some("/api".into()), times: 10, latency: LONG, max: LONG };
    let toy = Toy::start(Behaviour::default(), with("it", promise(kind(), load(50, 1000))));
    unproven(&prove_one(&toy), "web has no `autoscaling`");
    let toy = Toy::start(Behaviour::default(), |system| {
        let scaled = Service { autoscaling: Some(Autoscaling::default()), ..Service::default() };
        system.services.insert("web".into(), scaled);
        system.promises.insert("it".into(), promise(kind(), load(50, 1000)));
    });
    let proof = prove_one(&toy);
    assert_eq!((proof.verdict, proof.requests), (Verdict::Unproven, 50), "{proof:?}");
    assert_eq!(proof.runs.len(), 2, "the calm and the step");
}

#[test]
fn a_route_that_nobody_serves_proves_nothing() {
    let kind = Kind::Throughput { route: "/other".into(), rate: Rate(1000) };
    let toy = Toy::start(Behaviour::default(), with("it", promise(kind, load(50, 500))));
    unproven(&prove_one(&toy), "no host of the ingress serves `/other`");
}

#[test]
fn too_few_requests_prove_nothing() {
    let kind = Kind::Latency { route: "/api".into(), percentiles: BTreeMap::from([(999, LONG)]) };
    let toy = Toy::start(Behaviour::default(), with("it", promise(kind, load(100, 500))));
    let proof = prove_one(&toy);
    assert_eq!(proof.verdict, Verdict::Unproven);
    assert!(proof.why.contains("it takes 10000"), "{}", proof.why);
}

#[test]
fn one_hundred_percent_can_not_be_proven() {
    let kind = Kind::Availability { route: None, ratio: Ratio::ONE };
    let toy = Toy::start(Behaviour::default(), with("it", promise(kind, load(100, 500))));
    assert_eq!(prove_one(&toy).verdict, Verdict::Unproven);
}

#[test]
fn kinds_without_an_experiment_are_unproven_and_the_others_go_on() {
    let recovery = Kind::RecoveryTime { store: "orders".into(), max: Millis(900_000) };
    let toy = Toy::start(Behaviour::default(), |system| {
        system.promises.insert("later".to_owned(), promise(recovery, load(1, 1)));
        let kind = Kind::Throughput { route: "/api".into(), rate: Rate(10_000) };
        system.promises.insert("now".to_owned(), promise(kind, load(100, 500)));
    });
    let report = run(&toy, Options { headroom: false, ..Options::default() }).unwrap();
    unproven(&report.proofs[0], "no experiment for `recoveryTime`");
    assert_eq!(report.proofs[1].verdict, Verdict::Held);
    assert_eq!(report.worst(), Some(Verdict::Unproven));
}

#[test]
fn a_system_without_promises_is_told_so() {
    let report = run(&Toy::start(Behaviour::default(), |_| {}), Options::default()).unwrap();
    assert_eq!(report.worst(), None);
    assert!(table(&report, Detail::Short).contains("no promise was tested"));
}

#[test]
fn production_is_left_alone_unless_allowed() {
    let kind = Kind::Throughput { route: "/api".into(), rate: Rate(10_000) };
    let toy = Toy::start(Behaviour::default(), |system| {
        system.environment = Some("production".to_owned());
        system.promises.insert("it".to_owned(), promise(kind, load(100, 500)));
    });
    assert!(matches!(run(&toy, Options::default()), Err(ProveError::Production { .. })));
    assert!(toy.seen().is_empty());
    let allowed = Options { allow_production: true, headroom: false, ..Options::default() };
    assert_eq!(run(&toy, allowed).unwrap().worst(), Some(Verdict::Held));
}

#[test]
fn a_promise_that_is_not_there_is_an_error() {
    let toy = Toy::start(Behaviour::default(), |_| {});
    let options = Options { only: vec!["nope".to_owned()], ..Options::default() };
    assert!(matches!(run(&toy, options), Err(ProveError::NoSuchPromise { .. })));
}

#[test]
fn a_system_that_is_not_up_is_an_error() {
    let nowhere = plimsoll_api::Client::new("/nonexistent/socket");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let proved = runtime.block_on(plimsoll_prove::prove(nowhere, Options::default(), |_| {}));
    assert!(matches!(proved, Err(ProveError::Engine(_))));
}
