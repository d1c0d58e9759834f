//! `latency`: requests at random moments, at a fixed rate, and the percentiles of their answers.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_load::Arrivals;
use plimsoll_model::Millis;
use plimsoll_model::promise::Promise;

use crate::experiments::{latency_seen, pace, requests_needed};
use crate::judge;
use crate::lab::Lab;
use crate::proof::{Shown, Unproven, failures_in_words, figure, generator, requests, time};
use crate::visit::{self, Visit};

/// Measures one latency promise.
pub(crate) async fn run(
    lab: &Lab,
    promise: &Promise,
    route: &str,
    percentiles: &BTreeMap<u16, Millis>,
) -> Result<Shown, Unproven> {
    let visit = Visit::prepare(lab, promise, Some(route)).await?;
    let least = Duration::from_secs(10);
    let (rate_per_s, duration) = pace(&promise.load, 100.0, least, requests_needed(percentiles));
    let plan = visit.plan(lab, Arrivals::Poisson { rate_per_s, seed: lab.seed }, duration, rate_per_s);
    let run = visit::run("load", &plan).await?;
    let report = &run.report;
    let judgement = judge::latency(percentiles, &latency_seen(percentiles, report));
    let mut figures = vec![requests("requests", report)];
    if let Some(all) = report.latency.summary() {
        let value =
            format!("p50 {}, p95 {}, p99 {}, max {}", time(all.p50), time(all.p95), time(all.p99), time(all.max));
        figures.push(figure("latency of right answers", value));
    }
    for part in report.by_request.iter().filter(|_| report.by_request.len() > 1) {
        let p95 = part.latency_at(0.95).map_or_else(|| "failed".to_owned(), time);
        figures.push(figure(&part.name, format!("p95 {p95}, {}", failures_in_words(part.failed, part.asked))));
    }
    figures.push(generator(report));
    let statement = format!(
        "Shows how long answers took on this machine at {rate_per_s:.0} requests a second for {}, from the instant when each should have started, \
         failures counting as slowest; it does not show other rates, other requests, or a network between client and system.",
        time(duration)
    );
    let (asked, failed) = (report.asked, report.failed);
    Ok(Shown { judgement, statement, figures, requests: asked, failed, runs: vec![run] })
}
