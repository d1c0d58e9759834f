//! From figures to a verdict: pure functions, apart from the experiments that gather the figures.
//!
//! Invariant: nothing is *held* that was not measured; a measurement that the generator itself limited can show that a
//! promise is kept (its delays only make figures worse), but never that it's broken.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_model::Millis;

use crate::proof::{Judgement, Verdict, time};
use crate::sample::{failure_rate_below, percentile_name, requests_for_percentile, requests_for_rate};

mod invariants;
mod measured;
mod release;
mod store;

pub(crate) use invariants::{InvariantsSeen, invariants};
use measured::Measured;
pub(crate) use release::{Cost, ReleasesSeen, RollbackSeen, SentBack, Trouble, releases, rollback};
pub(crate) use store::{StoreFailoverSeen, store_failover};

/// Why a bad figure proves nothing when the generator was late.
const LIMITED: &str = "the load generator itself got too little CPU, so bad figures may be its own";
/// What to do about that.
const LIMITED_TODO: &str = "repeat it while the machine is less busy, or with a lower `load.rate`";

/// Figures of a latency experiment.
#[derive(Debug, Clone)]
pub(crate) struct LatencySeen {
    /// Latency from the intended start by percentile in tenths, failures counting as slowest; `None`: among the failures.
    pub(crate) at: BTreeMap<u16, Option<Duration>>,
    pub(crate) asked: u64,
    pub(crate) limited: bool,
}

/// Every bound must hold.
pub(crate) fn latency(bounds: &BTreeMap<u16, Millis>, seen: &LatencySeen) -> Judgement {
    let needed = bounds.keys().map(|tenths| requests_for_percentile(*tenths)).max().unwrap_or(0);
    let figure = |tenths: &u16| seen.at.get(tenths).copied().flatten();
    let words = |tenths: &u16| {
        let value = figure(tenths).map_or_else(|| "failed".to_owned(), time);
        format!("{} {value}", percentile_name(*tenths))
    };
    let measured = bounds.keys().map(words).collect::<Vec<_>>().join(", ");
    let margins = bounds.iter().map(|(tenths, bound)| figure(tenths).map(|got| below(got, bound.as_duration())));
    // A percentile among the failures has no distance, and spoils the whole.
    let margin = margins.collect::<Option<Vec<f64>>>().and_then(|all| all.into_iter().reduce(f64::min));
    let kept = margin.is_some_and(|margin| margin >= 0.0);
    let measured = Measured::new(measured, margin);
    if seen.asked < needed {
        let why = format!("{} requests are too few for this percentile: it takes {needed}", seen.asked);
        return measured.unproven(why, "give the promise a longer `load.duration` or a higher `load.rate`");
    }
    match (kept, seen.limited) {
        (true, _) => measured.held(),
        (false, true) => measured.limited(),
        (false, false) => {
            let over = |(tenths, bound): (&u16, &Millis)| figure(tenths).is_none_or(|got| got > bound.as_duration());
            let names: Vec<String> =
                bounds.iter().filter(|bound| over(*bound)).map(|(tenths, _)| percentile_name(*tenths)).collect();
            measured.broken(format!("{} is above its bound", names.join(" and ")))
        }
    }
}

/// Figures of a throughput experiment.
#[derive(Debug, Clone)]
pub(crate) struct ThroughputSeen {
    /// Right answers a second, over the time until the last of them had come.
    pub(crate) achieved_per_s: f64,
    /// Requests a second that were asked.
    pub(crate) offered_per_s: f64,
    /// The highest rate that was kept up, where higher ones were tried.
    pub(crate) highest_per_s: Option<f64>,
    pub(crate) limited: bool,
}

/// At least the promised rate must be answered rightly.
pub(crate) fn throughput(wanted_per_s: f64, seen: &ThroughputSeen) -> Judgement {
    let best = seen.highest_per_s.unwrap_or(0.0).max(seen.achieved_per_s);
    let margin = Some((best - wanted_per_s) / wanted_per_s);
    let measured = format!("{best:.0}/s");
    let measured = Measured::new(measured, margin);
    if seen.achieved_per_s >= wanted_per_s {
        return measured.held();
    }
    if seen.offered_per_s < wanted_per_s {
        let why = format!("only {:.0}/s were asked", seen.offered_per_s);
        return measured.unproven(why, "leave out `load.rate`, or make it as high as the promise");
    }
    if seen.limited {
        return measured.limited();
    }
    let why = format!("of {:.0}/s asked, {:.0}/s were answered rightly", seen.offered_per_s, seen.achieved_per_s);
    measured.broken(why)
}

/// Figures of a concurrency experiment.
#[derive(Debug, Clone)]
pub(crate) struct ConcurrencySeen {
    /// Requests of all bursts together.
    pub(crate) asked: u64,
    /// Of these, not answered rightly in time.
    pub(crate) failed: u64,
    /// The slowest right answer.
    pub(crate) slowest: Option<Duration>,
    /// The generator released some late.
    pub(crate) limited: bool,
    /// How the promise that must stay unhurt was judged meanwhile.
    pub(crate) meanwhile: Option<Judgement>,
}

/// Everyone must be answered rightly within the time, and the other promise must hold meanwhile.
pub(crate) fn concurrency(within: Duration, seen: &ConcurrencySeen) -> Judgement {
    let slowest = seen.slowest.map_or_else(|| "none was".to_owned(), time);
    let measured = match seen.failed {
        0 => format!("all within {slowest}"),
        failed => format!("{failed} of {} not in time", seen.asked),
    };
    let margin = if seen.failed == 0 { seen.slowest.map(|slowest| below(slowest, within)) } else { None };
    let measured = Measured::new(measured, margin);
    if seen.asked == 0 {
        return measured.nothing_asked();
    }
    if seen.failed > 0 {
        if seen.limited {
            return measured.limited();
        }
        let why = format!("{} of {} were not answered rightly in time", seen.failed, seen.asked);
        return measured.broken(why);
    }
    match &seen.meanwhile {
        Some(other) if other.verdict != Verdict::Held => {
            let why = format!("the other promise meanwhile: {} ({})", other.measured, other.why);
            measured.judged(other.verdict, why, &other.todo)
        }
        _ => measured.held(),
    }
}

/// Figures of an availability experiment.
#[derive(Debug, Clone)]
pub(crate) struct AvailabilitySeen {
    pub(crate) asked: u64,
    pub(crate) failed: u64,
    /// Replicas that were killed.
    pub(crate) kills: u32,
    /// How many were to be.
    pub(crate) wanted: u32,
    pub(crate) limited: bool,
}

/// The share of right answers must be at least `ratio` (a fraction), with 95 % confidence.
pub(crate) fn availability(ratio: f64, seen: &AvailabilitySeen) -> Judgement {
    let budget = 1.0 - ratio;
    let rate = if seen.asked == 0 { 1.0 } else { seen.failed as f64 / seen.asked as f64 };
    let bound = failure_rate_below(seen.failed, seen.asked);
    let measured = format!("{:.3} %", (1.0 - rate) * 100.0);
    let margin = (budget > 0.0 && seen.asked > 0).then(|| (budget - rate) / budget);
    let measured = Measured::new(measured, margin);
    if seen.kills == 0 {
        let why = "no replica could be killed";
        return measured.unproven(why, "see that the service has a ready replica");
    }
    // A whole budget that a failure-free run can't show (100 %) is held by no run at all.
    if seen.asked > 0 && rate <= budget + 1e-12 {
        if seen.kills < seen.wanted {
            return measured.fewer_kills(seen.kills, seen.wanted);
        }
        if bound <= budget * (1.0 + 1e-9) {
            return measured.held();
        }
        let why = match requests_for_rate(budget) {
            u64::MAX => "no number of requests can show 100 %".to_owned(),
            needed => format!(
                "with {} failed of {} the true rate may be {:.3} % at 95 %; without a failure it takes {needed} requests",
                seen.failed,
                seen.asked,
                bound * 100.0
            ),
        };
        return measured.unproven(why, "give the promise a longer `load.duration` or a higher `load.rate`");
    }
    if seen.limited || seen.asked == 0 {
        return measured.limited();
    }
    measured.broken(format!("{} of {} requests failed", seen.failed, seen.asked))
}

/// Figures of a failover experiment.
#[derive(Debug, Clone)]
pub(crate) struct FailoverSeen {
    /// From each kill until the service had as many ready replicas as before; `None`: not in the time waited.
    pub(crate) replaced: Vec<Option<Duration>>,
    /// How many kills were wanted.
    pub(crate) wanted: u32,
    /// How long was waited at most.
    pub(crate) waited: Duration,
}

/// Every killed replica must be replaced within the time.
pub(crate) fn failover(max: Duration, seen: &FailoverSeen) -> Judgement {
    if seen.replaced.is_empty() {
        let todo = "see that the service has a ready replica";
        return Measured::new(String::new(), None).unproven("no replica could be killed", todo);
    }
    let Some(longest) = seen.replaced.iter().copied().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max())
    else {
        let measured = Measured::new(format!("not within {}", time(seen.waited)), None);
        return measured.broken("a killed replica was not replaced");
    };
    let measured = Measured::new(format!("{} at most", time(longest)), Some(below(longest, max)));
    let kills = u32::try_from(seen.replaced.len()).unwrap_or(u32::MAX);
    match () {
        () if longest > max => measured.broken("a replacement took longer"),
        () if kills < seen.wanted => measured.fewer_kills(kills, seen.wanted),
        () => measured.held(),
    }
}

/// Figures of a survival experiment.
#[derive(Debug, Clone)]
pub(crate) struct SurvivalSeen {
    pub(crate) asked: u64,
    /// Replicas whose process is another one than before, or gone.
    pub(crate) changed: Vec<String>,
    /// How long each killed process (engine, gateway) took to be back; `None`: not in the time waited.
    pub(crate) back: BTreeMap<&'static str, Option<Duration>>,
    /// Requests that were in flight when a gateway died, and were lost with it.
    pub(crate) lost_in_flight: u64,
    /// Every other failed request.
    pub(crate) lost_otherwise: u64,
    pub(crate) limited: bool,
}

/// Services must not notice, killed processes must come back, and nothing but requests in flight may be lost.
pub(crate) fn survival(seen: &SurvivalSeen) -> Judgement {
    let lost = seen.lost_in_flight + seen.lost_otherwise;
    let measured = format!("{lost} of {} lost, {} of them in flight", seen.asked, seen.lost_in_flight);
    let measured = Measured::new(measured, None);
    if !seen.changed.is_empty() {
        let why = format!("processes of services changed: {}", seen.changed.join(", "));
        return measured.broken(why);
    }
    let gone: Vec<&str> = seen.back.iter().filter(|(_, back)| back.is_none()).map(|(name, _)| *name).collect();
    if !gone.is_empty() {
        return measured.broken(format!("{} did not come back", gone.join(" and ")));
    }
    if seen.asked == 0 {
        return measured.nothing_asked();
    }
    match (seen.lost_otherwise, seen.limited) {
        (0, _) => measured.held(),
        (_, true) => measured.limited(),
        (more, false) => measured.broken(format!("{more} requests were lost that were not in flight")),
    }
}

/// Figures of an autoscale experiment.
#[derive(Debug, Clone)]
pub(crate) struct AutoscaleSeen {
    /// Seconds after the step in which the objective did not hold, together.
    pub(crate) broken: Duration,
    /// Whether the last second still was one of them: then it is not over.
    pub(crate) still_broken: bool,
    pub(crate) asked: u64,
    /// Replicas that were ready just before the step, and the most that were ready after it.
    pub(crate) ready: (u32, u32),
    pub(crate) limited: bool,
}

/// The step must be caught by more replicas, and the objective broken for no longer than the time.
pub(crate) fn autoscale(max: Duration, seen: &AutoscaleSeen) -> Judgement {
    let (before, after) = seen.ready;
    let seconds = seen.broken.as_secs();
    let measured = format!("{seconds} s broken, {before} to {after} replicas");
    let margin = (!max.is_zero()).then(|| below(seen.broken, max));
    let measured = Measured::new(measured, margin);
    if seen.asked == 0 {
        return measured.nothing_asked();
    }
    let kept = seen.broken <= max && !seen.still_broken;
    match (kept, seen.limited) {
        (true, _) if after <= before => {
            let why = "the step was carried without another replica, so nothing was scaled";
            measured.unproven(why, "raise `load.rate` (that of the step), or lower the autoscaler's target")
        }
        (true, _) => measured.held(),
        (false, true) => measured.limited(),
        (false, false) if seen.still_broken => measured.broken("the objective was still broken at the end"),
        (false, false) => measured.broken(format!("the objective was broken for {seconds} s")),
    }
}

/// How far `got` is below `bound`, as a share of it.
fn below(got: Duration, bound: Duration) -> f64 {
    let bound = bound.as_secs_f64();
    if bound > 0.0 { (bound - got.as_secs_f64()) / bound } else { -1.0 }
}

#[cfg(test)]
#[path = "judge/tests.rs"]
mod tests;
