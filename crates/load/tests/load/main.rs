//! Runs against real servers on this machine. They assert on counts, never on how long something took.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

mod failures;
mod honesty;
mod protocols;
mod runs;
mod server;

use std::time::Duration;

use plimsoll_load::{Arrivals, Plan, Report, RequestTemplate, Target};

/// A plan with one GET, and time enough for a busy machine.
fn plan(target: Target, rate_per_s: f64, duration: Duration) -> Plan {
    let requests = vec![RequestTemplate::get("/")];
    Plan {
        timeout: Duration::from_secs(30),
        ..Plan::new(target, Arrivals::Constant { rate_per_s }, duration, requests)
    }
}

fn run(plan: &Plan) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(plan.run()).unwrap();
    hold(&report);
    report
}

/// What must be true of every report.
#[track_caller]
fn hold(report: &Report) {
    assert_eq!(report.asked, report.right + report.failed);
    assert_eq!(report.by_status.values().sum::<u64>(), report.answered);
    assert_eq!(report.by_cause.values().sum::<u64>(), report.failed);
    assert_eq!(report.latency.count(), report.right);
    assert_eq!(report.service.count(), report.right);
    assert_eq!(report.series.iter().map(|second| second.asked).sum::<u64>(), report.asked);
    assert_eq!(report.series.iter().map(|second| second.failed).sum::<u64>(), report.failed);
    assert_eq!(report.by_request.iter().map(|figures| figures.asked).sum::<u64>(), report.asked);
    assert!(report.sent <= report.asked && report.answered <= report.sent);
    assert!(report.failures.windows(2).all(|pair| pair[0].at <= pair[1].at));
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
