//! From what the metrics ask for to what is allowed: stabilisation windows, rates and bounds.
//!
//! Source: `normalizeDesiredReplicas…`, `stabilizeRecommendation…` and `convertDesiredReplicas…` of Kubernetes 1.36.
//! Invariant: what comes out lies within the policy's bounds when the current number does.

use super::condition::Reason;
use super::history::{Event, Recommendation, allowed, changed_within, seconds, store};
use super::policy::{Rules, Select};
use super::trail::Trail;
use plimsoll_model::{Instant, Millis};

/// The bounds of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Never fewer.
    pub min: i32,
    /// Never more.
    pub max: i32,
}

/// Without behaviour: the highest proposal of the window counts, and this one is stored.
pub fn stabilise(proposal: i32, window: Millis, at: Instant, recommendations: &mut Vec<Recommendation>) -> i32 {
    let old = |one: &Recommendation| one.at.after(window) < at;
    let young = recommendations.iter().filter(|one| !old(one));
    let highest = young.map(|one| one.replicas).fold(proposal, i32::max);
    store(recommendations, Recommendation { replicas: proposal, at }, old);
    highest
}

/// With behaviour: up only to the lowest proposal of the window for up, down only to the highest of that for down.
pub fn stabilise_both(
    (current, proposal): (i32, i32),
    (up, down): (Millis, Millis),
    at: Instant,
    recommendations: &mut Vec<Recommendation>,
) -> i32 {
    let (mut low, mut high) = (proposal, proposal);
    for one in recommendations.iter() {
        if at < one.at.after(up) {
            low = low.min(one.replicas);
        }
        if at < one.at.after(down) {
            high = high.max(one.replicas);
        }
    }
    let old = |one: &Recommendation| one.at.after(up) < at && one.at.after(down) < at;
    store(recommendations, Recommendation { replicas: proposal, at }, old);
    current.max(low).min(high)
}

/// Without behaviour: the bounds, and not beyond `factor` times the current number (or 4) at once.
#[must_use]
pub fn limit(current: i32, desired: i32, bounds: Bounds, factor: f64) -> (i32, Reason) {
    let step = (factor * f64::from(current)).max(4.0) as i32;
    let (most, cut) =
        if bounds.max > step { (step, Reason::ScaleUpLimit) } else { (bounds.max, Reason::TooManyReplicas) };
    if desired < bounds.min {
        (bounds.min, Reason::TooFewReplicas)
    } else if desired > most {
        (most, cut)
    } else {
        (desired, Reason::DesiredWithinRange)
    }
}

/// The changes already made, upwards and downwards.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    /// Upwards.
    pub ups: &'a [Event],
    /// Downwards.
    pub downs: &'a [Event],
    /// Now.
    pub at: Instant,
}

/// With behaviour: the bounds, and the rates of the direction in which it goes. `rules` are those for up and for down.
#[must_use]
pub fn limit_rate(
    (current, desired): (i32, i32),
    bounds: Bounds,
    (up, down): (&Rules, &Rules),
    made: Made<'_>,
    trail: &mut Trail,
) -> (i32, Reason) {
    if desired > current {
        let rate = rate(current, up, made, true).max(current);
        trail.add(|| format!("rates: up to {rate} from {current} now"));
        let (most, cut) =
            if bounds.max > rate { (rate, Reason::ScaleUpLimit) } else { (bounds.max, Reason::TooManyReplicas) };
        if desired > most {
            return (most, cut);
        }
    } else if desired < current {
        let rate = rate(current, down, made, false).min(current);
        trail.add(|| format!("rates: down to {rate} from {current} now"));
        let (least, cut) =
            if bounds.min < rate { (rate, Reason::ScaleDownLimit) } else { (bounds.min, Reason::TooFewReplicas) };
        if desired < least {
            return (least, cut);
        }
    }
    (desired, Reason::DesiredWithinRange)
}

/// How far the policies of one direction let the number go.
fn rate(current: i32, rules: &Rules, made: Made<'_>, up: bool) -> i32 {
    let numbers = rules.policies.iter().map(|pace| {
        let (added, removed) =
            (changed_within(made.ups, pace.period_s, made.at), changed_within(made.downs, pace.period_s, made.at));
        allowed(pace, current, (added, removed), up)
    });
    // "Max" is the greatest change: the highest number on the way up, the lowest on the way down.
    let chosen = match (rules.select_policy, up) {
        (Select::Disabled, _) => None,
        (Select::Max, true) | (Select::Min, false) => numbers.max(),
        (Select::Min, true) | (Select::Max, false) => numbers.min(),
    };
    chosen.unwrap_or(current)
}

/// The windows of a behaviour, for up and for down.
#[must_use]
pub fn windows((up, down): (&Rules, &Rules), downscale: Millis) -> (Millis, Millis) {
    (up.window_s.map_or(Millis(0), seconds), down.window_s.map_or(downscale, seconds))
}
