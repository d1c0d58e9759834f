//! A replica, as the engine sees it.

use plimsoll_control::{
    health::{self, Outcome, ProbeKind},
    reconcile::{Phase, ReplicaSeen},
    restart, termination,
};
use plimsoll_model::{Instant, Millis, ReplicaId, RevisionId, Service};
use plimsoll_wire::keeper::Process;
use std::{collections::BTreeMap, rc::Rc};

/// One replica.
pub(crate) struct Replica {
    pub(crate) id: ReplicaId,
    pub(crate) revision: RevisionId,
    pub(crate) service: Rc<Service>,
    /// The last start; 0 is none yet.
    pub(crate) attempt: u32,
    /// Where it was told to listen.
    pub(crate) port: Option<u16>,
    /// Its process, while it runs.
    pub(crate) process: Option<Process>,
    pub(crate) stage: Stage,
    pub(crate) health: health::Memory,
    /// Outcomes of probes that were not decided about yet.
    pub(crate) outcomes: Vec<Outcome>,
    /// What the last attempts of its probes met.
    pub(crate) probed: BTreeMap<ProbeKind, String>,
    /// Attempts that have not ended.
    pub(crate) under_way: Vec<ProbeKind>,
    pub(crate) ready_since: Option<Instant>,
    /// When it last became ready or unready, or was started.
    pub(crate) readiness_at: Instant,
    /// It ended for good, and not well.
    pub(crate) failed: bool,
    /// It was ready since its process started.
    pub(crate) was_ready: bool,
    pub(crate) restarts: u32,
    pub(crate) restart: restart::Memory,
    pub(crate) created_at: Instant,
    pub(crate) started_at: Instant,
    /// From the first start to ready.
    pub(crate) start_took: Option<Millis>,
    pub(crate) last_exit: Option<String>,
    pub(crate) reason: String,
    /// The first edition of the routes without it, while it is being ended.
    pub(crate) unrouted_in: Option<u64>,
}

/// Where a replica is in its life.
pub(crate) enum Stage {
    /// The keeper was asked to start it.
    Launching,
    /// It runs.
    Running,
    /// It ended, and is started again then.
    BackOff {
        /// When.
        until: Instant,
    },
    /// It is being ended, to be started again (a failed probe).
    Restarting(Ending),
    /// It is being ended, for good.
    Stopping(Ending),
    /// It ended, and stays so.
    Done,
}

/// How far an end has come.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) policy: termination::Policy,
    pub(crate) memory: termination::Memory,
    pub(crate) hook_done: bool,
}

impl Replica {
    /// A replica that was just decided on, or is remembered.
    pub(crate) fn new(id: ReplicaId, revision: RevisionId, service: Rc<Service>, at: Instant) -> Self {
        Self {
            id,
            revision,
            service,
            attempt: 0,
            port: None,
            process: None,
            stage: Stage::BackOff { until: at },
            health: health::Memory::default(),
            outcomes: Vec::new(),
            probed: BTreeMap::new(),
            under_way: Vec::new(),
            ready_since: None,
            readiness_at: at,
            failed: false,
            was_ready: false,
            restarts: 0,
            restart: restart::Memory::default(),
            created_at: at,
            started_at: at,
            start_took: None,
            last_exit: None,
            reason: "not started yet".into(),
            unrouted_in: None,
        }
    }

    /// The id of its present (or last) process.
    pub(crate) fn process_id(&self) -> String {
        process_id(&self.id, self.attempt)
    }

    /// It may be sent requests.
    pub(crate) fn serves(&self) -> bool {
        self.ready_since.is_some() && matches!(self.stage, Stage::Running)
    }

    /// It is being ended, for good or to be started again.
    pub(crate) fn ending(&mut self) -> Option<&mut Ending> {
        match &mut self.stage {
            Stage::Restarting(ending) | Stage::Stopping(ending) => Some(ending),
            _ => None,
        }
    }

    /// Its process has ended, and what follows was decided.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.stage, Stage::BackOff { .. } | Stage::Done)
    }

    /// Its phase, as deciders see it.
    pub(crate) fn phase(&self) -> Phase {
        match self.stage {
            Stage::Launching => Phase::Starting,
            Stage::Running if self.ready_since.is_some() => Phase::Ready,
            Stage::Running if self.was_ready => Phase::Unready,
            Stage::Running => Phase::Starting,
            Stage::BackOff { .. } if self.attempt == 0 => Phase::Starting,
            Stage::BackOff { .. } => Phase::BackOff,
            Stage::Restarting(_) => Phase::Unready,
            Stage::Stopping(_) => Phase::Stopping,
            Stage::Done if self.failed => Phase::Failed,
            Stage::Done => Phase::Done,
        }
    }

    /// The whole of it, as deciders see it.
    pub(crate) fn seen(&self) -> ReplicaSeen {
        ReplicaSeen {
            id: self.id.clone(),
            revision: self.revision.clone(),
            phase: self.phase(),
            ready_since: self.ready_since,
            started_at: self.created_at,
            restarts: self.restarts,
        }
    }
}

/// The keeper's id of a replica's or member's start.
pub(crate) fn process_id(id: &ReplicaId, attempt: u32) -> String {
    format!("{id}.{attempt}")
}

/// The replica or member of a process, and which start it is.
pub(crate) fn of_process(process: &str) -> Option<(ReplicaId, u32)> {
    let (id, attempt) = process.rsplit_once('.')?;
    Some((id.parse().ok()?, attempt.parse().ok()?))
}

/// A phase's name.
pub(crate) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "Starting",
        Phase::Ready => "Ready",
        Phase::Unready => "Unready",
        Phase::BackOff => "BackOff",
        Phase::Stopping => "Stopping",
        Phase::Done => "Done",
        Phase::Failed => "Failed",
    }
}
