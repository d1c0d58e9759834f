//! `throughput`: the promised rate, a little more than that, and then as much more as is answered.

use std::time::Duration;

use plimsoll_load::Arrivals;
use plimsoll_model::Rate;
use plimsoll_model::promise::Promise;

use crate::judge::{self, ThroughputSeen};
use crate::lab::Lab;
use crate::proof::{Run, Shown, Unproven, Verdict, figure, generator, requests, time};
use crate::visit::{self, Visit};

/// More than promised is asked, because the last answers come after the last request.
const SPARE: f64 = 1.02;
/// Higher rates that are tried when the promise is held, as multiples of it.
const HIGHER: [f64; 4] = [1.25, 1.5, 2.0, 3.0];
/// The share of what is asked that must be answered rightly, for a higher rate to be kept up.
const KEPT_UP: f64 = 0.98;

/// Measures one throughput promise.
pub(crate) async fn run(lab: &Lab, promise: &Promise, route: &str, rate: Rate) -> Result<Shown, Unproven> {
    let visit = Visit::prepare(lab, promise, Some(route)).await?;
    let wanted = rate.per_second();
    let offered = promise.load.rate.map_or(wanted * SPARE, |rate| rate.per_second());
    let duration = promise.load.duration.map_or(Duration::from_secs(10), |duration| duration.as_duration());
    let mut runs = vec![step(lab, &visit, "the promised rate", offered, duration).await?];
    let mut seen = ThroughputSeen {
        achieved_per_s: runs[0].report.rate_per_s,
        offered_per_s: offered,
        highest_per_s: None,
        limited: runs[0].report.generator.limited,
    };
    if lab.options.headroom && judge::throughput(wanted, &seen).verdict == Verdict::Held {
        for times in HIGHER {
            let (rate, short) = (wanted * times, duration.min(Duration::from_secs(3)));
            let run = step(lab, &visit, &format!("{times} times the promise"), rate, short).await?;
            let kept_up = run.report.rate_per_s >= rate * KEPT_UP;
            runs.push(run);
            if !kept_up {
                break;
            }
            seen.highest_per_s = Some(rate);
        }
    }
    let report = &runs[0].report;
    let (asked, failed) = (report.asked, report.failed);
    let mut figures = vec![requests("requests", report)];
    figures.extend(runs.iter().map(|run| figure(&run.name, in_words(run))));
    figures.push(generator(report));
    let statement = format!(
        "Shows that so many requests a second were answered rightly on this machine, load generator included, for {}; \
         it does not show longer times, other requests, or other machines.",
        time(duration)
    );
    Ok(Shown { judgement: judge::throughput(wanted, &seen), statement, figures, requests: asked, failed, runs })
}

async fn step(lab: &Lab, visit: &Visit, name: &str, rate_per_s: f64, duration: Duration) -> Result<Run, Unproven> {
    let plan = visit.plan(lab, Arrivals::Constant { rate_per_s }, duration, rate_per_s);
    visit::run(name, &plan).await
}

fn in_words(run: &Run) -> String {
    let report = &run.report;
    let p99 = report.latency_at(0.99).map_or_else(|| "failed".to_owned(), time);
    let limited = if report.generator.limited { ", limited by the load generator" } else { "" };
    format!("{:.0}/s answered rightly, {} failed, p99 {p99}{limited}", report.rate_per_s, report.failed)
}
