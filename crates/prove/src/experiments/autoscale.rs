//! `autoscale`: a calm load, then at once a multiple of it; for how many seconds is the objective broken?

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use plimsoll_api::Event;
use plimsoll_load::{Arrivals, Report, Second};
use plimsoll_model::promise::Promise;
use plimsoll_model::{Millis, ReplicaId};

use crate::judge::{self, AutoscaleSeen};
use crate::lab::Lab;
use crate::proof::{Figure, Shown, Unproven, figure, generator, requests, time};
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
    let mut began = None;
    while running.progress().elapsed.is_none_or(|elapsed| elapsed < duration) {
        let now = ready(lab, &services).await?;
        let elapsed = running.progress().elapsed.unwrap_or_default();
        began = began.or_else(|| wall_clock().checked_sub(elapsed).filter(|_| elapsed > Duration::ZERO));
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
    if let Some(reaction) = reaction(lab, &services, began.unwrap_or_default()).await {
        figures.extend(reaction.figures());
    }
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

/// The time since the Unix epoch.
fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// How soon after the step something was done about it, and by what that was delayed.
#[derive(Debug, PartialEq)]
struct Reaction {
    /// Until more replicas were decided on.
    decided: Duration,
    /// Until the first of their processes was started.
    started: Duration,
    /// Until the first of them was ready.
    ready: Duration,
    /// How long that one took from its start to being ready: the program's own part.
    own_start: Duration,
}

impl Reaction {
    fn figures(&self) -> [Figure; 4] {
        [
            figure("decided after", time(self.decided)),
            figure("first process started after", time(self.started)),
            figure("first one ready after", time(self.ready)),
            figure("its own start", time(self.own_start)),
        ]
    }
}

/// `None`: nothing was decided, or the engine does not tell. What is promised does not hang on it.
async fn reaction(lab: &Lab, services: &[String], began: Duration) -> Option<Reaction> {
    let events = lab.client.events_so_far(0).await.ok()?;
    reaction_in(&events, services, began)
}

/// By what the engine told: its clock is that of this machine.
fn reaction_in(events: &[Event], services: &[String], began: Duration) -> Option<Reaction> {
    let at = |event: &Event| Duration::from_micros(event.at.0);
    let since = events.iter().filter(|event| at(event) >= began);
    let is_of = |event: &Event| {
        ReplicaId::owner_in(&event.subject).is_some_and(|service| services.iter().any(|name| name == service))
    };
    let decided = since.clone().find(|event| event.reason == "Scaled" && services.contains(&event.subject))?;
    let mut later = since.filter(|event| event.number > decided.number && is_of(event));
    let started: Vec<&Event> = later.clone().filter(|event| event.reason == "Started").collect();
    let ready = later
        .find(|event| event.reason == "Ready" && started.iter().any(|started| started.subject == event.subject))?;
    let its_start = started.iter().find(|started| started.subject == ready.subject)?;
    Some(Reaction {
        decided: at(decided) - began,
        started: at(started.first()?) - began,
        ready: at(ready) - began,
        own_start: at(ready).saturating_sub(at(its_start)),
    })
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

    fn told(number: u64, at_ms: u64, subject: &str, reason: &str) -> Event {
        let at = plimsoll_model::Instant(at_ms * 1000);
        Event { number, at, subject: subject.into(), reason: reason.into(), message: String::new(), warning: false }
    }

    #[test]
    fn a_reaction_is_read_from_what_was_told_after_the_step() {
        let events = [
            told(1, 900, "web", "Scaled"),
            told(2, 950, "web-2", "Started"),
            told(3, 1080, "web", "Scaled"),
            told(4, 1085, "web-2", "Ready"),
            told(5, 1090, "web-3", "Started"),
            told(6, 1095, "other-1", "Ready"),
            told(7, 1400, "web-3", "Ready"),
        ];
        let ms = Duration::from_millis;
        let want = Reaction { decided: ms(80), started: ms(90), ready: ms(400), own_start: ms(310) };
        assert_eq!(reaction_in(&events, &["web".into()], ms(1000)), Some(want));
        assert_eq!(reaction_in(&events, &["other".into()], ms(1000)), None);
    }

    #[test]
    fn a_second_is_broken_by_late_answers_and_by_wrong_ones() {
        check(0, 100, false);
        check(1, 100, false);
        check(2, 1, true);
        check(0, 101, true);
    }
}
