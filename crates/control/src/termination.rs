//! How a replica is ended without losing a request: first no new requests, then what is in flight, then its hook, then
//! SIGTERM, and SIGKILL when its grace is over.
//!
//! Kubernetes starts the hook and SIGTERM at once, while routes still point at the Pod (`terminationGracePeriodSeconds`
//! counts from there). Here the routes are ours, so draining comes first, inside the same grace.
//!
//! Invariant: SIGKILL never comes before the grace is over, and never less than 2 s after SIGTERM (kubelet's minimum).
//! Invariant: SIGTERM comes before the grace is over, however much is still in flight.

use plimsoll_model::{Instant, Millis};
use serde::{Deserialize, Serialize};

/// The least time between SIGTERM and SIGKILL (kubelet's `minimumGracePeriodInSeconds`).
pub const TERM_TO_KILL_MIN: Millis = Millis::from_secs(2);

/// How it is to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// From the wish to the SIGKILL.
    pub grace: Millis,
    /// It has a hook to be run before SIGTERM.
    pub hook: bool,
    /// Requests in flight are waited for. `false` for one that hangs.
    pub drain: bool,
}

/// What is known when it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Now.
    pub at: Instant,
    /// Every gateway serves routes without it.
    pub unrouted: bool,
    /// Requests that it has not answered, over all gateways.
    pub in_flight: u64,
    /// The hook has ended.
    pub hook_done: bool,
}

/// How far its end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// When its end was wished for.
    pub asked_at: Instant,
    /// The hook was started.
    pub hooked: bool,
    /// SIGTERM was sent.
    pub terminated_at: Option<Instant>,
    /// SIGKILL was sent.
    pub killed: bool,
}

impl Memory {
    /// An end that is wished for now.
    #[must_use]
    pub fn asked(at: Instant) -> Self {
        Self { asked_at: at, hooked: false, terminated_at: None, killed: false }
    }
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Act {
    /// Wait.
    Wait,
    /// Run the hook.
    Hook,
    /// Send SIGTERM.
    Terminate,
    /// Send SIGKILL to it and its descendants.
    Kill,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What to do now.
    pub act: Act,
    /// For a person.
    pub reason: String,
    /// When to ask again if nothing happens before.
    pub again_at: Option<Instant>,
}

/// Decides the next step of an end. Remembers a step when it is decided, so each comes once.
pub fn decide(policy: &Policy, memory: &mut Memory, seen: &Seen) -> Decision {
    let deadline = memory.asked_at.after(policy.grace);
    if let Some(sent) = memory.terminated_at {
        let kill_at = deadline.max(sent.after(TERM_TO_KILL_MIN));
        return if memory.killed {
            wait("killed; waiting for its end", None)
        } else if seen.at >= kill_at {
            memory.killed = true;
            act(Act::Kill, format!("did not end within its grace of {}", policy.grace))
        } else {
            wait("asked to end", Some(kill_at))
        };
    }
    let term_by = memory.asked_at.after(Millis(policy.grace.0.saturating_sub(reserve(policy.grace).0)));
    let drained = !policy.drain || (seen.unrouted && seen.in_flight == 0);
    if !drained && seen.at < term_by {
        let reason = format!("waiting for {} requests in flight", seen.in_flight);
        return Decision { act: Act::Wait, reason, again_at: Some(term_by) };
    }
    if policy.hook && !memory.hooked {
        memory.hooked = true;
        return act(Act::Hook, "running its preStop hook".into());
    }
    if policy.hook && !seen.hook_done && seen.at < term_by {
        return wait("running its preStop hook", Some(term_by));
    }
    memory.terminated_at = Some(seen.at);
    let late = if drained { String::new() } else { format!(" with {} requests in flight", seen.in_flight) };
    Decision {
        act: Act::Terminate,
        reason: format!("asked to end{late}"),
        again_at: Some(deadline.max(seen.at.after(TERM_TO_KILL_MIN))),
    }
}

/// What of the grace is kept for the process itself: half of it, 5 s at most.
fn reserve(grace: Millis) -> Millis {
    Millis((grace.0 / 2).min(5000))
}

fn wait(reason: &str, again_at: Option<Instant>) -> Decision {
    Decision { act: Act::Wait, reason: reason.into(), again_at }
}

fn act(act: Act, reason: String) -> Decision {
    Decision { act, reason, again_at: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Policy = Policy { grace: Millis::from_secs(30), hook: false, drain: true };

    fn seen(at_s: u64, in_flight: u64) -> Seen {
        Seen { at: Instant(at_s * 1_000_000), unrouted: true, in_flight, hook_done: false }
    }

    #[track_caller]
    fn check(policy: Policy, steps: &[(Seen, Act)]) {
        let mut memory = Memory::asked(Instant(0));
        for (seen, want) in steps {
            assert_eq!(decide(&policy, &mut memory, seen).act, *want, "{seen:?}");
        }
    }

    #[test]
    fn an_idle_replica_is_ended_at_once() {
        check(GRACE, &[(seen(0, 0), Act::Terminate), (seen(1, 0), Act::Wait), (seen(30, 0), Act::Kill)]);
    }

    #[test]
    fn requests_in_flight_are_waited_for_but_not_for_ever() {
        check(GRACE, &[(seen(0, 3), Act::Wait), (seen(24, 3), Act::Wait), (seen(25, 1), Act::Terminate)]);
    }

    #[test]
    fn it_is_not_ended_while_a_gateway_still_routes_to_it() {
        check(GRACE, &[(Seen { unrouted: false, ..seen(0, 0) }, Act::Wait), (seen(1, 0), Act::Terminate)]);
    }

    #[test]
    fn the_hook_runs_between_draining_and_the_signal() {
        let policy = Policy { hook: true, ..GRACE };
        let done = Seen { hook_done: true, ..seen(2, 0) };
        check(policy, &[(seen(0, 0), Act::Hook), (seen(1, 0), Act::Wait), (done, Act::Terminate)]);
    }

    #[test]
    fn a_kill_leaves_two_seconds_after_the_signal() {
        let short = Policy { grace: Millis(0), ..GRACE };
        check(short, &[(seen(0, 5), Act::Terminate), (seen(1, 0), Act::Wait), (seen(2, 0), Act::Kill)]);
    }

    #[test]
    fn each_step_comes_once() {
        check(GRACE, &[(seen(0, 0), Act::Terminate), (seen(40, 0), Act::Kill), (seen(41, 0), Act::Wait)]);
    }
}
