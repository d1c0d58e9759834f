//! The one owner of a service's number of replicas: Kubernetes' metrics, traffic, schedules, former weeks and people together.
//!
//! Every source proposes, the highest proposal counts, and the bounds in force have the last word.
//!
//! Invariant: the answer lies within the bounds in force, except that a service switched off (0 replicas that nobody
//! here decided on) stays off, as in Kubernetes.
//! Invariant: deciding again at the same instant, after applying, changes nothing.

use super::manual::Manual;
use super::schedule::Schedule;
use super::trail::Trail;
use super::{history, hpa, policy, seen, traffic};
use plimsoll_model::Instant;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// Everything that may move the number.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Usually not fewer.
    pub min_replicas: u32,
    /// Usually not more; at least `min_replicas` and at most `i32::MAX`, checked by `spec`.
    pub max_replicas: u32,
    /// Kubernetes' metrics. Its own bounds are not looked at: those in force here hold.
    pub hpa: Option<policy::Policy>,
    /// What the gateway sees.
    pub traffic: Option<traffic::Policy>,
    /// Other bounds at certain hours. Where several hold, the highest floor and the highest ceiling count.
    pub schedules: Vec<Schedule>,
}

/// The version of [`Memory`] that this code writes.
pub const MEMORY_VERSION: u16 = 1;

/// What is carried from one decision to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The shape of this value; counts up with every change of meaning.
    pub version: u16,
    /// Of the Kubernetes part.
    pub hpa: history::Memory,
    /// When the Kubernetes part looks again. None: at once.
    pub hpa_at: Option<Instant>,
    /// What it last asked for.
    pub hpa_wants: Option<u32>,
    /// Of the traffic part.
    pub traffic: traffic::Memory,
    /// What a person set, until it expires.
    pub manual: Option<Manual>,
    /// Zero was decided here, so that it is left again when there is need.
    pub zero_is_ours: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            version: MEMORY_VERSION,
            hpa: history::Memory::default(),
            hpa_at: None,
            hpa_wants: None,
            traffic: traffic::Memory::default(),
            manual: None,
            zero_is_ours: false,
        }
    }
}

/// What a world tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// For the Kubernetes part, with the instant and the number last asked for. The readings may be empty when it does
    /// not look yet (see [`Memory::hpa_at`]).
    pub hpa: seen::Seen,
    /// For the traffic part.
    pub traffic: traffic::Seen,
    /// What former weeks let expect (see [`super::prediction`]): not fewer, as far as the bounds allow. 0: nothing.
    #[serde(default)]
    pub predicted: u32,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Leave the number.
    Keep,
    /// Ask for so many.
    ScaleTo(u32),
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The number cannot be read.
    Unreadable,
    /// Somebody set it to 0: it stays.
    SwitchedOff,
    /// The bounds in force.
    Bounds,
    /// The bounds set by a person.
    Manual,
    /// The bounds of a schedule.
    Schedule,
    /// What is expected from former weeks.
    Prediction,
    /// Kubernetes' metrics.
    Metrics,
    /// Traffic.
    Traffic(traffic::Mood),
    /// No source asks for anything.
    Settled,
}

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What to do.
    pub act: Act,
    /// What decided.
    pub reason: Reason,
    /// The bounds in force.
    pub bounds: (u32, u32),
    /// Kubernetes' conditions, when that part looked.
    pub hpa: Option<hpa::Decision>,
    /// Replicas that load alone asks for, whatever bounds, windows and forecasts say. None: nobody looked at it now.
    #[serde(default)]
    pub needed: Option<u32>,
    /// The arithmetic, line by line, when it was asked for.
    pub steps: Vec<String>,
    /// When to ask again at the latest. None: when something is seen.
    pub again_at: Option<Instant>,
}

/// The bounds in force, who set them, and when that changes.
struct Bounds {
    min: u32,
    /// At least `min`; more where more is expected.
    floor: u32,
    max: u32,
    by: Reason,
    until: Option<Instant>,
}

/// Decides how many replicas there should be.
pub fn decide(policy: &Policy, memory: &mut Memory, seen: &Seen) -> Decision {
    let at = seen.hpa.at;
    let mut trail = Trail::new(seen.hpa.explain);
    let bounds = bounds(policy, memory, (at, seen.predicted), &mut trail);
    let mut decision = Decision {
        act: Act::Keep,
        reason: Reason::Unreadable,
        bounds: (bounds.floor, bounds.max),
        hpa: None,
        needed: None,
        steps: vec![],
        again_at: bounds.until,
    };
    if let Some(current) = seen.hpa.spec_replicas.map(|count| u32::try_from(count).unwrap_or(0)) {
        if current > 0 {
            memory.zero_is_ours = false;
        }
        let (desired, reason) = if current == 0 && is_off(policy, memory) {
            trail.add(|| "switched off: 0 replicas were asked for by hand".to_owned());
            (0, Reason::SwitchedOff)
        } else {
            weigh(policy, memory, seen, (current, &bounds), (&mut decision, &mut trail))
        };
        settle(policy, memory, (current, desired), (at, &mut decision));
        decision.reason = reason;
        trail.add(
            || if desired == current { format!("keep {current}") } else { format!("{current} becomes {desired}") },
        );
    }
    decision.again_at =
        earliest([decision.again_at, memory.hpa_at.filter(|_| policy.hpa.is_some()), look(policy, seen)]);
    decision.steps = trail.into_lines();
    decision
}

/// Whether zero means "off": nobody here decided on it, and nothing here may leave it.
fn is_off(policy: &Policy, memory: &Memory) -> bool {
    let may_wake = policy.traffic.is_some() && policy.min_replicas == 0;
    let moved = memory.manual.as_ref().is_some_and(|manual| manual.min_replicas > 0);
    !memory.zero_is_ours && !may_wake && !moved
}

fn bounds(policy: &Policy, memory: &mut Memory, (at, predicted): (Instant, u32), trail: &mut Trail) -> Bounds {
    let (min, max) = (policy.min_replicas, policy.max_replicas);
    let mut bounds = Bounds { min, floor: min, max, by: Reason::Bounds, until: None };
    let (mut floor, mut ceiling) = (None, None);
    for schedule in &policy.schedules {
        let (in_force, until) = schedule.at(at);
        bounds.until = earliest([bounds.until, until, None]);
        if in_force {
            floor = floor.max(schedule.spec.min_replicas);
            ceiling = ceiling.max(schedule.spec.max_replicas);
            bounds.by = Reason::Schedule;
        }
    }
    bounds.min = floor.unwrap_or(bounds.min);
    bounds.max = ceiling.unwrap_or(bounds.max).max(bounds.min);
    if memory.manual.as_ref().is_some_and(|manual| manual.until <= at) {
        memory.manual = None;
        trail.add(|| "the bounds set by hand have expired".to_owned());
    }
    if let Some(manual) = &memory.manual {
        bounds.min = manual.min_replicas;
        bounds.max = manual.max_replicas.max(manual.min_replicas);
        bounds.by = Reason::Manual;
        bounds.until = earliest([bounds.until, Some(manual.until), None]);
        trail.add(|| format!("set by hand ({}): {} to {}", manual.by, manual.min_replicas, manual.max_replicas));
    }
    trail.add(|| format!("bounds in force: {} to {}", bounds.min, bounds.max));
    bounds.floor = predicted.clamp(bounds.min, bounds.max);
    if bounds.floor > bounds.min {
        trail.add(|| {
            format!("prediction: former weeks needed {predicted} at this time: not fewer than {}", bounds.floor)
        });
    }
    bounds
}

/// The highest proposal, within the bounds.
fn weigh(
    policy: &Policy,
    memory: &mut Memory,
    seen: &Seen,
    (current, bounds): (u32, &Bounds),
    (decision, trail): (&mut Decision, &mut Trail),
) -> (u32, Reason) {
    let metrics = policy.hpa.as_ref().and_then(|own| look_at_metrics(own, memory, seen, bounds, (decision, trail)));
    let traffic = policy
        .traffic
        .as_ref()
        .map(|own| traffic::wanted(own, &mut memory.traffic, &seen.traffic, (seen.hpa.at, current), trail));
    let raw = policy.traffic.as_ref().filter(|_| current > 0 || !seen.traffic.samples.is_empty());
    decision.needed = decision.needed.max(raw.map(|own| traffic::needed(own, &memory.traffic, seen.hpa.at)));
    let proposals =
        [metrics.map(|count| (count, Reason::Metrics)), traffic.map(|(count, mood)| (count, Reason::Traffic(mood)))];
    // The first of equals counts, so the reason does not change from look to look.
    let highest = proposals.into_iter().flatten().min_by_key(|(count, _)| Reverse(*count));
    let (wanted, reason) = highest.unwrap_or((current, Reason::Settled));
    let desired = wanted.clamp(bounds.floor, bounds.max);
    if desired == wanted {
        return (desired, reason);
    }
    if wanted < bounds.floor && bounds.floor > bounds.min {
        trail.add(|| format!("{wanted} is fewer than expected: {desired}"));
        return (desired, Reason::Prediction);
    }
    trail.add(|| format!("{wanted} is outside the bounds: {desired}"));
    (desired, bounds.by)
}

/// What Kubernetes' metrics ask for; between two looks, what they last asked for.
fn look_at_metrics(
    own: &policy::Policy,
    memory: &mut Memory,
    seen: &Seen,
    bounds: &Bounds,
    (decision, trail): (&mut Decision, &mut Trail),
) -> Option<u32> {
    if memory.hpa_at.is_none_or(|due| due <= seen.hpa.at) {
        let narrow = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        let own = policy::Policy { min_replicas: narrow(bounds.min), max_replicas: narrow(bounds.max), ..own.clone() };
        let answer = hpa::decide(&own, &mut memory.hpa, &seen.hpa);
        // The number may yet be raised by another source: what was really done is remembered by `settle`.
        hpa::take_back(&own, &mut memory.hpa, &answer, &seen.hpa);
        for step in &answer.steps {
            trail.add(|| step.clone());
        }
        memory.hpa_at = Some(answer.again_at);
        let asked = answer.proposals.iter().flatten().max();
        decision.needed = asked.and_then(|count| u32::try_from(*count).ok());
        memory.hpa_wants = answer.replicas.and_then(|count| u32::try_from(count).ok());
        decision.hpa = Some(answer);
    }
    memory.hpa_wants
}

/// Takes the answer as carried out.
fn settle(
    policy: &Policy,
    memory: &mut Memory,
    (current, desired): (u32, u32),
    (at, decision): (Instant, &mut Decision),
) {
    if desired == current {
        return;
    }
    decision.act = Act::ScaleTo(desired);
    memory.zero_is_ours = desired == 0;
    if let Some(own) = &policy.hpa {
        hpa::remember_change(own, &mut memory.hpa, (current as i32, desired as i32), at);
    }
}

/// When averages are old enough to be looked at again though nothing is seen.
fn look(policy: &Policy, seen: &Seen) -> Option<Instant> {
    let running = seen.hpa.spec_replicas.is_some_and(|count| count > 0);
    policy.traffic.as_ref().filter(|_| running).map(|_| seen.hpa.at.after(plimsoll_model::Millis::from_secs(1)))
}

fn earliest(instants: [Option<Instant>; 3]) -> Option<Instant> {
    instants.into_iter().flatten().min()
}
