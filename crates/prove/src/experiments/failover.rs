//! `failover`: a replica is killed, again and again; when is it unrouted, when replaced, and what did it cost?

use std::time::Duration;

use plimsoll_load::{Arrivals, Plan, Running};
use plimsoll_model::Millis;
use plimsoll_model::promise::{KILLS, Promise};

use crate::judge::{self, FailoverSeen};
use crate::lab::{LOOK, Lab};
use crate::proof::{Shown, Unproven, figure, generator, requests, time};
use crate::visit::{self, Visit};

/// How long the load of such an experiment goes on at most; it is stopped when the experiment is over.
pub(crate) const LOAD_LASTS: Duration = Duration::from_secs(3_600);

/// Measures one failover promise.
pub(crate) async fn run(lab: &Lab, promise: &Promise, service: &str, max: Millis) -> Result<Shown, Unproven> {
    let first = lab.victim(service).await?;
    let load = load(lab, promise, (service, LOAD_LASTS)).await?;
    let mut replaced = Vec::new();
    let mut figures = Vec::new();
    let mut victim = first;
    let wanted = promise.load.kills.unwrap_or(KILLS);
    for kill in 1..=wanted {
        if kill > 1 {
            match lab.victim(service).await {
                Ok(next) => victim = next,
                Err(_) => break,
            }
        }
        if let Some((running, _)) = &load {
            running.mark(format!("killed {}", victim.id));
        }
        let killed = lab.kill_replica(service, &victim).await?;
        let unrouted = killed.unrouted.map_or_else(|| "never".to_owned(), time);
        let again = killed.replaced.map_or_else(|| "never".to_owned(), time);
        figures.push(figure(
            &format!("killed {}", victim.id),
            format!("seen as gone after {unrouted}, replaced after {again}"),
        ));
        replaced.push(killed.replaced);
        if killed.replaced.is_none() {
            break;
        }
    }
    let judgement =
        judge::failover(max.as_duration(), &FailoverSeen { replaced, wanted, waited: lab.options.patience });
    let mut shown =
        Shown { judgement, statement: statement(service), figures, requests: 0, failed: 0, runs: Vec::new() };
    match load {
        Some((running, plan)) => {
            running.stop();
            let report = running.finish().await.map_err(visit::not_run)?;
            (shown.requests, shown.failed) = (report.asked, report.failed);
            shown.figures.insert(0, requests("requests meanwhile", &report));
            shown.figures.push(generator(&report));
            shown.runs.push(visit::ended("load meanwhile", &plan, report));
        }
        None => shown.figures.insert(0, figure("requests meanwhile", "none: no path of the ingress leads to it")),
    }
    Ok(shown)
}

fn statement(service: &str) -> String {
    format!(
        "Shows how long after a SIGKILL of a replica of {service} as many replicas as before were ready, as the status told it (looked at every {}); \
         it does not show a replica that hangs instead of dying, or the loss of this machine.",
        time(LOOK)
    )
}

/// Load on the service, where a path of the ingress leads to it, for so long at most: the promise's own request, or a GET of
/// that path.
pub(crate) async fn load(
    lab: &Lab,
    promise: &Promise,
    (service, longest): (&str, Duration),
) -> Result<Option<(Running, Plan)>, Unproven> {
    let hosts = lab.system.ingress.hosts.values();
    let path = hosts.flat_map(|host| &host.paths).find(|(_, to)| *to == service).map(|(path, _)| path.clone());
    let Some(path) = path else { return Ok(None) };
    // A path that can't be asked for without knowing more leaves the times, which are what is promised.
    let Ok(visit) = Visit::prepare(lab, promise, Some(&path)).await else { return Ok(None) };
    let rate_per_s = promise.load.rate.map_or(100.0, |rate| rate.per_second());
    let arrivals = Arrivals::Constant { rate_per_s };
    let mut plan = visit.plan(lab, arrivals, longest, rate_per_s);
    plan.warm_up = Duration::ZERO;
    let running = plan.start().map_err(visit::not_run)?;
    Ok(Some((running, plan)))
}
