//! Rates against events: the same scenario both ways.

use crate::scene;
use plimsoll_model::{
    Millis, Ratio,
    promise::{Kind, Promise},
    simulation::{Arrivals, Daily, Fault, FaultKind, Spike},
};
use plimsoll_simulate::{Basis, Fluid, Plan, Report, Verdict, World, load_line};

#[test]
fn rates_come_to_what_events_come_to() {
    let system = scene::system(scene::scaled(2, 12));
    let mut scenario = scene::scenario(3600, 300);
    scenario.warm_up = Millis::from_secs(900);
    let plan = Plan::of(&system, &scenario, &Default::default(), 3).unwrap();
    let mut fluid = Fluid::new(plan.clone());
    fluid.run();
    let mut world = World::new(plan);
    world.run();
    let (rates, events) = (fluid.figures(), world.figures());
    let (rate, event) = (&rates.sources[0], &events.sources[0]);
    let requests = rate.ended() as f64 / event.ended() as f64;
    assert!((requests - 1.0).abs() < 0.01, "{requests}");
    let replicas = rates.services[0].replica_seconds / events.services[0].replica_seconds;
    assert!((replicas - 1.0).abs() < 0.1, "{replicas}");
    for per_mille in [500, 950] {
        let ratio = rate.latency.percentile_ns(per_mille).unwrap() as f64
            / event.latency.percentile_ns(per_mille).unwrap() as f64;
        assert!((ratio - 1.0).abs() < 0.2, "p{per_mille}: rates tell {ratio} of what events tell");
    }
}

#[test]
fn a_day_has_its_peak_in_replicas() {
    let system = scene::system(scene::scaled(2, 20));
    let mut scenario = scene::scenario(86_400, 800);
    let people = scenario.traffic.get_mut("people").unwrap();
    people.daily = Some(Daily { low: Ratio::percent(10), peak_min: 12 * 60 });
    let basis = Basis { system: &system, scenario: &scenario, traces: &Default::default(), seed: 1 };
    let report = Report::fluid(basis).unwrap();
    let steps = &report.figures.services[0].steps;
    let noon = steps[steps.len() / 2].wanted;
    let midnight = steps.last().unwrap().wanted;
    // 8 processors of work at noon are 12 replicas at 70 %, 0.8 at midnight are 2.
    assert!((11..=13).contains(&noon) && midnight <= 3, "{noon} at noon, {midnight} at midnight");
}

#[test]
fn the_load_line_lies_where_the_replicas_end() {
    let mut system = scene::system(scene::scaled(2, 10));
    let kind = Kind::Latency { route: "web".into(), percentiles: [(950, Millis(200))].into() };
    system.promises.insert("fast".into(), Promise { kind, request: None, load: Default::default(), line: None });
    let mut scenario = scene::scenario(600, 1);
    scenario.traffic.get_mut("people").unwrap().arrivals =
        Arrivals::Users { count: 1000, think: Millis::from_secs(10), session: None };
    let traces = Default::default();
    let basis = Basis { system: &system, scenario: &scenario, traces: &traces, seed: 1 };
    let line = load_line(basis, (1000, 1_000_000)).unwrap();
    // Ten replicas work on 1,000 requests a second, which 10,000 people make.
    assert!((8000..10_200).contains(&line.holds), "{line:?}");
    assert_eq!(line.busiest.0, "web");
    assert!(!line.first.is_empty());
}

#[test]
fn a_load_line_is_one_of_a_load_that_stays() {
    let system = scene::system(scene::scaled(2, 10));
    let mut scenario = scene::scenario(600, 1);
    let people = scenario.traffic.get_mut("people").unwrap();
    people.arrivals = Arrivals::Users { count: 1000, think: Millis::from_secs(10), session: None };
    let traces = Default::default();
    let line = |scenario: &_| {
        load_line(Basis { system: &system, scenario, traces: &traces, seed: 1 }, (1000, 100_000)).unwrap()
    };
    let steady = line(&scenario);
    let people = scenario.traffic.get_mut("people").unwrap();
    people.daily = Some(Daily { low: Ratio::percent(10), peak_min: 12 * 60 });
    let spike = Spike { at: Millis::from_secs(610), lasts: Millis::from_secs(60), times_milli: 9000 };
    people.spikes.push(spike);
    assert_eq!(line(&scenario), steady);
}

#[test]
fn a_load_above_all_numbers_is_not_tried_twice() {
    let system = scene::system(scene::service(1));
    let mut scenario = scene::scenario(600, 1);
    scenario.traffic.get_mut("people").unwrap().arrivals =
        Arrivals::Users { count: 1, think: Millis::from_secs(1000), session: None };
    let basis = Basis { system: &system, scenario: &scenario, traces: &Default::default(), seed: 1 };
    let line = load_line(basis, (u64::MAX / 2 + 2, u64::MAX)).unwrap();
    assert!(line.tried.len() <= 2, "{line:?}");
}

#[test]
fn what_is_not_counted_makes_nobody_busy() {
    let system = scene::system(scene::scaled(2, 12));
    let mut scenario = scene::scenario(3600, 300);
    scenario.warm_up = Millis::from_secs(1800);
    let crash = Fault {
        at: Millis::from_secs(2000),
        lasts: Millis(0),
        kind: FaultKind::Crash,
        of: "web".into(),
        count: 1,
        times_milli: 1000,
    };
    scenario.faults.push(crash);
    let basis = Basis { system: &system, scenario: &scenario, traces: &Default::default(), seed: 1 };
    let report = Report::fluid(basis).unwrap();
    // 3 processors of work at 70 %.
    assert!((0.55..0.75).contains(&report.busiest.1), "{:?}", report.busiest);
    assert_eq!(report.figures.services[0].restarts, 1);
    scenario.warm_up = Millis(0);
    let basis = Basis { system: &system, scenario: &scenario, traces: &Default::default(), seed: 1 };
    assert!(Report::fluid(basis).unwrap().figures.services[0].scalings > 0);
}

#[test]
fn promises_are_predicted_with_their_margins() {
    let mut system = scene::system(scene::service(4));
    let mut promise = |name: &str, kind: Kind| {
        let promise = Promise { kind, request: None, load: Default::default(), line: None };
        system.promises.insert(name.to_owned(), promise);
    };
    promise("fast", Kind::Latency { route: "web".into(), percentiles: [(950, Millis(100))].into() });
    promise("slow", Kind::Latency { route: "web".into(), percentiles: [(500, Millis(1))].into() });
    promise("many", Kind::Throughput { route: "web".into(), rate: plimsoll_model::Rate(900_000) });
    promise("replaced", Kind::Failover { service: "web".into(), max: Millis::from_secs(5) });
    promise("up", Kind::Availability { route: Some("web".into()), ratio: Ratio(999_000) });
    promise("back", Kind::RecoveryTime { store: "db".into(), max: Millis::from_secs(60) });
    let scenario = scene::scenario(120, 100);
    let traces = Default::default();
    let report = Report::of(Basis { system: &system, scenario: &scenario, traces: &traces, seed: 1 }).unwrap();
    let verdict = |name: &str| report.promises.iter().find(|one| one.promise == name).unwrap().verdict;
    assert_eq!(verdict("fast"), Verdict::Held, "{:#?}", report.promises);
    assert_eq!(verdict("slow"), Verdict::Broken);
    // Four replicas of one worker and 10 ms can do 400 a second.
    assert_eq!(verdict("many"), Verdict::Broken);
    assert_eq!(verdict("replaced"), Verdict::Held, "{:#?}", report.promises);
    assert_eq!(verdict("up"), Verdict::Held, "{:#?}", report.promises);
    assert_eq!(verdict("back"), Verdict::Unpredicted);
    let page = plimsoll_simulate::page(&report);
    for outside in ["http://", "https://", "src=", "@import", "url(", "<script"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(
        page.contains("<svg")
            && plimsoll_simulate::text(&report).contains("predicted: 3 held, 2 broken, 1 unpredicted")
    );
}
