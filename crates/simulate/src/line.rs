//! The load line: the highest load at which every promise still holds, and what breaks first above it.

use crate::{
    fluid::Fluid,
    plan::{MS, Plan, PlanError, SECOND, ns as in_ns},
    predict::Basis,
    world::Figures,
};
use plimsoll_model::{promise::Kind, simulation::Arrivals};
use serde::Serialize;

/// What is counted out at the beginning of each try, so that autoscalers have caught up.
const SETTLE_NS: u64 = 600 * SECOND;
/// What is counted.
const COUNT_NS: u64 = 120 * SECOND;
/// Without a promise that says otherwise, so many failures in a thousand are too many.
const FAILED_PER_MILLE: u64 = 1;

/// The load line of a system.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadLine {
    /// People, or times the usual traffic where the scenario has none: the most at which everything holds; 0: nothing does.
    pub holds: u64,
    /// The fewest that were tried and are too many; `None`: even the upper end holds.
    pub breaks: Option<u64>,
    /// What breaks there, each with its figure.
    pub first: Vec<String>,
    /// What is nearest to its limit there, and how near.
    pub busiest: (String, f64),
    /// Every load that was tried, whether it held, in the order of tries.
    pub tried: Vec<(u64, bool)>,
}

/// Finds the load line between two numbers of people. Streams without people grow with them.
///
/// # Errors
/// The scenario can't be simulated, or has no people.
pub fn load_line(basis: Basis<'_>, (from, to): (u64, u64)) -> Result<LoadLine, PlanError> {
    let people: u64 = basis.scenario.traffic.values().map(|traffic| users(&traffic.arrivals)).sum();
    if people == 0 {
        return Err(PlanError(vec![
            "no stream of this scenario has `users`, so there is nothing to be counted".into(),
        ]));
    }
    let mut line =
        LoadLine { holds: 0, breaks: None, first: Vec::new(), busiest: Default::default(), tried: Vec::new() };
    let mut load = from.max(1);
    loop {
        line.try_load(basis, (load, people))?;
        if line.breaks.is_some() || load >= to {
            break;
        }
        load = load.saturating_mul(2).min(to);
    }
    // Between what holds and what does not, to within one in fifty.
    while let Some(breaks) = line.breaks
        && breaks - line.holds > (breaks / 50).max(1)
        && line.holds > 0
    {
        line.try_load(basis, (line.holds.midpoint(breaks), people))?;
    }
    Ok(line)
}

impl LoadLine {
    fn try_load(&mut self, basis: Basis<'_>, (load, people): (u64, u64)) -> Result<(), PlanError> {
        let mut plan = Plan::of(basis.system, basis.scenario, basis.traces, basis.seed)?;
        let scale = load as f64 / people as f64;
        for source in &mut plan.sources {
            // A load line is one of a load that stays: what comes at certain hours, or in spikes, is another question.
            source.course = source.course.steady();
            match &mut source.users {
                Some((count, _, _)) => *count = (f64::from(*count) * scale).max(1.0) as u32,
                None => source.course = source.course.clone().scaled(scale),
            }
        }
        plan.faults.clear();
        (plan.warm_up_ns, plan.until_ns) = (SETTLE_NS, SETTLE_NS + COUNT_NS);
        let mut fluid = Fluid::new(plan);
        fluid.run();
        let broken = broken(basis, fluid.figures());
        self.tried.push((load, broken.is_empty()));
        if broken.is_empty() {
            self.holds = self.holds.max(load);
        } else if self.breaks.is_none_or(|known| load < known) {
            (self.breaks, self.first, self.busiest) = (Some(load), broken, fluid.busiest());
        }
        Ok(())
    }
}

fn users(arrivals: &Arrivals) -> u64 {
    match arrivals {
        Arrivals::Users { count, .. } => u64::from(*count),
        _ => 0,
    }
}

/// What does not hold under this traffic, each with its figure.
fn broken(basis: Basis<'_>, figures: &Figures) -> Vec<String> {
    let mut broken = Vec::new();
    for own in &figures.sources {
        let most = own.ended() * FAILED_PER_MILLE / 1000;
        if own.failed() > most {
            broken.push(format!("{}: {} of {} requests fail", own.name, own.failed(), own.ended()));
        }
    }
    for (name, promise) in &basis.system.promises {
        let Kind::Latency { route, percentiles } = &promise.kind else { continue };
        for own in figures.sources.iter().filter(|own| own.route == *route) {
            for (percentile, most) in percentiles {
                let Some(ns) = own.latency.percentile_ns(u64::from(*percentile)) else { continue };
                if ns > in_ns(*most) {
                    let words = crate::predict::words(*percentile);
                    broken.push(format!("{name}: {words} {:.1} ms of {most}", ns as f64 / MS as f64));
                }
            }
        }
    }
    broken
}

/// The load line as text.
#[must_use]
pub fn load_line_text(line: &LoadLine) -> String {
    let mut out = String::new();
    for (load, held) in &line.tried {
        out.push_str(&format!("{load:>10} people: {}\n", if *held { "every promise holds" } else { "broken" }));
    }
    out.push_str(&match line.breaks {
        None => format!("\nload line: {} people at least, the most that was tried; nothing breaks there\n", line.holds),
        Some(breaks) => format!(
            "\nload line: {} people; at {breaks} breaks first: {}; {} is used to {:.0} %\n",
            line.holds,
            line.first.join("; "),
            line.busiest.0,
            line.busiest.1 * 100.0
        ),
    });
    out
}
