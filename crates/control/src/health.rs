//! One replica's probes: when to try, and whether it has started, is ready, or must be restarted.
//!
//! The thresholds, the start values and what holds what back are those of Kubernetes 1.36 (`pkg/kubelet/prober`).
//! Ours is the early attempt: until a replica has started and is ready for the first time, it is probed a millisecond
//! after its start and then again whenever a quarter more of its age has gone by, so that the period does not set the
//! start-up time.
//!
//! A process whose service has neither a startup nor a readiness probe is ready when it has settled ([`Look`]), so that one
//! that ends at once never counts as ready.
//!
//! Invariant: an early attempt that fails changes nothing; only attempts at whole periods count as failures.
//! Invariant: a replica is never ready before it has started, and never while a restart of it is asked for.
//! Invariant: readiness alone never asks for a restart.

mod settle;
mod track;

pub use settle::{Look, Settle};
pub use track::Track;

use plimsoll_model::{Instant, probe::Probe, probe::Probes};
use serde::{Deserialize, Serialize};

/// Which of the three probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProbeKind {
    /// `startupProbe`.
    Startup,
    /// `livenessProbe`.
    Liveness,
    /// `readinessProbe`.
    Readiness,
}

impl std::fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Startup => "startup probe",
            Self::Liveness => "liveness probe",
            Self::Readiness => "readiness probe",
        })
    }
}

/// How one attempt ended. An attempt that could not be made at all (no descriptors left, say) has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which probe.
    pub probe: ProbeKind,
    /// Whether it passed in time.
    pub passed: bool,
    /// When it ended; strictly later than the former outcome of the same probe.
    pub at: Instant,
}

/// What is known when it is decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Now.
    pub at: Instant,
    /// When the process that runs now was started. Another value than before is another process: all begins anew.
    pub started_at: Instant,
    /// Attempts that ended since it was last decided, oldest first. One that was told before, or that ended before the last
    /// attempt of its kind was asked for, is passed over.
    pub outcomes: Vec<Outcome>,
    /// Attempts that were asked for and have not ended.
    pub under_way: Vec<ProbeKind>,
    /// The replica is being stopped: liveness and startup are no longer probed, readiness is.
    pub deleting: bool,
    /// What its processes do; wanted when [`Memory::wants_look`] says so. `None`: nobody looked, or nobody could.
    pub look: Option<Look>,
}

/// What is carried from one decision to the next, for one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The shape of this value; counts up with every change of meaning.
    pub version: u16,
    /// The start of the process this is about; `None` before the first decision.
    pub started_at: Option<Instant>,
    /// That start, or the first look at it if that came before (another process's clock may be ahead of ours).
    pub began: Instant,
    /// The startup probe passed, or there is none.
    pub started: bool,
    /// Ready without a break since then; `None` when it is not ready.
    pub ready_since: Option<Instant>,
    /// It was ready before, so it is no longer probed early.
    pub was_ready: bool,
    /// What the readiness probe last amounted to; a process begins unready.
    pub passes: bool,
    /// The probe that asked for a restart, and why.
    pub failed: Option<(ProbeKind, String)>,
    /// The startup probe's attempts.
    pub startup: Track,
    /// The liveness probe's attempts.
    pub liveness: Track,
    /// The readiness probe's attempts.
    pub readiness: Track,
    /// How far a process without probes has settled.
    #[serde(default)]
    pub settle: Settle,
}

/// The version of [`Memory`] that this code writes.
pub const MEMORY_VERSION: u16 = 2;

impl Default for Memory {
    fn default() -> Self {
        Self {
            version: MEMORY_VERSION,
            started_at: None,
            began: Instant(0),
            started: false,
            ready_since: None,
            was_ready: false,
            passes: false,
            failed: None,
            startup: Track::default(),
            liveness: Track::default(),
            readiness: Track::default(),
            settle: Settle::default(),
        }
    }
}

impl Memory {
    /// The memory for a process that an engine finds running: what it was (`ready_since`: `None` is not ready) stays
    /// true until a probe says otherwise, so that a restart of the engine takes no replica out of the routes.
    #[must_use]
    pub fn of_running(started_at: Instant, started: bool, ready_since: Option<Instant>) -> Self {
        Self {
            started_at: Some(started_at),
            began: started_at,
            started,
            ready_since: ready_since.filter(|_| started),
            was_ready: ready_since.is_some(),
            passes: ready_since.is_some(),
            settle: Settle::of_running(ready_since.is_some()),
            ..Self::default()
        }
    }

    /// Whether a look at the process is wanted now, for the next decision.
    #[must_use]
    pub fn wants_look(&self, probes: &Probes, started_at: Instant, at: Instant) -> bool {
        if !settles(probes) {
            return false;
        }
        let is_known = self.started_at == Some(started_at);
        let settle = if is_known { self.settle } else { Settle::default() };
        settle.again_at(started_at.min(at)).is_some_and(|due| due <= at)
    }

    fn readiness_holds(&self, probes: &Probes) -> bool {
        if settles(probes) { self.settle.is_done() } else { probes.readiness.is_none() || self.passes }
    }
}

/// What is to be done about the replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Act {
    /// Nothing.
    Keep,
    /// Stop this process, with the probe's own grace where it has one; [`crate::restart`] then decides. Repeated until
    /// the replica is `deleting` or has another `started_at`.
    Restart {
        /// The probe that failed: startup or liveness.
        probe: ProbeKind,
        /// For a person.
        why: String,
    },
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The startup probe passed, or there is none.
    pub started: bool,
    /// It may be sent requests.
    pub ready: bool,
    /// Since when, without a break; `None` when it is not ready.
    pub ready_since: Option<Instant>,
    /// Probes to try now. From now on they belong in `under_way`.
    pub attempt: Vec<ProbeKind>,
    /// What is to be done about the replica.
    pub act: Act,
    /// For a person: why it is ready or not.
    pub reason: String,
    /// When to ask again if nothing happens before; `None`: only when an attempt ends.
    pub again_at: Option<Instant>,
}

/// Decides about the process of one replica that runs now.
pub fn decide(probes: &Probes, memory: &mut Memory, seen: &Seen) -> Decision {
    if memory.started_at != Some(seen.started_at) {
        *memory = Memory { started_at: Some(seen.started_at), began: seen.started_at, ..Memory::default() };
    }
    memory.began = memory.began.min(seen.at);
    memory.started |= probes.startup.is_none();
    for outcome in &seen.outcomes {
        take(probes, memory, outcome);
    }
    if settles(probes) {
        memory.settle.take(seen.look, memory.began, seen.at);
    }
    let ready = memory.started && memory.failed.is_none() && memory.readiness_holds(probes);
    memory.ready_since = if ready { memory.ready_since.or(Some(seen.at)) } else { None };
    memory.was_ready |= ready;
    let (attempt, mut again_at) = attempts(probes, memory, seen);
    if settles(probes) && memory.failed.is_none() {
        let look_at = memory.settle.again_at(memory.began).map(|due| due.max(Instant(seen.at.0 + 1)));
        again_at = again_at.into_iter().chain(look_at).min();
    }
    let act = match &memory.failed {
        Some((probe, why)) if !seen.deleting => Act::Restart { probe: *probe, why: why.clone() },
        _ => Act::Keep,
    };
    Decision {
        started: memory.started,
        ready,
        ready_since: memory.ready_since,
        attempt,
        act,
        reason: reason(probes, memory, ready),
        again_at,
    }
}

/// Nothing was written about when it is ready, so it is when it has settled.
fn settles(probes: &Probes) -> bool {
    probes.startup.is_none() && probes.readiness.is_none()
}

/// Takes in one attempt's end.
fn take(probes: &Probes, memory: &mut Memory, outcome: &Outcome) {
    let Outcome { probe: kind, passed, at } = *outcome;
    let (probe, track) = match kind {
        ProbeKind::Startup => (&probes.startup, &mut memory.startup),
        ProbeKind::Liveness => (&probes.liveness, &mut memory.liveness),
        ProbeKind::Readiness => (&probes.readiness, &mut memory.readiness),
    };
    let Some(probe) = probe else { return };
    let Some(holds) = track.take(probe, passed, at) else { return };
    match (kind, holds) {
        (ProbeKind::Startup, true) => memory.started = true,
        (ProbeKind::Readiness, _) => memory.passes = holds,
        (ProbeKind::Liveness, true) => {}
        (ProbeKind::Startup | ProbeKind::Liveness, false) => {
            let why = format!("the {kind} failed {} times in a row", probe.failure_threshold);
            if !(kind == ProbeKind::Startup && memory.started) && memory.failed.is_none() {
                memory.failed = Some((kind, why));
            }
        }
    }
}

/// The attempts to make now, and when the next one is due.
fn attempts(probes: &Probes, memory: &mut Memory, seen: &Seen) -> (Vec<ProbeKind>, Option<Instant>) {
    if memory.failed.is_some() {
        return (vec![], None);
    }
    let mut attempt = vec![];
    let mut again_at: Option<Instant> = None;
    let (began, started, was_ready) = (memory.began, memory.started, memory.was_ready);
    let wanted = [
        (ProbeKind::Startup, &probes.startup, &mut memory.startup, !started && !seen.deleting, !started),
        (ProbeKind::Liveness, &probes.liveness, &mut memory.liveness, started && !seen.deleting, false),
        (ProbeKind::Readiness, &probes.readiness, &mut memory.readiness, started, started && !was_ready),
    ];
    for (kind, probe, track, tried, early) in wanted {
        let Some(probe) = probe else { continue };
        if !tried {
            track.hold(probe, began, seen.at);
            continue;
        }
        if seen.under_way.contains(&kind) {
            continue;
        }
        let next = track.next(probe, began, seen.at, early);
        if next.attempt {
            attempt.push(kind);
        }
        again_at = Some(again_at.map_or(next.again_at, |other| other.min(next.again_at)));
    }
    (attempt, again_at)
}

/// Why it is ready or not.
fn reason(probes: &Probes, memory: &Memory, ready: bool) -> String {
    let count = |probe: &Option<Probe>, track: &Track| match (probe, track.run()) {
        (Some(probe), (run, Some(false))) => format!(" ({run} failures in a row of {})", probe.failure_threshold),
        (Some(probe), (run, Some(true))) => format!(" ({run} passes in a row of {})", probe.success_threshold),
        _ => String::new(),
    };
    match &memory.failed {
        Some((_, why)) => why.clone(),
        None if !memory.started => {
            format!("the startup probe has not passed yet{}", count(&probes.startup, &memory.startup))
        }
        None if ready && probes.readiness.is_none() => "it runs, and has no readiness probe".into(),
        None if settles(probes) => {
            "it was just started, and has no startup or readiness probe: it is ready once it waits for work".into()
        }
        None if ready => "the readiness probe passes".into(),
        None if memory.was_ready => {
            format!("the readiness probe fails{}", count(&probes.readiness, &memory.readiness))
        }
        None => format!("the readiness probe has not passed yet{}", count(&probes.readiness, &memory.readiness)),
    }
}
