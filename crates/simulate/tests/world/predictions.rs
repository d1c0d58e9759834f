//! Promises in worlds of their own: nothing is held that was not imagined.

use crate::scene;
use plimsoll_model::{
    Millis, Rate, Ratio, System,
    promise::{Kind, Promise},
    simulation::Simulation,
    system::IngressHost,
};
use plimsoll_simulate::{Basis, Prediction, Report, Verdict, text, use_measured};

fn report(system: &System, scenario: &Simulation) -> Report {
    let basis = Basis { system, scenario, traces: &Default::default(), seed: 1 };
    Report::of(basis).unwrap()
}

fn with(mut system: System, kind: Kind) -> System {
    let promise = Promise { kind, request: None, load: Default::default(), line: None };
    system.promises.insert("promised".into(), promise);
    system
}

/// A system of one service, behind `/shop`.
fn shop() -> System {
    let mut system = scene::system(scene::service(2));
    let paths = [("/shop".to_owned(), "web".to_owned())].into();
    system.ingress.hosts.insert("*".into(), IngressHost { paths, rate_limit: None });
    system
}

#[track_caller]
fn predicted(system: System, kind: Kind) -> Prediction {
    report(&with(system, kind), &scene::scenario(10, 10)).promises.remove(0)
}

fn kinds(route: &str) -> [Kind; 4] {
    let route = route.to_owned();
    [
        Kind::Latency { route: route.clone(), percentiles: [(950, Millis::from_secs(9))].into() },
        Kind::Throughput { route: route.clone(), rate: Rate(10_000) },
        Kind::Concurrency { route: route.clone(), users: 2, within: Millis::from_secs(9), unhurt: None },
        Kind::Availability { route: Some(route), ratio: Ratio::percent(1) },
    ]
}

#[test]
fn a_route_with_a_query_leads_where_its_path_leads() {
    for kind in kinds("/shop/cart?id=7") {
        let found = predicted(shop(), kind);
        assert_eq!(found.verdict, Verdict::Held, "{found:?}");
    }
}

#[test]
fn a_route_that_leads_nowhere_is_unpredicted() {
    for kind in kinds("/nowhere") {
        let found = predicted(shop(), kind);
        assert_eq!(found.verdict, Verdict::Unpredicted, "{found:?}");
        assert!(found.why.contains("/nowhere"), "{found:?}");
    }
}

#[test]
fn nobody_says_that_another_promise_stays_unhurt() {
    let crowd = |within: u64, users: u32| Kind::Concurrency {
        route: "web".into(),
        users,
        within: Millis(within),
        unhurt: Some("fast".into()),
    };
    let found = predicted(shop(), crowd(9000, 2));
    assert_eq!(found.verdict, Verdict::Unpredicted, "{found:?}");
    assert!(found.why.contains("fast"), "{found:?}");
    assert_eq!(predicted(shop(), crowd(1, 500)).verdict, Verdict::Broken);
}

#[test]
fn a_service_that_is_never_whole_is_no_broken_failover() {
    let mut scenario = scene::scenario(10, 10);
    scenario.work.get_mut("web").unwrap().start = Millis::from_secs(3600);
    let kind = Kind::Failover { service: "web".into(), max: Millis::from_secs(5) };
    let found = report(&with(shop(), kind), &scenario).promises.remove(0);
    assert_eq!(found.verdict, Verdict::Unpredicted, "{found:?}");
}

#[test]
fn measured_times_of_a_silent_route_are_tried_out() {
    let kind = Kind::Latency { route: "/shop".into(), percentiles: [(950, Millis(50))].into() };
    let system = with(shop(), kind);
    let service = r#"{"p50_ms":1.2,"p90_ms":2.0,"p95_ms":3.0,"p99_ms":9.5,"p999_ms":20.0,"max_ms":31.0}"#;
    let measured = format!(r#"{{"proofs":[{{"promise":"promised","runs":[{{"report":{{"service":{service}}}}}]}}]}}"#);
    let mut scenario = scene::scenario(10, 10);
    use_measured(&mut scenario, &system, &measured).unwrap();
    let report = report(&system, &scenario);
    assert_eq!(report.promises[0].verdict, Verdict::Held, "{:?}", report.promises);
    // A stream of which nothing comes is no row of the table.
    let streams: Vec<String> = text(&report).lines().take_while(|line| !line.is_empty()).map(str::to_owned).collect();
    assert!(streams.len() == 2 && streams[1].starts_with("people"), "{streams:?}");
}

#[test]
fn replicas_are_counted_from_the_end_of_the_warm_up() {
    let mut scenario = scene::scenario(100, 10);
    scenario.warm_up = Millis::from_secs(50);
    let report = report(&shop(), &scenario);
    assert!((report.figures.services[0].replicas_mean() - 2.0).abs() < 1e-9, "{:?}", report.figures.services[0]);
    assert!(text(&report).contains(" 2.0 "), "{}", text(&report));
}
