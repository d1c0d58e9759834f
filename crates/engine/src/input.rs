//! What reaches the engine's loop. Each is an observation or a wish; none of them is a decision.

use crate::candidate::Found;
use crate::events::Since;
use plimsoll_api::{
    Accepted, Offer, Status,
    audit::Audited,
    release::{Ledger, Order},
};
use plimsoll_control::{
    account::{Failover, Restart},
    failover,
    health::{Outcome, ProbeKind},
    restart,
};
use plimsoll_model::{ReplicaId, RevisionId};
use plimsoll_wire::{gateway::Figures, keeper};
use tokio::sync::oneshot;

/// One thing that reached the loop.
pub(crate) enum Input {
    /// The keeper told of something.
    Keeper(keeper::Event),
    /// The connection to the keeper is lost.
    KeeperLost,
    /// Another keeper took over (its pid, and what it found), or why not.
    KeeperBack(Result<(i32, keeper::Inventory), String>),
    /// A start of a replica was answered.
    Launched {
        /// Which replica.
        replica: ReplicaId,
        /// Which start.
        attempt: u32,
        /// The process, or why there is none.
        result: Result<keeper::Process, String>,
    },
    /// An attempt of a probe ended.
    Probed {
        /// The process's id.
        process: String,
        /// How it ended; its moment is set by the loop.
        outcome: Outcome,
        /// What it met, for a person.
        detail: String,
    },
    /// An attempt of a probe could not be made.
    ProbeUnmade {
        /// The process's id.
        process: String,
        /// Which probe.
        probe: ProbeKind,
    },
    /// A preStop hook ended.
    Hooked {
        /// The process's id.
        process: String,
    },
    /// A listener was bound, or why not.
    Listening {
        /// Its name.
        name: String,
        /// Its address, or the refusal.
        result: Result<String, String>,
    },
    /// The `before` command of a version has ended; `None`: the keeper is gone, and nobody knows.
    Prepared {
        /// Of which service.
        service: String,
        /// Of which version.
        revision: RevisionId,
        /// Well, or why not.
        result: Option<Result<(), String>>,
    },
    /// A store has come further.
    Store {
        /// Its name.
        name: String,
        /// How far.
        news: StoreNews,
    },
    /// A gateway told its figures; `None`: it can't be reached.
    Figures {
        /// The gateway's process id.
        gateway: String,
        /// The figures.
        figures: Option<Box<Figures>>,
    },
    /// A program was asked whether it could take over.
    Candidate {
        /// What it said.
        found: Box<Found>,
        /// Who wants the upgrade.
        reply: oneshot::Sender<Result<u64, String>>,
    },
    /// The keeper became another program, or why not.
    KeeperUpgraded(Result<(), String>),
    /// The gateway that is to take over could not be started.
    GatewayRefused(String),
    /// The gateway of that number was told to retire; whether it had ended already, and is forgotten.
    Retired(u32, bool),
    /// Somebody asks, by the API.
    Asked(Asked),
}

/// What a store's task tells.
pub(crate) enum StoreNews {
    /// It is in a new phase.
    Phase {
        /// `Preparing`, `Starting`, `Forming`, `Ready`, `Failed`, `Stopping`, `Stopped`.
        phase: &'static str,
        /// Why.
        reason: String,
    },
    /// Its URL is known.
    Url(String),
    /// A member is about to be started.
    Attempt {
        /// Its number, from 1.
        member: u64,
        /// Which start.
        attempt: u32,
    },
    /// A member ended, and what was decided about that.
    Ended {
        /// Its number, from 1.
        member: u64,
        /// How often it was started again, this time included.
        restarts: u32,
        /// The decider's memory.
        memory: restart::Memory,
        /// What the decider was given, and what it said.
        decided: Box<(Restart, restart::Decision)>,
    },
    /// It was looked at.
    Inspected(plimsoll_stores::Inspection),
    /// Where it is reached past its pooler. `None`: it has none.
    DirectUrl(Option<String>),
    /// Where it is reached for reads.
    ReadUrl(String),
    /// This must be on disk before the store's task goes on; answered when it is.
    Failover {
        /// The lasting part of the decider's memory.
        memory: Box<failover::Memory>,
        /// Whether it is written down.
        written: oneshot::Sender<bool>,
    },
    /// A standby could not be started.
    Trouble {
        /// Its number, from 1.
        member: u64,
        /// Why.
        why: String,
    },
    /// Something was decided about who is its primary.
    Decided {
        /// What the decider was given, and what it said.
        decided: Box<(Failover, failover::Decision)>,
        /// What of that was not told before.
        new: Vec<failover::Event>,
    },
    /// Who is reached by its addresses from now on, by place.
    Leads {
        /// The primary.
        to: Option<usize>,
        /// Standbys that serve reads.
        reads: Vec<usize>,
    },
}

/// What is asked by the API; each is answered once.
pub(crate) enum Asked {
    /// Accept this system.
    Offer(Box<Offer>, oneshot::Sender<Result<Accepted, String>>),
    /// A file was refused before it was offered, with these findings.
    Refused(String, oneshot::Sender<()>),
    /// The accepted system.
    System(oneshot::Sender<Offer>),
    /// How the system is, once it is ready or stuck.
    Arrival(oneshot::Sender<Status>),
    /// How the system is.
    Status(oneshot::Sender<Status>),
    /// Events above that number, and what follows.
    Events(u64, oneshot::Sender<Since>),
    /// Replace each replica of a service.
    Restart(String, oneshot::Sender<Result<(), String>>),
    /// Run so many replicas of a service; answered by a sentence about how long that holds.
    Scale(String, u32, oneshot::Sender<Result<String, String>>),
    /// Have another member of a store be its primary; answered by a sentence.
    SwitchOver(String, Option<String>, oneshot::Sender<Result<String, String>>),
    /// What happened in releases.
    Releases(oneshot::Sender<Ledger>),
    /// Do something about a release; answered by a sentence about what happened.
    Release(Box<Order>, oneshot::Sender<Result<String, String>>),
    /// Run the audit that a promise names.
    Audit(String, oneshot::Sender<Result<Audited, String>>),
    /// Send a signal to a replica.
    Signal(ReplicaId, i32, oneshot::Sender<Result<(), String>>),
    /// End the system; with `true` drop its volumes.
    Down(bool, oneshot::Sender<Result<(), String>>),
    /// The names of the logs of a service, a replica, or of all.
    Logs(Option<String>, oneshot::Sender<Result<Vec<String>, String>>),
    /// Change to that program; answered by the upgrade's number.
    Upgrade(String, oneshot::Sender<Result<u64, String>>),
    /// The figures, as text for Prometheus.
    Metrics(oneshot::Sender<String>),
}
