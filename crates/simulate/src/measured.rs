//! Times of work as `prove` measured them: read from its JSON report.

use plimsoll_model::{
    System,
    promise::Kind,
    simulation::{Arrivals, Simulation, Times, Traffic},
};
use serde_json::Value;

/// The percentiles of a report, in thousandths of a percent.
const POINTS: [(&str, u32); 6] = [
    ("p50_ms", 50_000),
    ("p90_ms", 90_000),
    ("p95_ms", 95_000),
    ("p99_ms", 99_000),
    ("p999_ms", 99_900),
    ("max_ms", 100_000),
];

/// Gives requests to a route the time that was measured for it, by each promise of latency in the report; which routes.
///
/// Measured is the whole way through the gateway at the load of the experiment, so that measuring at a low load tells the
/// time of work best.
///
/// # Errors
/// It is no report of `prove --json`, or holds no latency that the system promises.
pub fn use_measured(scenario: &mut Simulation, system: &System, report: &str) -> Result<Vec<String>, String> {
    let report: Value = serde_json::from_str(report).map_err(|why| format!("this is no JSON: {why}"))?;
    let proofs = report["proofs"].as_array().ok_or("this is no report of `plimsoll prove --json`")?;
    let mut routes = Vec::new();
    for proof in proofs {
        let promise = proof["promise"].as_str().and_then(|name| system.promises.get(name));
        let Some(Kind::Latency { route, .. }) = promise.map(|promise| &promise.kind) else { continue };
        let Some(time) = proof["runs"].as_array().and_then(|runs| runs.iter().find_map(times)) else { continue };
        let mut known = false;
        for traffic in scenario.traffic.values_mut().filter(|traffic| traffic.route == *route) {
            traffic.time = Some(time.clone());
            traffic.calls = Some(Default::default());
            known = true;
        }
        if !known {
            let name = proof["promise"].as_str().unwrap_or_default().to_owned();
            scenario.traffic.insert(name, silent(route, time));
        }
        routes.push(route.clone());
    }
    if routes.is_empty() {
        return Err("no latency that this system promises was measured in this report".into());
    }
    Ok(routes)
}

/// A stream of which nothing comes: it only says how such requests are worked on.
fn silent(route: &str, time: Times) -> Traffic {
    Traffic {
        route: route.to_owned(),
        arrivals: Arrivals::Rate(plimsoll_model::Rate(0)),
        clients: 1,
        retries: 0,
        daily: None,
        spikes: Vec::new(),
        region: None,
        time: Some(time),
        calls: Some(Default::default()),
    }
}

/// The times of one run: of right answers, from the moment when a request was handed to a connection.
fn times(run: &Value) -> Option<Times> {
    let summary = &run["report"]["service"];
    let mut points: Vec<(u32, u64)> = Vec::new();
    for (name, percentile) in POINTS {
        let us = (summary[name].as_f64()? * 1e3).max(0.0) as u64;
        points.push((percentile, us.max(points.last().map_or(1, |before| before.1))));
    }
    Some(Times::Points(points))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_model::{Millis, promise::Promise};

    #[test]
    fn a_report_of_prove_tells_the_times_of_a_route() {
        let mut system = System::default();
        let kind = Kind::Latency { route: "/api".into(), percentiles: [(950, Millis(50))].into() };
        system.promises.insert("fast".into(), Promise { kind, request: None, load: Default::default(), line: None });
        let service = r#"{"p50_ms":1.2,"p90_ms":2.0,"p95_ms":3.0,"p99_ms":9.5,"p999_ms":20.0,"max_ms":31.0}"#;
        let report = format!(r#"{{"proofs":[{{"promise":"fast","runs":[{{"report":{{"service":{service}}}}}]}}]}}"#);
        let mut scenario = Simulation::default();
        assert_eq!(use_measured(&mut scenario, &system, &report), Ok(vec!["/api".to_owned()]));
        let Some(Times::Points(points)) = &scenario.traffic["fast"].time else { panic!("{scenario:?}") };
        assert_eq!(points[0], (50_000, 1200));
        assert_eq!(points[5], (100_000, 31_000));
        assert!(use_measured(&mut scenario, &system, "{}").is_err());
    }
}
