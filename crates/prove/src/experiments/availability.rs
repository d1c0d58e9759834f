//! `availability`: replicas are killed under load, and every request that isn't answered rightly is counted and listed.

use std::time::Duration;

use plimsoll_load::Arrivals;
use plimsoll_model::Ratio;
use plimsoll_model::promise::{KILLS, Promise};

use crate::experiments::pace;
use crate::judge::{self, AvailabilitySeen};
use crate::lab::Lab;
use crate::proof::{Shown, Unproven, figure, generator, requests, time};
use crate::sample::requests_for_rate;
use crate::visit::{self, Visit};

/// How long the load goes on beyond its planned end, for kills that had to wait for a replacement.
pub(crate) const BEYOND: Duration = Duration::from_secs(600);

/// Measures one availability promise.
pub(crate) async fn run(lab: &Lab, promise: &Promise, route: Option<&str>, ratio: Ratio) -> Result<Shown, Unproven> {
    let visit = Visit::prepare(lab, promise, route).await?;
    let services = visit.way.services();
    let needed = requests_for_rate(1.0 - ratio.fraction()).min(100_000);
    let (rate_per_s, duration) = pace(&promise.load, 200.0, Duration::from_secs(20), needed);
    // Before there is load, so that a system that isn't whole is not hurt.
    for service in &services {
        lab.victim(service).await?;
    }
    let mut plan = visit.plan(lab, Arrivals::Constant { rate_per_s }, duration + BEYOND, rate_per_s);
    plan.warm_up = Duration::from_secs(1);
    let running = plan.start().map_err(visit::not_run)?;
    let kills_wanted = promise.load.kills.unwrap_or(KILLS);
    let mut figures = Vec::new();
    let mut kills = 0;
    for kill in 0..kills_wanted {
        let due = duration.mul_f64(f64::from(kill + 1) / f64::from(kills_wanted + 1));
        wait_until(&running, due).await;
        let service = &services[usize::try_from(kill).unwrap_or(0) % services.len()];
        // What can't be killed any more has been hurt too much by the kill before: that is a finding, not an error.
        let Ok(victim) = lab.victim(service).await else {
            figures.push(figure(service, "was not whole again, so it was not killed again"));
            break;
        };
        let at = running.mark(format!("killed {}", victim.id));
        let killed = lab.kill_replica(service, &victim).await?;
        kills += 1;
        let replaced =
            killed.replaced.map_or_else(|| "never replaced".to_owned(), |took| format!("replaced in {}", time(took)));
        figures.push(figure(&format!("killed {}", victim.id), format!("at {}, {replaced}", time(at))));
    }
    wait_until(&running, duration).await;
    running.stop();
    let report = running.finish().await.map_err(visit::not_run)?;
    let seen = AvailabilitySeen {
        asked: report.asked,
        failed: report.failed,
        kills,
        wanted: kills_wanted,
        limited: report.generator.limited,
    };
    figures.insert(0, requests("requests", &report));
    figures.push(generator(&report));
    let statement = format!(
        "Shows the share of requests answered rightly while {kills} replicas of {} were killed (SIGKILL) in {}; \
         it is success under kills, not the uptime of a month or a year, and does not show the loss of this machine.",
        services.join(", "),
        time(report.duration)
    );
    let (asked, failed) = (report.asked, report.failed);
    let run = visit::ended("load under kills", &plan, report);
    Ok(Shown {
        judgement: judge::availability(ratio.fraction(), &seen),
        statement,
        figures,
        requests: asked,
        failed,
        runs: vec![run],
    })
}

/// Waits until the measured part of a run has gone on for `due`.
pub(crate) async fn wait_until(running: &plimsoll_load::Running, due: Duration) {
    while running.progress().elapsed.is_none_or(|elapsed| elapsed < due) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
