//! What an autoscaler remembers: proposals not yet acted on, and its own changes.
//!
//! Source: `recommendations` and `scaleUpEvents`/`scaleDownEvents` of Kubernetes 1.36. A slot that is too old is used
//! again, so both lists stay about as long as one window holds looks.

use super::condition::Condition;
use super::policy::{Pace, PaceUnit};
use plimsoll_model::{Instant, Millis};
use serde::{Deserialize, Serialize};

/// What is carried from one decision to the next. A version that is not known is refused by the reader of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The shape of this value; counts up with every change of meaning.
    pub version: u16,
    /// Proposals before stabilisation. None until the first look, which puts the current number in, so that a restart
    /// delays shrinking by a whole window.
    pub recommendations: Option<Vec<Recommendation>>,
    /// Changes upwards, while there is behaviour.
    pub ups: Vec<Event>,
    /// Changes downwards, while there is behaviour.
    pub downs: Vec<Event>,
    /// What was last said.
    pub conditions: Vec<Condition>,
}

/// The version that this code writes.
pub const MEMORY_VERSION: u16 = 1;

impl Default for Memory {
    fn default() -> Self {
        Self { version: MEMORY_VERSION, recommendations: None, ups: vec![], downs: vec![], conditions: vec![] }
    }
}

/// What the metrics asked for at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    /// So many replicas.
    pub replicas: i32,
    /// When.
    pub at: Instant,
}

/// A change that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// By how many, above 0.
    pub change: i32,
    /// When.
    pub at: Instant,
    /// Older than every period that could ask for it: its slot may be used again.
    pub outdated: bool,
}

/// Whole seconds as written in a policy; below 0 counts as 0.
pub(super) fn seconds(count: i32) -> Millis {
    Millis::from_secs(u64::try_from(count).unwrap_or(0))
}

/// Puts `new` into the last slot that is free, or at the end.
pub(super) fn store<T>(list: &mut Vec<T>, new: T, is_free: impl Fn(&T) -> bool) {
    match list.iter_mut().rfind(|old| is_free(old)) {
        Some(slot) => *slot = new,
        None => list.push(new),
    }
}

/// How many replicas `events` changed within the last `period_s` seconds; exactly at its end is out.
#[must_use]
pub fn changed_within(events: &[Event], period_s: i32, at: Instant) -> i32 {
    let within = events.iter().filter(|event| at < event.at.after(seconds(period_s)));
    within.fold(0, |sum, event| sum.saturating_add(event.change))
}

/// Remembers a change for the policies of its direction.
pub fn remember(events: &mut Vec<Event>, change: i32, policies: &[Pace], at: Instant) {
    let longest = seconds(policies.iter().map(|pace| pace.period_s).max().unwrap_or(0));
    for event in &mut *events {
        event.outdated |= event.at.after(longest) < at;
    }
    store(events, Event { change, at, outdated: false }, |event| event.outdated);
}

/// The number that `pace` allows, from `current` replicas of which `added` and `removed` came and went in its period.
pub(super) fn allowed(pace: &Pace, current: i32, (added, removed): (i32, i32), up: bool) -> i32 {
    let base = current.saturating_sub(added).saturating_add(removed);
    let share = f64::from(pace.value) / 100.0;
    match (pace.unit, up) {
        (PaceUnit::Pods, true) => base.saturating_add(pace.value),
        (PaceUnit::Pods, false) => base.saturating_sub(pace.value),
        (PaceUnit::Percent, true) => (f64::from(base) * (1.0 + share)).ceil() as i32,
        // Cut toward zero, so at least the percentage may go.
        (PaceUnit::Percent, false) => (f64::from(base) * (1.0 - share)) as i32,
    }
}
