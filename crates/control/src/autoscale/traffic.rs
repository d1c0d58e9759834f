//! Scaling by what the gateway sees: requests per second or requests in flight, for each replica.
//!
//! Source: Knative's KPA (a stable window, a panic window that only grows), with one change: the panic window is as
//! short as the evidence allows (from one sample of 50 ms), so that a step is answered at once under much traffic and
//! chance is not taken for a step under little.
//! Invariant: while it panics it never asks for fewer than before.

mod window;

pub use window::{Memory, Sample};

use super::trail::Trail;
use plimsoll_model::{Instant, Millis};
use serde::{Deserialize, Serialize};

/// What to hold each replica at, and how to look. At least one target is given; `spec` checks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    /// Thousandths of a request per second for each replica, above 0.
    pub requests_per_second: Option<u64>,
    /// Thousandths of a request in flight for each replica, above 0.
    pub concurrency: Option<u64>,
    /// Over how long the calm answer is averaged. Knative: 60 s.
    pub stable_window: Millis,
    /// At most over how long the alarmed answer is averaged. Knative: 10 % of the stable window.
    pub panic_window: Millis,
    /// Panic at so many percent of the load that the ready replicas would carry on target. Knative: 200, but of whole
    /// replicas; by that one replica just above its target would already panic.
    pub panic_threshold_percent: u64,
    /// Fewer requests than this say nothing yet: the panic window is lengthened until it holds so many.
    /// 60: at a load just on target, chance alone doubles it about once in a million windows.
    pub panic_evidence: u64,
    /// The same where the load is three times what the ready replicas would carry on target, by which fewer requests say as
    /// much. 32: three times what is expected comes by chance about once in ten million windows; fewer could be one page
    /// with all that it needs.
    pub leap_evidence: u64,
    /// At most so many times the ready replicas at once. Knative: 1000.
    pub up_rate_max: u64,
    /// At least one in so many of the ready replicas stays at each look. Knative: 2.
    pub down_rate_max: u64,
    /// It shrinks only to where this much more load would still be on target: keeps it from going to and fro.
    pub slack_percent: u64,
    /// Without any request for so long, the last replica goes (where the bounds allow zero). Knative: 30 s.
    pub idle_after: Millis,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            requests_per_second: None,
            concurrency: None,
            stable_window: Millis::from_secs(60),
            panic_window: Millis::from_secs(6),
            panic_threshold_percent: 200,
            panic_evidence: 60,
            leap_evidence: 32,
            up_rate_max: 1000,
            down_rate_max: 2,
            slack_percent: 10,
            idle_after: Millis::from_secs(30),
        }
    }
}

/// What the gateway and the replicas look like now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Samples since the last decision, oldest first. Times without a sample count as idle.
    pub samples: Vec<Sample>,
    /// Replicas that take requests.
    pub ready: u32,
    /// Requests that the gateway holds because nobody can take them.
    pub waiting: u32,
}

/// Why so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mood {
    /// By the stable window.
    Calm,
    /// By the panic window: a step up.
    Panic,
    /// Nothing asked for it for long enough.
    Idle,
    /// Requests wait and nothing is there.
    Wake,
}

/// The number of replicas that traffic asks for, before bounds.
pub fn wanted(
    policy: &Policy,
    memory: &mut Memory,
    seen: &Seen,
    (at, current): (Instant, u32),
    trail: &mut Trail,
) -> (u32, Mood) {
    memory.fold(policy, &seen.samples);
    memory.forget(policy, at);
    if current == 0 {
        if seen.waiting == 0 {
            trail.add(|| "traffic: nothing runs and nothing waits".to_owned());
            return (0, Mood::Idle);
        }
        let first = policy.concurrency.map_or(1, |target| (u64::from(seen.waiting) * 1000).div_ceil(target));
        let replicas = narrow(first.max(1));
        trail.add(|| format!("traffic: {} requests wait and nothing runs: {replicas}", seen.waiting));
        return (replicas, Mood::Wake);
    }
    let ready = u64::from(seen.ready.max(1));
    let calm = memory.stable_average(policy, at);
    let alarm = memory.panic_average(policy, ready, at);
    let grow = calm.replicas(policy, 100);
    let calm_wants = if grow >= u64::from(current) {
        grow
    } else {
        calm.replicas(policy, 100 + policy.slack_percent).min(u64::from(current))
    };
    let held =
        |wants: u64| wants.max(ready / policy.down_rate_max.max(1)).min(ready.saturating_mul(policy.up_rate_max));
    let (calm_wants, alarm_wants) = (held(calm_wants), held(alarm.replicas(policy, 100)));
    trail.add(|| {
        format!("traffic: {calm} over the stable window: {calm_wants}; {alarm} over the panic window: {alarm_wants}")
    });

    let alarmed =
        alarm.evident(policy, ready) && alarm.exceeds(policy, ready.saturating_mul(policy.panic_threshold_percent));
    if alarmed {
        memory.panic_since = Some(at);
    } else if memory.panic_since.is_some_and(|since| since.after(policy.stable_window) <= at) {
        memory.panic_since = None;
        memory.panic_peak = 0;
    }
    if memory.panic_since.is_some() {
        memory.panic_peak = memory.panic_peak.max(narrow(calm_wants.max(alarm_wants))).max(current);
        let peak = memory.panic_peak;
        trail.add(|| format!("traffic: panic ({ready} ready): not fewer than {peak}"));
        return (peak, Mood::Panic);
    }
    settle(policy, memory, seen, (at, narrow(calm_wants)), trail)
}

/// The number of replicas that the stable window's load needs on target, without what keeps a number from moving.
#[must_use]
pub fn needed(policy: &Policy, memory: &Memory, at: Instant) -> u32 {
    narrow(memory.stable_average(policy, at).replicas(policy, 100))
}

/// Calm: zero only after a time without any request.
fn settle(
    policy: &Policy,
    memory: &Memory,
    seen: &Seen,
    (at, wants): (Instant, u32),
    trail: &mut Trail,
) -> (u32, Mood) {
    if wants > 0 {
        return (wants, Mood::Calm);
    }
    let quiet_since = memory.active_at.or(memory.first_at).unwrap_or(at);
    if seen.waiting == 0 && quiet_since.after(policy.idle_after) <= at {
        trail.add(|| format!("traffic: no request for {}: none is needed", at.since(quiet_since)));
        return (0, Mood::Idle);
    }
    (1, Mood::Calm)
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
