//! `survival`: engine and gateway are killed under load. Services must not notice; nothing but requests in flight is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_api::Status;
use plimsoll_load::{Arrivals, Cause, Report, Running};
use plimsoll_model::promise::Promise;

use crate::experiments::availability::wait_until;
use crate::judge::{self, SurvivalSeen};
use crate::lab::{LOOK, Lab, kill_process};
use crate::proof::{Shown, Unproven, figure, generator, requests, time};
use crate::visit::{self, Visit};

/// How long the load goes on beyond its planned end, if something takes long to come back.
const BEYOND: Duration = Duration::from_secs(600);

/// A killed process.
struct Kill {
    name: &'static str,
    /// Just before the signal, and when the process had ended.
    at: Duration,
    dead_at: Duration,
    back: Option<Duration>,
}

/// Measures one survival promise.
pub(crate) async fn run(lab: &Lab, promise: &Promise, route: Option<&str>) -> Result<Shown, Unproven> {
    let visit = Visit::prepare(lab, promise, route).await?;
    let before = processes(&lab.status().await?);
    let rate_per_s = promise.load.rate.map_or(200.0, |rate| rate.per_second());
    let duration = promise.load.duration.map_or(Duration::from_secs(15), |duration| duration.as_duration());
    let mut plan = visit.plan(lab, Arrivals::Constant { rate_per_s }, duration + BEYOND, rate_per_s);
    plan.warm_up = Duration::from_secs(1);
    let running = plan.start().map_err(visit::not_run)?;
    let mut kills = Vec::new();
    let rounds = promise.load.kills.unwrap_or(1).max(1);
    for round in 0..rounds {
        for (index, name) in ["engine", "gateway"].into_iter().enumerate() {
            let turn = f64::from(round) * 2.0 + index as f64 + 1.0;
            wait_until(&running, duration.mul_f64(turn / (f64::from(rounds) * 2.0 + 1.0))).await;
            kills.push(kill(lab, &running, name).await?);
        }
    }
    wait_until(&running, duration).await;
    running.stop();
    let report = running.finish().await.map_err(visit::not_run)?;
    let after = processes(&lab.status().await?);
    let (in_flight, otherwise) = losses(&report, &kills);
    let seen = SurvivalSeen {
        asked: report.asked,
        changed: changed(&before, &after),
        back: worst(&kills),
        lost_in_flight: in_flight,
        lost_otherwise: otherwise,
        limited: report.generator.limited,
    };
    let statement = format!(
        "Shows what a SIGKILL of engine and gateway, one after the other, cost under load ({} processes of services watched); \
         it does not show the loss of the keeper, of both at once, or of this machine.",
        before.len()
    );
    let (asked, failed) = (report.asked, report.failed);
    let mut figures = vec![requests("requests", &report)];
    figures.extend(kills.iter().map(in_words));
    figures.push(figure("processes of services", format!("{} before, {} changed", before.len(), seen.changed.len())));
    figures.push(generator(&report));
    let run = visit::ended("load under kills", &plan, report);
    Ok(Shown { judgement: judge::survival(&seen), statement, figures, requests: asked, failed, runs: vec![run] })
}

fn in_words(kill: &Kill) -> crate::proof::Figure {
    let back = kill.back.map_or_else(|| "not back".to_owned(), |back| format!("back after {}", time(back)));
    figure(&format!("killed {}", kill.name), format!("at {}, {back}", time(kill.at)))
}

/// Kills one of our own processes and waits until there is another one, serving the API.
async fn kill(lab: &Lab, running: &Running, name: &'static str) -> Result<Kill, Unproven> {
    let status = lab.status().await?;
    let old = status.processes.get(name).map(|process| process.pid).filter(|pid| *pid > 1);
    let old =
        old.ok_or_else(|| Unproven::new(format!("the status tells no pid of the {name}"), "see `plimsoll status`"))?;
    let at = running.mark(format!("killed {name}"));
    kill_process(name, old).await?;
    let dead_at = running.progress().elapsed.unwrap_or_default();
    let new = |status: &Status| status.processes.get(name).is_some_and(|process| process.pid > 1 && process.pid != old);
    Ok(Kill { name, at, dead_at, back: lab.wait(LOOK, new).await })
}

/// The pid of each running replica and member of a store.
fn processes(status: &Status) -> BTreeMap<String, i32> {
    let replicas = status.services.values().flat_map(|service| &service.replicas);
    let replicas = replicas.filter_map(|replica| Some((replica.id.to_string(), replica.pid?)));
    let members = status.stores.values().flat_map(|store| &store.members);
    let members = members.filter_map(|member| Some((member.name.clone(), member.pid?)));
    replicas.chain(members).collect()
}

/// What is another process than before, or gone.
fn changed(before: &BTreeMap<String, i32>, after: &BTreeMap<String, i32>) -> Vec<String> {
    before.iter().filter(|(name, pid)| after.get(*name) != Some(pid)).map(|(name, _)| name.clone()).collect()
}

/// Failures that are requests in flight at a gateway's death, and all others. The list of failures is bounded: what it
/// doesn't list counts as lost otherwise.
fn losses(report: &Report, kills: &[Kill]) -> (u64, u64) {
    let in_flight = report.failures.iter().filter(|failure| {
        let broken = matches!(failure.cause, Cause::Closed | Cause::Reset);
        let of_gateways = kills.iter().filter(|kill| kill.name == "gateway");
        // It began before the gateway had ended, and broke after the signal.
        broken
            && of_gateways.into_iter().any(|kill| failure.at <= kill.dead_at && failure.at + failure.after >= kill.at)
    });
    let in_flight = in_flight.count() as u64;
    (in_flight, report.failed - in_flight)
}

/// The longest time that each process took to come back; `None` if it once didn't.
fn worst(kills: &[Kill]) -> BTreeMap<&'static str, Option<Duration>> {
    let mut worst = BTreeMap::new();
    for kill in kills {
        let entry = worst.entry(kill.name).or_insert(Some(Duration::ZERO));
        *entry = entry.zip(kill.back).map(|(longest, back)| longest.max(back));
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pids: &[(&str, i32)]) -> BTreeMap<String, i32> {
        pids.iter().map(|(name, pid)| ((*name).to_owned(), *pid)).collect()
    }

    #[test]
    fn sees_what_is_another_process_or_gone() {
        let before = map(&[("a-1", 10), ("a-2", 11), ("b-1", 12)]);
        assert_eq!(changed(&before, &map(&[("a-1", 10), ("a-2", 99), ("c-1", 13)])), ["a-2", "b-1"]);
        assert!(changed(&before, &before).is_empty());
    }

    #[test]
    fn remembers_that_one_did_not_come_back() {
        let kill = |back| Kill { name: "engine", at: Duration::ZERO, dead_at: Duration::ZERO, back };
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(worst(&[kill(ms(5)), kill(ms(9)), kill(ms(7))])["engine"], ms(9));
        assert_eq!(worst(&[kill(ms(5)), kill(None), kill(ms(7))])["engine"], None);
    }
}
