//! All promises of a running system, one after the other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plimsoll_api::{Client, ClientError, release::DRILL};
use plimsoll_model::System;
use plimsoll_model::promise::{Kind, Promise};
use plimsoll_model::system::Target;
use tokio::sync::watch;

use crate::experiments::{
    autoscale, availability, concurrency, failover, invariants, latency, releases, rollback, store_failover, survival,
    throughput,
};
use crate::lab::Lab;
use crate::proof::{Proof, Shown, Unproven, Verdict};
use crate::report::Report;
use crate::sample::percentile_name;
use crate::session::Session;
use crate::writes::StoreUrl;

/// What to prove, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The names of the promises to test; empty is all.
    pub only: Vec<String>,
    /// The seed of everything that is drawn at random; `None` takes one from the clock. It's told in the report.
    pub seed: Option<u64>,
    /// Load and kills are allowed although the environment is called production, or the target is a cluster.
    pub allow_production: bool,
    /// When a throughput promise is held, look how much more would be answered.
    pub headroom: bool,
    /// How long anything that was hurt may take to be well again, before it counts as never. 60 s by default.
    pub patience: Duration,
    /// How to get into the stores that run here, by name; of those that are missing no failover is proved.
    pub stores: BTreeMap<String, StoreUrl>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            only: Vec::new(),
            seed: None,
            allow_production: false,
            headroom: true,
            patience: Duration::from_secs(60),
            stores: BTreeMap::new(),
        }
    }
}

/// Nothing was tested.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The engine can't be asked. Bring the system up, then repeat.
    #[error("cannot ask the engine")]
    Engine(#[source] ClientError),
    /// It runs in production, and that was not allowed. Allow it, or choose another environment.
    #[error("{what} is production: load is made and processes are killed there only with `--allow-production`")]
    Production {
        /// What makes it production.
        what: String,
    },
    /// A former session was killed, and left a version of its own behind. Bring in what the file says.
    #[error(
        "{service} has a version that a former `plimsoll prove` made to test with, and that was killed before it could take \
         it out again: `plimsoll up` brings in what the file says"
    )]
    LeftBehind {
        /// Which service.
        service: String,
    },
    /// There is no promise of that name.
    #[error("there is no promise `{name}`; there are: {known}")]
    NoSuchPromise {
        /// The name that was asked for.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// There is no stream of that name.
    #[error("there is no stream `{name}` under `simulation.traffic`; there are: {known}")]
    NoSuchStream {
        /// The name that was asked for.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// The file says of no traffic.
    #[error("the file has no `simulation.traffic`")]
    NoTraffic,
}

/// What goes on, for a person who waits.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// The experiment of this promise begins.
    Begins {
        /// Its name.
        promise: &'a str,
        /// Its kind.
        kind: &'a str,
    },
    /// It's over.
    Ends(&'a Proof),
}

/// Tests the promises of the system whose engine `client` asks. `tell` is called as it goes on.
///
/// It makes load, and kills replicas, engine and gateway where a promise is about that. Everything that was killed is
/// waited for before the next experiment begins.
///
/// # Errors
/// `ProveError`, before anything was done. What goes wrong later makes the promise concerned *unproven*.
pub async fn prove(client: Client, options: Options, tell: impl FnMut(Step<'_>)) -> Result<Report, ProveError> {
    let (_, never) = watch::channel(false);
    prove_until(client, options, never, tell).await
}

/// As [`prove`], until `stop` says that a person wants it to end: the experiment under way is broken off, what it changed is
/// put back, and the report holds what was proved before.
///
/// # Errors
/// As [`prove`].
pub async fn prove_until(
    client: Client,
    options: Options,
    stop: watch::Receiver<bool>,
    mut tell: impl FnMut(Step<'_>),
) -> Result<Report, ProveError> {
    let system = client.system().await.map_err(ProveError::Engine)?.system;
    let environment = allowed(&client, &system, &options).await?;
    if let Some((service, _)) = system.services.iter().find(|(_, service)| service.env.contains_key(DRILL)) {
        return Err(ProveError::LeftBehind { service: service.clone() });
    }
    if let Some(name) = options.only.iter().find(|name| !system.promises.contains_key(*name)) {
        let known = system.promises.keys().cloned().collect::<Vec<_>>().join(", ");
        return Err(ProveError::NoSuchPromise { name: name.clone(), known });
    }
    let session = Session::begin(options.seed);
    let mut promises: Vec<(String, Promise)> = system.promises.clone().into_iter().collect();
    // What only asks comes before what kills, so that nothing is measured on a system that still recovers.
    promises.sort_by_key(|(_, promise)| harm(&promise.kind));
    let lab = Lab::new(client, system, options, session).until(stop);
    let mut report = Report::begin(&lab.system.name, environment, session.seed);
    for (name, promise) in &promises {
        if !lab.options.only.is_empty() && !lab.options.only.contains(name) {
            continue;
        }
        if lab.is_stopped() {
            break;
        }
        tell(Step::Begins { promise: name, kind: promise.kind.name() });
        let began = Instant::now();
        // What brings versions in, or writes to a store, has to take that out again: it looks for an end by itself.
        let shown = match promise.kind {
            Kind::Releases { .. } | Kind::Rollback { .. } | Kind::StoreFailover { .. } => {
                experiment(&lab, name, promise).await
            }
            _ => lab.unless_stopped(experiment(&lab, name, promise)).await,
        };
        let proof = proof(name, promise, shown, began.elapsed());
        tell(Step::Ends(&proof));
        report.proofs.push(proof);
    }
    report.proofs.sort_by(|one, other| one.promise.cmp(&other.promise));
    Ok(report)
}

/// The system's environment, if load may be made there.
///
/// # Errors
/// It is production, or the engine can't be asked.
pub(crate) async fn allowed(client: &Client, system: &System, options: &Options) -> Result<Option<String>, ProveError> {
    let status = client.status().await.map_err(ProveError::Engine)?;
    let environment = status.environment.clone().or_else(|| system.environment.clone());
    match production(environment.as_deref(), &status.target, &system.target) {
        Some(what) if !options.allow_production => Err(ProveError::Production { what }),
        _ => Ok(environment),
    }
}

/// How much an experiment of this kind hurts.
fn harm(kind: &Kind) -> u8 {
    match kind {
        Kind::Latency { .. } => 0,
        Kind::Throughput { .. } => 1,
        Kind::Concurrency { .. } | Kind::Autoscale { .. } => 2,
        Kind::Failover { .. } => 3,
        Kind::Availability { .. } | Kind::Invariants { .. } => 4,
        Kind::Survival { .. } => 5,
        Kind::Releases { .. } => 6,
        Kind::Rollback { .. } => 7,
        Kind::StoreFailover { .. } => 8,
        Kind::RecoveryPoint { .. } | Kind::RecoveryTime { .. } | Kind::Cost { .. } => 9,
    }
}

fn production(environment: Option<&str>, observed: &Target, written: &Target) -> Option<String> {
    if environment.is_some_and(|name| name.eq_ignore_ascii_case("production") || name.eq_ignore_ascii_case("prod")) {
        return environment.map(|name| format!("environment `{name}`"));
    }
    let cluster = [observed, written].into_iter().any(|target| matches!(target, Target::Kubernetes { .. }));
    cluster.then(|| "a Kubernetes target".to_owned())
}

async fn experiment(lab: &Lab, name: &str, promise: &Promise) -> Result<Shown, Unproven> {
    match &promise.kind {
        Kind::Latency { route, percentiles } => latency::run(lab, promise, route, percentiles).await,
        Kind::Throughput { route, rate } => throughput::run(lab, promise, route, *rate).await,
        Kind::Concurrency { route, users, within, unhurt } => {
            let crowd = concurrency::Crowd { route, users: *users, within: *within, unhurt: unhurt.as_deref() };
            concurrency::run(lab, promise, &crowd).await
        }
        Kind::Availability { route, ratio } => availability::run(lab, promise, route.as_deref(), *ratio).await,
        Kind::Failover { service, max } => failover::run(lab, promise, service, *max).await,
        Kind::StoreFailover { store, max, lost } => {
            let wanted = store_failover::Wanted { store, max: max.as_duration(), lost: *lost };
            store_failover::run(lab, promise, wanted).await
        }
        Kind::Survival { route } => survival::run(lab, promise, route.as_deref()).await,
        Kind::Autoscale { route, times, latency, max } => {
            let step = autoscale::Step { route: route.as_deref(), times: *times, latency: *latency, max: *max };
            autoscale::run(lab, promise, &step).await
        }
        Kind::Invariants { service, command, kill, route, .. } => {
            let wanted = invariants::Wanted { name, service, command, kill, route: route.as_deref() };
            invariants::run(lab, promise, wanted).await
        }
        Kind::Releases { service, count } => releases::run(lab, promise, (name, service.as_deref()), *count).await,
        Kind::Rollback { service, max, bad } => {
            let wanted = rollback::Wanted { name, service: service.as_deref(), max: max.as_duration(), bad };
            rollback::run(lab, promise, wanted).await
        }
        Kind::RecoveryPoint { .. } | Kind::RecoveryTime { .. } | Kind::Cost { .. } => {
            let why = format!("this version has no experiment for `{}`", promise.kind.name());
            Err(Unproven::new(why, "nothing: it comes with a later version"))
        }
    }
}

fn proof(name: &str, promise: &Promise, shown: Result<Shown, Unproven>, took: Duration) -> Proof {
    let mut proof = Proof {
        promise: name.to_owned(),
        kind: promise.kind.name().to_owned(),
        line: promise.line,
        target: target(&promise.kind),
        measured: String::new(),
        margin: None,
        requests: 0,
        failed: 0,
        verdict: Verdict::Unproven,
        why: String::new(),
        todo: String::new(),
        statement: "Nothing was measured, so nothing is shown.".to_owned(),
        figures: Vec::new(),
        runs: Vec::new(),
        took,
    };
    match shown {
        Ok(shown) => {
            let Shown { judgement, statement, figures, runs, requests, failed } = shown;
            proof.verdict = judgement.verdict;
            proof.margin = judgement.margin;
            (proof.measured, proof.why, proof.todo) = (judgement.measured, judgement.why, judgement.todo);
            (proof.statement, proof.figures, proof.runs) = (statement, figures, runs);
            (proof.requests, proof.failed) = (requests, failed);
        }
        Err(unproven) => (proof.why, proof.todo) = (unproven.why, unproven.todo),
    }
    proof
}

/// What is promised, as a person reads it.
fn target(kind: &Kind) -> String {
    let at = |route: &Option<String>| route.as_ref().map_or_else(String::new, |route| format!(" at {route}"));
    match kind {
        Kind::Latency { route, percentiles } => {
            let bounds = percentiles.iter().map(|(tenths, bound)| format!("{} ≤ {bound}", percentile_name(*tenths)));
            format!("{} at {route}", bounds.collect::<Vec<_>>().join(", "))
        }
        Kind::Throughput { route, rate } => format!("≥ {rate} at {route}"),
        Kind::Concurrency { route, users, within, unhurt } => {
            let unhurt = unhurt.as_ref().map_or_else(String::new, |name| format!(", {name} unhurt"));
            format!("{users} users at once within {within} at {route}{unhurt}")
        }
        Kind::Availability { route, ratio } => format!("≥ {ratio} under kills{}", at(route)),
        Kind::Failover { service, max } => format!("a killed {service} replaced within {max}"),
        Kind::StoreFailover { store, max, lost } => {
            format!("{store} takes writes within {max} of its primary's death, ≤ {lost} acknowledged ones lost")
        }
        Kind::Survival { route } => format!("engine and gateway killed, only requests in flight lost{}", at(route)),
        Kind::Autoscale { route, times, latency, max } => {
            format!("p99 ≤ {latency} broken for ≤ {max} by {times} times the load{}", at(route))
        }
        Kind::RecoveryPoint { store, max } => format!("≤ {max} of {store} lost"),
        Kind::RecoveryTime { store, max } => format!("{store} back within {max}"),
        Kind::Rollback { service, max, bad } => {
            let of = service.as_ref().map_or_else(String::new, |service| format!(" of {service}"));
            let what = if bad.is_empty() { "a release" } else { "a bad release" };
            format!("{what}{of} taken back within {max}")
        }
        Kind::Releases { service, count } => {
            let of = service.as_ref().map_or_else(String::new, |service| format!(" of {service}"));
            format!("{count} releases{of} without a failed request")
        }
        Kind::Invariants { command, kill, .. } => {
            format!("`{command}` ends with 0 after kills of {}", kill.join(", "))
        }
        Kind::Cost { per_month_cents, currency, prices } => {
            let (whole, rest) = (per_month_cents / 100, per_month_cents % 100);
            format!("≤ {whole}.{rest:02} {currency} a month at prices {prices}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_model::{Millis, Rate};
    use std::collections::BTreeMap;

    #[test]
    fn production_is_known_by_its_name_or_its_target() {
        let machine = Target::Machine;
        let cluster = Target::Kubernetes { namespace: None };
        assert!(production(Some("production"), &machine, &machine).is_some());
        assert!(production(Some("Prod"), &machine, &machine).is_some());
        assert!(production(Some("staging"), &machine, &cluster).is_some());
        assert!(production(Some("staging"), &machine, &machine).is_none());
        assert!(production(None, &machine, &machine).is_none());
    }

    #[test]
    fn targets_read_as_written() {
        let latency = Kind::Latency { route: "/api".into(), percentiles: BTreeMap::from([(950, Millis(500))]) };
        assert_eq!(target(&latency), "p95 ≤ 500ms at /api");
        let throughput = Kind::Throughput { route: "/x".into(), rate: Rate(200_000) };
        assert_eq!(target(&throughput), "≥ 200/s at /x");
        let cost = Kind::Cost { per_month_cents: 147_500, currency: "USD".into(), prices: "aws-2024".into() };
        assert_eq!(target(&cost), "≤ 1475.00 USD a month at prices aws-2024");
    }
}
