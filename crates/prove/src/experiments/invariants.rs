//! `invariants`: replicas of the named services are killed under load, and then the system's own audit says whether everything
//! is as it must be.

use std::time::Duration;

use plimsoll_load::Arrivals;
use plimsoll_model::promise::{KILLS, Promise};

use crate::experiments::availability::{BEYOND, wait_until};
use crate::judge::{self, InvariantsSeen};
use crate::lab::{LOOK_CALMLY, Lab};
use crate::proof::{Shown, Unproven, figure, generator, requests, time};
use crate::visit::{self, Visit};

/// How long there is load, where the promise says nothing.
const LOAD: Duration = Duration::from_secs(20);
/// Requests a second, where the promise says nothing.
const RATE: f64 = 50.0;

/// What is promised.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) service: &'a str,
    pub(crate) command: &'a str,
    pub(crate) kill: &'a [String],
    pub(crate) route: Option<&'a str>,
}

/// Measures one promise of invariants.
pub(crate) async fn run(lab: &Lab, promise: &Promise, wanted: Wanted<'_>) -> Result<Shown, Unproven> {
    let visit = Visit::prepare(lab, promise, wanted.route).await?;
    // Before there is load, so that a system that isn't whole is not hurt.
    for service in wanted.kill {
        lab.victim(service).await?;
    }
    let rate_per_s = promise.load.rate.map_or(RATE, |rate| rate.per_second());
    let duration = promise.load.duration.map_or(LOAD, |duration| duration.as_duration());
    let mut plan = visit.plan(lab, Arrivals::Constant { rate_per_s }, duration + BEYOND, rate_per_s);
    plan.warm_up = Duration::ZERO;
    let running = plan.start().map_err(visit::not_run)?;
    let kills_wanted = promise.load.kills.unwrap_or(KILLS).max(u32::try_from(wanted.kill.len()).unwrap_or(KILLS));
    let mut figures = Vec::new();
    let mut kills = 0;
    for kill in 0..kills_wanted {
        wait_until(&running, duration.mul_f64(f64::from(kill + 1) / f64::from(kills_wanted + 1))).await;
        let service = &wanted.kill[usize::try_from(kill).unwrap_or(0) % wanted.kill.len()];
        let Ok(victim) = lab.victim(service).await else {
            figures.push(figure(service, "was not whole again, so it was not killed again"));
            break;
        };
        let at = running.mark(format!("killed {}", victim.id));
        lab.kill_replica(service, &victim).await?;
        kills += 1;
        figures.push(figure(&format!("killed {}", victim.id), format!("at {}", time(at))));
    }
    wait_until(&running, duration).await;
    running.stop();
    let report = running.finish().await.map_err(visit::not_run)?;
    let settled = lab.wait(LOOK_CALMLY, |status| status.settled).await.is_some();
    let audited = lab.client.audit(wanted.name).await;
    let audited = audited.map_err(|error| Unproven::new(format!("the audit: {error}"), "see `plimsoll events`"))?;
    figures.insert(0, requests("requests meanwhile", &report));
    let output = if audited.output.is_empty() { "nothing" } else { &audited.output };
    figures.push(figure("the audit", format!("{} after {}", audited.ended, audited.took)));
    figures.push(figure("it wrote", output));
    figures.push(generator(&report));
    let well = audited.well;
    let (asked, failed) = (report.asked, report.failed);
    let seen = InvariantsSeen { well, ended: audited.ended, asked, failed, kills, wanted: kills_wanted, settled };
    let statement = statement(wanted, kills);
    let run = visit::ended("load under kills", &plan, report);
    let judgement = judge::invariants(&seen);
    Ok(Shown { judgement, statement, figures, requests: asked, failed, runs: vec![run] })
}

fn statement(wanted: Wanted<'_>, kills: u32) -> String {
    format!(
        "Shows that after {kills} kills (SIGKILL) of replicas of {} under load the system's own audit, `{}` beside {}, found nothing wrong; \
         it shows no more than that audit looks at, and not the loss of this machine or of a store.",
        wanted.kill.join(", "),
        wanted.command,
        wanted.service
    )
}
