//! Promises that a good system keeps.

use std::collections::BTreeMap;

use plimsoll_model::promise::Kind;
use plimsoll_model::{Rate, Ratio};
use plimsoll_prove::{Detail, Options, Verdict, page, table};

use crate::toy::{Behaviour, Toy, promise};
use crate::{LONG, load, prove_one, run};

fn toy(kind: Kind, rate: u64, ms: u64) -> Toy {
    let promise = promise(kind, load(rate, ms));
    Toy::start(Behaviour::default(), |system| {
        system.promises.insert("it".to_owned(), promise);
    })
}

#[test]
fn latency() {
    let kind = Kind::Latency { route: "/api/x".into(), percentiles: BTreeMap::from([(500, LONG)]) };
    let toy = toy(kind, 100, 1000);
    let proof = prove_one(&toy);
    assert_eq!(proof.verdict, Verdict::Held, "{proof:?}");
    assert!(proof.requests > 50 && proof.failed == 0);
    assert!(toy.seen().iter().all(|seen| seen.path == "/api/x" && seen.host.starts_with("toy.localhost:")));
}

#[test]
fn throughput_with_how_much_more() {
    // Far less than is asked, so that no pause of a busy machine matters.
    let toy = toy(Kind::Throughput { route: "/api".into(), rate: Rate(20_000) }, 100, 1000);
    let report = run(&toy, Options::default()).unwrap();
    let proof = &report.proofs[0];
    assert_eq!((proof.verdict, proof.requests), (Verdict::Held, 100), "{proof:?}");
    assert!(proof.margin.unwrap() > 0.0);
    assert!(proof.runs.len() > 1, "higher rates were tried");
}

#[test]
fn concurrency_beside_a_promise_that_stays_unhurt() {
    let latency = Kind::Latency { route: "/api".into(), percentiles: BTreeMap::from([(500, LONG)]) };
    let crowd =
        Kind::Concurrency { route: "/api/new".into(), users: 50, within: LONG, unhurt: Some("fast".to_owned()) };
    let toy = Toy::start(Behaviour::default(), |system| {
        system.promises.insert("crowd".to_owned(), promise(crowd, load(100, 1000)));
        system.promises.insert("fast".to_owned(), promise(latency, load(100, 1000)));
    });
    let report = run(&toy, Options { only: vec!["crowd".to_owned()], ..Options::default() }).unwrap();
    let proof = &report.proofs[0];
    assert_eq!((report.proofs.len(), proof.verdict), (1, Verdict::Held), "{proof:?}");
    assert!(proof.requests >= 150 && proof.requests.is_multiple_of(50), "at least three bursts: {}", proof.requests);
    assert!(proof.figures.iter().any(|figure| figure.name == "fast meanwhile"));
}

#[test]
fn availability_under_kills() {
    let toy = toy(Kind::Availability { route: None, ratio: Ratio::percent(99) }, 200, 2000);
    let before = toy.replicas();
    let proof = prove_one(&toy);
    assert_eq!((proof.verdict, proof.failed), (Verdict::Held, 0), "{proof:?}");
    assert!(proof.requests >= 300, "enough to tell 99 % with certainty: {}", proof.requests);
    assert!(before.is_disjoint(&toy.replicas()), "both replicas were killed and replaced");
    assert_eq!(proof.runs[0].report.marks.len(), 2);
    assert!(proof.statement.contains("not the uptime"), "{}", proof.statement);
}

#[test]
fn failover() {
    let toy = toy(Kind::Failover { service: "web".into(), max: LONG }, 50, 1000);
    let before = toy.replicas();
    let proof = prove_one(&toy);
    assert_eq!((proof.verdict, proof.failed), (Verdict::Held, 0), "{proof:?}");
    assert!(before.is_disjoint(&toy.replicas()));
    assert!(proof.margin.unwrap() > 0.0);
}

#[test]
fn survival() {
    let toy = toy(Kind::Survival { route: Some("/api".into()) }, 100, 1000);
    let before = toy.replicas();
    let proof = prove_one(&toy);
    assert_eq!((proof.verdict, proof.failed), (Verdict::Held, 0), "{proof:?}");
    assert_eq!(before, toy.replicas());
    assert_eq!(proof.runs[0].report.marks.len(), 4, "engine and gateway, twice");
}

#[test]
fn a_report_can_be_read_in_three_ways() {
    let toy = toy(Kind::Survival { route: None }, 100, 4000);
    let report = run(&toy, Options { seed: Some(5), ..Options::default() }).unwrap();
    let text = table(&report, Detail::Full);
    assert!(text.contains("seed 5: 1 held, 0 broken, 0 unproven"), "{text}");
    assert!(text.contains("0 of ") && text.contains("at 95 %"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(json["proofs"][0]["verdict"], "held");
    assert!(json["proofs"][0]["runs"][0]["report"]["series"].as_array().unwrap().len() >= 3);
    let html = page(&report);
    assert!(html.contains("<svg") && html.contains("killed gateway"), "{html}");
}
