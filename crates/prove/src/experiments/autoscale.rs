//! `autoscale`: a calm load, then at once a multiple of it; for how many seconds is the objective broken?

use std::time::Duration;

use plimsoll_load::{Arrivals, Report, Second};
use plimsoll_model::Millis;
use plimsoll_model::promise::Promise;

use crate::judge::{self, AutoscaleSeen};
use crate::lab::Lab;
use crate::proof::{Shown, Unproven, figure, generator, requests, time};
use crate::visit::{self, Visit};

/// Requests a second of the step, unless the promise says otherwise.
const USUAL_PER_S: f64 = 200.0;
/// How long the calm before the step lasts: as long as an autoscaler needs to see it.
const CALM: Duration = Duration::from_secs(5);
/// How often the replicas are looked at during the step.
const LOOK: Duration = Duration::from_millis(20);
/// The share of a second's requests that must be answered rightly within the objective.
const SHARE: f64 = 0.99;

/// What is promised.
pub(crate) struct Step<'a> {
    pub(crate) route: Option<&'a str>,
    pub(crate) times: u32,
    pub(crate) latency: Millis,
    pub(crate) max: Millis,
}

/// Measures one autoscale promise.
pub(crate) async fn run(lab: &Lab, promise: &Promise, step: &Step<'_>) -> Result<Shown, Unproven> {
    let visit = Visit::prepare(lab, promise, step.route).await?;
    let services = visit.way.services();
    let scaled = |name: &String| lab.system.services.get(name).is_some_and(|service| service.autoscaling.is_some());
    if !services.iter().any(scaled) {
        let why = format!("{} has no `autoscaling`", services.join(", "));
        return Err(Unproven::new(why, "give the service `autoscaling`, or remove the promise"));
    }
    let after_per_s = promise.load.rate.map_or(USUAL_PER_S, |rate| rate.per_second());
    let before_per_s = after_per_s / f64::from(step.times);
    let duration = promise.load.duration.map_or(Duration::from_secs(20), |duration| duration.as_duration());
    let calm = visit.plan(lab, Arrivals::Constant { rate_per_s: before_per_s }, CALM, before_per_s);
    let calm = visit::run("before the step", &calm).await?;
    let before = ready(lab, &services).await?;
    let mut plan = visit.plan(lab, Arrivals::Constant { rate_per_s: after_per_s }, duration, after_per_s);
    // The first second after the step is what this is about.
    plan.warm_up = Duration::ZERO;
    let running = plan.start().map_err(visit::not_run)?;
    let mut grown: Vec<(Duration, u32)> = Vec::new();
    while running.progress().elapsed.is_none_or(|elapsed| elapsed < duration) {
        let now = ready(lab, &services).await?;
        let elapsed = running.progress().elapsed.unwrap_or_default();
        if now > grown.last().map_or(before, |(_, count)| *count) {
            running.mark(format!("{now} ready"));
            grown.push((elapsed, now));
        }
        tokio::time::sleep(LOOK).await;
    }
    let report = running.finish().await.map_err(visit::not_run)?;
    let after = grown.last().map_or(before, |(_, count)| *count);
    let seen = seen(&report, step.latency.as_duration(), (before, after));
    let mut figures = vec![requests("requests of the step", &report)];
    figures.push(figure("load", format!("{before_per_s:.0}/s, then {after_per_s:.0}/s at once")));
    figures.push(figure("replicas ready", in_words(before, &grown)));
    figures.push(figure("seconds broken", format!("{} of {}", seen.broken.as_secs(), report.series.len())));
    figures.push(generator(&report));
    let statement = format!(
        "Shows for how many seconds fewer than 99 of 100 requests were answered rightly within {} after a sudden step of \
         load on this machine, load generator included; it does not show other steps, nor what several machines do.",
        time(step.latency.as_duration())
    );
    let (asked, failed) = (report.asked, report.failed);
    let judgement = judge::autoscale(step.max.as_duration(), &seen);
    let run = visit::ended("the step", &plan, report);
    Ok(Shown { judgement, statement, figures, requests: asked, failed, runs: vec![calm, run] })
}

/// Ready replicas of all services behind the route.
async fn ready(lab: &Lab, services: &[String]) -> Result<u32, Unproven> {
    let status = lab.status().await?;
    Ok(services.iter().filter_map(|name| status.services.get(name)).map(|service| service.ready).sum())
}

fn seen(report: &Report, objective: Duration, ready: (u32, u32)) -> AutoscaleSeen {
    // The last entry may be a sliver of a second, or what came late: nothing was asked in it.
    let asked = report.series.iter().filter(|second| second.asked > 0);
    let broken: Vec<bool> = asked.map(|second| is_broken(second, objective)).collect();
    let count = broken.iter().filter(|broken| **broken).count();
    AutoscaleSeen {
        broken: Duration::from_secs(count as u64),
        still_broken: broken.last().copied().unwrap_or(false),
        asked: report.asked,
        ready,
        limited: report.generator.limited,
    }
}

/// Whether too few requests that were due in this second were answered rightly and in time.
fn is_broken(second: &Second, objective: Duration) -> bool {
    second.failed as f64 > second.asked as f64 * (1.0 - SHARE) || second.p99 > objective
}

fn in_words(before: u32, grown: &[(Duration, u32)]) -> String {
    let mut words = format!("{before} before");
    for (at, count) in grown {
        words.push_str(&format!(", {count} after {}", time(*at)));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(failed: u64, p99_ms: u64, want: bool) {
        let ms = Duration::from_millis;
        let second = Second { at: ms(0), asked: 100, failed, p50: ms(1), p99: ms(p99_ms), max: ms(p99_ms) };
        assert_eq!(is_broken(&second, ms(100)), want);
    }

    #[test]
    fn a_second_is_broken_by_late_answers_and_by_wrong_ones() {
        check(0, 100, false);
        check(1, 100, false);
        check(2, 1, true);
        check(0, 101, true);
    }
}
