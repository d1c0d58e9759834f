//! `concurrency`: so many users at the same instant, again and again, while another promise is watched.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_load::{Arrivals, Plan, Running};
use plimsoll_model::Millis;
use plimsoll_model::promise::{Kind, Promise};

use crate::experiments::{latency_seen, pace, requests_needed};
use crate::judge::{self, ConcurrencySeen};
use crate::lab::Lab;
use crate::proof::{Judgement, Run, Shown, Unproven, failures_in_words, figure, time};
use crate::visit::{self, Visit};

/// Bursts at least, so that a lucky one is not all there is.
const BURSTS_MIN: u32 = 3;
/// Bursts at most, however many requests the other promise still needs.
const BURSTS_MAX: u32 = 100;
/// How long the bursts may go on for the other promise's sake.
const LONGEST: Duration = Duration::from_secs(120);

/// What a burst is.
pub(crate) struct Crowd<'a> {
    pub(crate) route: &'a str,
    pub(crate) users: u32,
    pub(crate) within: Millis,
    pub(crate) unhurt: Option<&'a str>,
}

/// Measures one concurrency promise.
pub(crate) async fn run(lab: &Lab, promise: &Promise, crowd: &Crowd<'_>) -> Result<Shown, Unproven> {
    let visit = Visit::prepare(lab, promise, Some(crowd.route)).await?;
    let watch = match crowd.unhurt {
        Some(name) => Some(Watch::begin(lab, name).await?),
        None => None,
    };
    let mut runs = Vec::new();
    let began = std::time::Instant::now();
    for burst in 1..=BURSTS_MAX {
        let rate = f64::from(crowd.users);
        let plan = visit.plan(lab, Arrivals::AtOnce { requests: crowd.users }, Duration::ZERO, rate);
        let plan = Plan {
            // Users come with connections of their own; connecting is part of what they do at once.
            connections_first: 0,
            connections_max: crowd.users,
            timeout: crowd.within.as_duration(),
            first_number: lab.numbers(u64::from(crowd.users)),
            ..plan
        };
        runs.push(visit::run(&format!("burst {burst}"), &plan).await?);
        let enough = watch.as_ref().is_none_or(|watch| watch.has_enough() || began.elapsed() > LONGEST);
        if burst >= BURSTS_MIN && enough {
            break;
        }
    }
    let asked = runs.iter().map(|run| run.report.asked).sum();
    let failed = runs.iter().map(|run| run.report.failed).sum();
    let mut figures = vec![figure("users at once", format!("{} in each of {} bursts", crowd.users, runs.len()))];
    if visit.sessions > 0 {
        figures.push(figure("sessions", format!("{}, used in turn", visit.sessions)));
    }
    figures.push(figure("requests", failures_in_words(failed, asked)));
    let mut seen = ConcurrencySeen {
        asked,
        failed,
        slowest: runs.iter().filter_map(|run| run.report.latency.max()).max(),
        limited: runs.iter().any(|run| run.report.generator.limited),
        meanwhile: None,
    };
    if let Some(watch) = watch {
        let name = watch.name.clone();
        let (judgement, run) = watch.end().await?;
        figures.push(figure(
            &format!("{name} meanwhile"),
            format!("{} ({})", judgement.measured, judgement.verdict.word()),
        ));
        seen.meanwhile = Some(judgement);
        runs.push(run);
    }
    let within = time(crowd.within.as_duration());
    let statement = format!(
        "Shows that {} requests released at the same instant, connecting included, are each answered rightly within {within} on this machine; \
         it does not show that as many stay for long.",
        crowd.users
    );
    let judgement = judge::concurrency(crowd.within.as_duration(), &seen);
    Ok(Shown { judgement, statement, figures, requests: asked, failed, runs })
}

/// The other promise, measured while the bursts go on.
struct Watch {
    name: String,
    bounds: BTreeMap<u16, Millis>,
    plan: Plan,
    running: Running,
    needed: u64,
}

impl Watch {
    async fn begin(lab: &Lab, name: &str) -> Result<Watch, Unproven> {
        let promise = lab.system.promises.get(name);
        let Some((promise, Kind::Latency { route, percentiles })) = promise.map(|promise| (promise, &promise.kind))
        else {
            return Err(Unproven::new(
                format!("`{name}`, which must stay unhurt, is no latency promise"),
                "name a latency promise in `unhurt`",
            ));
        };
        let visit = Visit::prepare(lab, promise, Some(route)).await?;
        let needed = requests_needed(percentiles);
        let (rate_per_s, _) = pace(&promise.load, 100.0, Duration::from_secs(10), needed);
        let arrivals = Arrivals::Poisson { rate_per_s, seed: lab.seed };
        let mut plan = visit.plan(lab, arrivals, LONGEST + Duration::from_secs(60), rate_per_s);
        plan.warm_up = Duration::from_secs(1);
        let running = plan.start().map_err(visit::not_run)?;
        while running.progress().elapsed.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Watch { name: name.to_owned(), bounds: percentiles.clone(), plan, running, needed })
    }

    fn has_enough(&self) -> bool {
        self.running.progress().asked >= self.needed
    }

    async fn end(self) -> Result<(Judgement, Run), Unproven> {
        self.running.stop();
        let report = self.running.finish().await.map_err(visit::not_run)?;
        let judgement = judge::latency(&self.bounds, &latency_seen(&self.bounds, &report));
        Ok((judgement, visit::ended(&format!("{} meanwhile", self.name), &self.plan, report)))
    }
}
