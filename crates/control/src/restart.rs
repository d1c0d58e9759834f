//! What becomes of a replica whose process ended: started again at once, later, or never.
//!
//! The back-off is kubelet's: the first restart at once, then 10 s, 20 s … 300 s after the end, forgotten when a
//! process ends more than 600 s after the last restart. One difference on purpose: a replica that had been ready for
//! `stable_after` (10 s) is replaced at once and its back-off is forgotten, as the replacement of a deleted Pod would
//! have none. Whoever crashes before that is backed off.
//!
//! Invariant: a wait is one of 0, 10, 20, 40, 80, 160, 300 s after the end.
//! Invariant: deciding again about the same end gives the same moment.
//! Invariant: only the restart policy, or our own wish that it stops, makes a replica stay ended.

mod words;

use plimsoll_model::{Bytes, Instant, Millis, service::RestartPolicy};
use serde::{Deserialize, Serialize};

/// The first wait of a crash loop (kubelet's `backOffPeriod`).
pub const BACK_OFF_FIRST: Millis = Millis::from_secs(10);
/// The longest wait (kubelet's `MaxContainerBackOff`).
pub const BACK_OFF_MAX: Millis = Millis::from_secs(300);
/// A process that ends so long after the last restart begins anew; fixed in kubelet, whatever the longest wait.
pub const FORGET_AFTER: Millis = Millis::from_secs(600);
/// A replica that was ready for so long did not fail to start.
pub const STABLE_AFTER: Millis = Millis::from_secs(10);

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// When a process that ended is started again.
    pub restart: RestartPolicy,
    /// A replica that had been ready for so long is replaced at once. Default 10 s.
    pub stable_after: Millis,
}

impl Default for Policy {
    fn default() -> Self {
        Self { restart: RestartPolicy::Always, stable_after: STABLE_AFTER }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExitSeen {
    /// Its exit code; `None` when a signal ended it, or when it is not known.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The kernel killed it for want of memory.
    pub oom: bool,
    /// The most memory that it had; `None`: not known, or recorded before this was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak: Option<Bytes>,
    /// The most memory that it was allowed; `None`: as much as there is, or recorded before this was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<Bytes>,
    /// We stopped it, and want it to stay stopped.
    pub by_us: bool,
    /// We stopped it because a startup or liveness probe failed.
    pub probe_kill: bool,
}

/// What is known when it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Now.
    pub at: Instant,
    /// When the process ended. Two ends of one replica never have the same moment.
    pub exited_at: Instant,
    /// How it ended.
    pub exit: ExitSeen,
    /// How long it had been ready without a break when it ended; 0 when it was not ready.
    pub ready_for: Millis,
    /// How long it ran.
    pub ran_for: Millis,
}

/// What is carried from one end to the next, for one replica. Belongs to one revision: a new one begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The shape of this value; counts up with every change of meaning.
    pub version: u16,
    /// The wait that the next end brings; `None`: none, the next restart is at once.
    pub wait: Option<Millis>,
    /// When it was last started again, or will be.
    pub restart_at: Instant,
    /// The end that was last decided about.
    pub exited_at: Option<Instant>,
    /// Restarts in a row without a stable time between them.
    pub in_a_row: u32,
}

/// The version of [`Memory`] that this code writes.
pub const MEMORY_VERSION: u16 = 1;

impl Default for Memory {
    fn default() -> Self {
        Self { version: MEMORY_VERSION, wait: None, restart_at: Instant(0), exited_at: None, in_a_row: 0 }
    }
}

/// When it is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Act {
    /// Now.
    Now,
    /// Then; until then it is in `BackOff`.
    At(Instant),
    /// It stays ended.
    Never,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When it is started again.
    pub act: Act,
    /// For a person: how it ended, and what follows.
    pub reason: String,
    /// When to ask again; `None`: there is nothing to wait for.
    pub again_at: Option<Instant>,
}

/// Decides about one end of one replica.
pub fn decide(policy: &Policy, memory: &mut Memory, seen: &Seen) -> Decision {
    let ended = words::ended(seen);
    if let Some(why) = stays_ended(policy, seen) {
        memory.exited_at = Some(seen.exited_at);
        return Decision { act: Act::Never, reason: format!("{ended}; {why}"), again_at: None };
    }
    if memory.exited_at != Some(seen.exited_at) {
        remember(policy, memory, seen);
    }
    if memory.in_a_row == 0 {
        let reason = format!("{ended} after being ready for {}: replaced at once", seen.ready_for);
        return Decision { act: Act::Now, reason, again_at: None };
    }
    let nth = memory.in_a_row;
    if memory.restart_at <= seen.at {
        return Decision { act: Act::Now, reason: format!("{ended}; restart {nth} in a row, now"), again_at: None };
    }
    let wait = memory.restart_at.since(seen.exited_at.min(seen.at));
    let reason = format!("{ended}; restart {nth} in a row, {wait} after it ended (CrashLoopBackOff)");
    Decision { act: Act::At(memory.restart_at), reason, again_at: Some(memory.restart_at) }
}

/// Whether a process ended as one should that has done its work.
#[must_use]
pub fn ended_well(exit: &ExitSeen) -> bool {
    exit.code == Some(0) && !exit.oom && !exit.probe_kill
}

/// Whether an end speaks against the version that ended, when nobody wanted it to stop: it exited, was ended for something
/// that it did itself (a fault, a limit of its own), ran out of memory, or no longer answered its probe. A signal that
/// somebody sends (a person, `prove`, whoever watches the machine) does not, nor does an end that nobody saw.
#[must_use]
pub fn ended_by_itself(exit: &ExitSeen) -> bool {
    if exit.probe_kill || exit.oom {
        return true;
    }
    !exit.by_us && (exit.code.is_some() || exit.signal.is_some_and(words::is_own))
}

/// Why it stays ended; `None` when it does not.
fn stays_ended(policy: &Policy, seen: &Seen) -> Option<&'static str> {
    if seen.exit.probe_kill {
        // As kubelet: a failed probe restarts under OnFailure too, whatever code the process ended with.
        return (policy.restart == RestartPolicy::Never).then_some("its restart policy is Never");
    }
    if seen.exit.by_us {
        return Some("it was stopped on purpose");
    }
    match policy.restart {
        RestartPolicy::Always => None,
        RestartPolicy::OnFailure => (seen.exit.code == Some(0)).then_some("its restart policy is OnFailure"),
        RestartPolicy::Never => Some("its restart policy is Never"),
    }
}

/// Takes in an end that was not decided about before.
fn remember(policy: &Policy, memory: &mut Memory, seen: &Seen) {
    memory.exited_at = Some(seen.exited_at);
    if seen.ready_for >= policy.stable_after {
        *memory = Memory { exited_at: memory.exited_at, restart_at: seen.at, ..Memory::default() };
        return;
    }
    if seen.exited_at.min(seen.at).since(memory.restart_at) > FORGET_AFTER {
        memory.wait = None;
        memory.in_a_row = 0;
    }
    let wait = memory.wait.unwrap_or(Millis(0));
    // Whoever saw the end may have a clock ahead of ours: the wait is never longer for that.
    memory.restart_at = seen.exited_at.min(seen.at).after(wait).max(seen.at);
    memory.in_a_row += 1;
    memory.wait = Some(memory.wait.map_or(BACK_OFF_FIRST, |last| Millis((last.0 * 2).min(BACK_OFF_MAX.0))));
}
