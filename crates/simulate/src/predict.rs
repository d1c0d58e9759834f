//! What becomes of each promise: predicted in worlds of its own, as `prove` measures it on a system that runs.
//!
//! Invariant: a promise that nothing was imagined for is *unpredicted*, never held.

mod experiment;
mod verdict;

pub(crate) use verdict::words;
pub use verdict::{Prediction, Verdict};

use crate::{
    plan::{LONGEST_NS, MS, Place, Plan, PlanError, SECOND, SourcePlan, Traces, ns, routed},
    world::{Figures, World},
};
use experiment::Experiment;
use plimsoll_model::{
    Millis, Ratio, System,
    promise::{KILLS, Kind, Promise},
    simulation::{Fault, FaultKind, Prices, Simulation},
};
use verdict::{by_latency, by_share};

/// How long a stream goes on that is imagined for one promise, and what is not counted before.
const LASTS: Millis = Millis::from_secs(60);
const WARM_UP: Millis = Millis::from_secs(20);
/// Requests a second where a promise says nothing.
const USUAL_RATE: f64 = 100.0;
/// How long is waited, before a kill, until all replicas are ready.
const PATIENCE: Millis = Millis::from_secs(600);

/// Everything that predictions are made from.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// The system.
    pub system: &'a System,
    /// Its scenario.
    pub scenario: &'a Simulation,
    /// Traces that the scenario names.
    pub traces: &'a Traces,
    /// The seed.
    pub seed: u64,
}

/// Predicts every promise. `whole` is what the scenario itself came to.
///
/// # Errors
/// The scenario can't be simulated.
pub fn predict(basis: Basis<'_>, whole: &Figures) -> Result<Vec<Prediction>, PlanError> {
    basis.system.promises.iter().map(|(name, promise)| one(basis, whole, name, promise)).collect()
}

fn one(basis: Basis<'_>, whole: &Figures, name: &str, promise: &Promise) -> Result<Prediction, PlanError> {
    let found = match &promise.kind {
        Kind::Latency { route, percentiles } => {
            let known = whole.sources.iter().find(|one| one.route == *route && !one.silent);
            match (promise.load.rate, known) {
                (None, Some(own)) => by_latency(percentiles, own, None),
                (rate, _) => {
                    let rate = rate.map_or(USUAL_RATE, |rate| rate.per_second());
                    match Experiment::of(basis)?.stream(route, rate) {
                        Ok(experiment) => by_latency(percentiles, &experiment.run().figures().sources[0], Some(rate)),
                        Err(why) => Prediction::unpredicted(why),
                    }
                }
            }
        }
        Kind::Throughput { route, rate } => throughput(basis, route, rate.per_second())?,
        Kind::Concurrency { route, users, within, unhurt } => {
            let found = at_once(basis, route, *users, *within)?;
            unhurt.as_ref().map_or(found.clone(), |other| found.unless_hurt(other))
        }
        Kind::Availability { route, ratio } => {
            let kills = promise.load.kills.unwrap_or(KILLS);
            let rate = promise.load.rate.map_or(USUAL_RATE, |rate| rate.per_second());
            availability(basis, route.as_deref(), *ratio, (rate, kills))?
        }
        Kind::Failover { service, max } => failover(basis, service, (*max, promise.load.kills.unwrap_or(KILLS)))?,
        Kind::Cost { per_month_cents, currency, .. } => cost(basis, whole, *per_month_cents, currency),
        other => Prediction::unpredicted(format!("the simulator imagines nothing for {}", other.name())),
    };
    Ok(Prediction { promise: name.to_owned(), kind: promise.kind.name().to_owned(), ..found })
}

fn throughput(basis: Basis<'_>, route: &str, rate: f64) -> Result<Prediction, PlanError> {
    let world = match Experiment::of(basis)?.stream(route, rate) {
        Ok(experiment) => experiment.run(),
        Err(why) => return Ok(Prediction::unpredicted(why)),
    };
    let own = &world.figures().sources[0];
    let answered = own.outcomes[0] as f64 / (LASTS.0 as f64 / 1e3);
    let (busiest, used) = busiest(&world);
    let kept = own.outcomes[0] as f64 / own.asked.max(1) as f64;
    let held = kept >= 0.99;
    Ok(Prediction {
        target: format!("{rate:.0}/s"),
        predicted: format!("{:.0}/s, {busiest} busy for {:.0} %", answered, used * 100.0),
        margin: Some(if held { (1.0 / used.max(1e-3)).min(100.0) - 1.0 } else { kept - 1.0 }),
        requests: own.ended(),
        failed: own.failed(),
        verdict: Verdict::of(held),
        why: if held { String::new() } else { format!("{busiest} can't work faster; {}", causes(&world)) },
        ..Prediction::default()
    })
}

/// The station whose workers have least time left.
pub(crate) fn busiest(world: &World) -> (String, f64) {
    let uses = world.uses();
    uses.into_iter().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or_default()
}

/// Why requests failed, in words.
pub(crate) fn causes(world: &World) -> String {
    let mut all = Vec::new();
    for outcome in &crate::world::Outcome::ALL[1..] {
        let count: u64 = world.figures().sources.iter().map(|one| one.outcomes[*outcome as usize]).sum();
        if count > 0 {
            all.push(format!("{count} {}", outcome.words()));
        }
    }
    if all.is_empty() { "none failed".into() } else { all.join(", ") }
}

fn at_once(basis: Basis<'_>, route: &str, users: u32, within: Millis) -> Result<Prediction, PlanError> {
    let mut experiment = match Experiment::of(basis)?.stream(route, USUAL_RATE) {
        Ok(experiment) => experiment,
        Err(why) => return Ok(Prediction::unpredicted(why)),
    };
    experiment.plan.until_ns = ns(WARM_UP) + 2 * ns(within) + 5 * SECOND;
    if let Some(source) = experiment.plan.sources.first_mut() {
        let asked = SourcePlan { users: Some((users, SECOND, 0)), at_once_ns: Some(ns(WARM_UP)), ..source.clone() };
        *source = asked;
    }
    // Everybody asks at the end of the warm-up; nothing may be forgotten then.
    experiment.plan.warm_up_ns = 0;
    let world = experiment.run();
    let own = &world.figures().sources[0];
    let took = own.latency.max_ns();
    let all = own.outcomes[0] == u64::from(users);
    let held = all && took <= ns(within);
    Ok(Prediction {
        target: format!("{users} at once within {within}"),
        predicted: format!("{} answered within {:.2} s", own.outcomes[0], took as f64 / 1e9),
        margin: all.then(|| 1.0 - took as f64 / ns(within).max(1) as f64),
        requests: u64::from(users),
        failed: u64::from(users) - own.outcomes[0],
        verdict: Verdict::of(held),
        why: if all { String::new() } else { causes(&world) },
        ..Prediction::default()
    })
}

fn availability(
    basis: Basis<'_>,
    route: Option<&str>,
    ratio: Ratio,
    (rate, kills): (f64, u32),
) -> Result<Prediction, PlanError> {
    let first = basis.system.ingress.hosts.values().flat_map(|host| host.paths.keys()).next();
    let Some(route) = route.or(first.map(String::as_str)) else {
        return Ok(Prediction::unpredicted("there is no path to ask for".into()));
    };
    let mut experiment = match Experiment::of(basis)?.stream(route, rate) {
        Ok(experiment) => experiment,
        Err(why) => return Ok(Prediction::unpredicted(why)),
    };
    let station = experiment.plan.sources.first().map_or(0, |source| source.station);
    let of = experiment.plan.stations[station].name.clone();
    for kill in 0..kills {
        let at = Millis(WARM_UP.0 + LASTS.0 * u64::from(kill + 1) / u64::from(kills + 1));
        let fault = Fault { at, lasts: Millis(0), kind: FaultKind::Crash, of: of.clone(), count: 1, times_milli: 1000 };
        experiment.plan.faults.push((Place::Station(station), fault));
    }
    let world = experiment.run();
    Ok(by_share(&world.figures().sources[0], ratio, &format!("{kills} replicas of {of} killed"), &causes(&world)))
}

/// Kills replicas one after the other, each when all are ready again, as `prove` does.
fn failover(basis: Basis<'_>, service: &str, (max, kills): (Millis, u32)) -> Result<Prediction, PlanError> {
    let mut experiment = Experiment::of(basis)?;
    let Some(station) = experiment.plan.stations.iter().position(|one| one.name == service) else {
        return Ok(Prediction::unpredicted(format!("there is no service called {service}")));
    };
    experiment.plan.until_ns = LONGEST_NS;
    let mut world = experiment.world();
    let patience = Millis(max.0.saturating_mul(2).saturating_add(1000));
    let mut longest = Some(Millis(0));
    for _ in 0..kills.max(1) {
        // Replicas that have just become ready are left in peace for a while.
        let now = world.now_ns();
        if whole_within(&mut world, station, PATIENCE).is_none() {
            let why = format!("{service} has not all its replicas within {PATIENCE}, so that none can be killed");
            return Ok(Prediction::unpredicted(why));
        }
        world.run_until(world.now_ns().max(now) + ns(WARM_UP));
        world.kill_one(station);
        longest = longest.zip(whole_within(&mut world, station, patience)).map(|(known, took)| known.max(took));
        if longest.is_none() {
            break;
        }
    }
    Ok(Prediction {
        target: format!("within {max}"),
        predicted: longest.map_or_else(|| "not back".into(), |took| format!("{took} at most")),
        margin: longest.map(|took| 1.0 - took.0 as f64 / max.0.max(1) as f64),
        requests: u64::from(kills.max(1)),
        failed: u64::from(longest.is_none()),
        verdict: Verdict::of(longest.is_some_and(|took| took <= max)),
        ..Prediction::default()
    })
}

/// How long it takes until all replicas of a service are ready that are wanted; `None`: longer than that.
fn whole_within(world: &mut World, station: usize, patience: Millis) -> Option<Millis> {
    let began = world.now_ns();
    for took in 0..=patience.0 {
        world.run_until(began + took * MS);
        let (ready, wanted) = (world.serving(station), world.wanted(station));
        if wanted > 0 && ready >= wanted {
            return Some(Millis(took));
        }
    }
    None
}

/// What the replicas of a run would cost in a month of 730 hours, in hundredths.
#[must_use]
pub(crate) fn cents_a_month(system: &System, prices: &Prices, figures: &Figures) -> f64 {
    let one = |own: &crate::world::ServiceFigures| {
        let resources = system.services.get(&own.name).map(|service| service.resources.clone()).unwrap_or_default();
        let cpu = resources.cpu_request.unwrap_or_default().0 as f64 / 1e3 * prices.cpu_cents as f64;
        let memory = resources.memory_request.unwrap_or_default().0 as f64 / f64::from(1 << 30);
        own.replicas_mean() * (cpu + memory * prices.memory_cents as f64)
    };
    let services: f64 = figures.services.iter().map(one).sum();
    let store = |store: &plimsoll_model::Store| {
        let members =
            f64::from(store.cluster.map_or(store.instances, |own| own.masters * (1 + own.replicas_per_master)));
        let cpu = store.resources.cpu_request.unwrap_or_default().0 as f64 / 1e3 * prices.cpu_cents as f64;
        let memory = store.resources.memory_request.unwrap_or_default().0 as f64 / f64::from(1 << 30);
        members * (cpu + memory * prices.memory_cents as f64)
    };
    services + system.stores.values().filter(|one| one.external.is_none()).map(store).sum::<f64>()
}

fn cost(basis: Basis<'_>, whole: &Figures, most: u64, currency: &str) -> Prediction {
    let Some(prices) = basis.scenario.prices.as_ref().filter(|prices| prices.currency == currency) else {
        let why = format!("no `simulation.prices` in {currency}");
        return Prediction::unpredicted(why);
    };
    let cents = cents_a_month(basis.system, prices, whole);
    Prediction {
        target: format!("{:.2} {currency} a month", most as f64 / 100.0),
        predicted: format!("{:.2} {currency} for what is requested", cents / 100.0),
        margin: Some(1.0 - cents / most.max(1) as f64),
        verdict: Verdict::of(cents <= most as f64),
        ..Prediction::default()
    }
}

/// The service behind a route, by its place in a plan.
pub(crate) fn station_of(plan: &Plan, route: &str) -> Option<usize> {
    let (service, _) = routed(&plan.system, route)?;
    plan.stations.iter().position(|one| one.name == service)
}
