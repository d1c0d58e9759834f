//! One server of a store with standbys: started once for each order, in the role that the order says.

use super::{StoreRun, member};
use crate::{
    clock::Clock,
    keeper::{Keeper, KeeperError},
    oneshot::Oneshots,
    replica::process_id,
};
use plimsoll_control::{
    failover::{Preparation, Process, Role},
    restart,
};
use plimsoll_journal::chain;
use plimsoll_model::{Instant, ReplicaId};
use plimsoll_stores::{Driver, member::Command};
use plimsoll_wire::keeper::{Exit, Inventory, Limits, Spawn};
use std::{rc::Rc, time::Duration};
use tokio::{sync::mpsc::UnboundedSender, time::sleep};

/// The signal that does not ask.
pub(super) const SIGKILL: i32 = 9;

/// How soon a keeper that was lost is asked for again.
pub(super) const KEEPER_WAIT: Duration = Duration::from_millis(100);

/// What a server's task tells.
pub(super) enum News {
    /// Its data is ready and its process is started.
    Runs { place: usize },
    /// It could not be started.
    Failed { place: usize, by: Preparation, why: String },
    /// It has ended, with everything beneath it.
    Ended { place: usize, exit: Exit },
    /// All of its commits wait for a standby, as it was asked that many questions ago; or it can't be told.
    Waits { place: usize, asked: u64, done: bool },
}

/// A server, as the store's task knows it.
pub(super) struct Server {
    pub(super) id: ReplicaId,
    pub(super) attempt: u32,
    pub(super) restarts: u32,
    pub(super) memory: restart::Memory,
    pub(super) process: Process,
    pub(super) started_at: Instant,
    /// It is not started again before then.
    pub(super) backs_off: Option<Instant>,
    pub(super) failed: Option<Preparation>,
    /// Why its last start failed, as long as it does not run.
    pub(super) failed_for: Option<String>,
    /// What it was asked last and did not do.
    pub(super) refused: Option<String>,
    /// Its end was asked for: it is no crash.
    pub(super) by_us: bool,
    /// Whether its commits wait for a standby. `None`: not known.
    pub(super) waits: Option<bool>,
    /// How often that was changed.
    pub(super) asked: u64,
    /// That all of them wait is being made sure.
    pub(super) makes_sure: bool,
}

impl Server {
    pub(super) fn new(store: &StoreRun, place: usize) -> Self {
        let (attempt, restarts, memory) = store.former.get(place).copied().unwrap_or_default();
        Self {
            id: ReplicaId::new(store.name.clone(), place as u64 + 1),
            attempt,
            restarts,
            memory,
            process: Process::Gone,
            started_at: Instant(0),
            backs_off: None,
            failed: None,
            failed_for: None,
            refused: None,
            by_us: false,
            waits: None,
            asked: 0,
            makes_sure: false,
        }
    }

    pub(super) fn process_id(&self) -> String {
        process_id(&self.id, self.attempt)
    }

    /// It is not started again before the decider says so.
    pub(super) fn put_off(&mut self, decision: &restart::Decision) {
        self.backs_off = match decision.act {
            restart::Act::At(until) => Some(until),
            restart::Act::Now | restart::Act::Never => None,
        };
    }

    /// Its process under the keeper, if it still runs.
    pub(super) fn runs_in(&self, inventory: &Inventory) -> bool {
        let id = self.process_id();
        inventory.processes.iter().any(|process| process.id == id && process.exit.is_none())
    }
}

/// One start, to its end.
pub(super) struct Start {
    pub(super) place: usize,
    pub(super) id: ReplicaId,
    /// Of the process.
    pub(super) process: String,
    pub(super) role: Role,
    pub(super) driver: Rc<Driver>,
    pub(super) limits: Limits,
    pub(super) keeper: Keeper,
    pub(super) oneshots: Oneshots,
    pub(super) clock: Clock,
    pub(super) news: UnboundedSender<News>,
}

impl Start {
    /// Makes its data ready, starts it, and waits for its end.
    pub(super) async fn run(self) {
        let place = self.place;
        let by = match self.role {
            Role::Primary => Preparation::Nothing,
            Role::Standby { by, .. } => by,
        };
        match self.prepare().await {
            Ok(()) => self.serve().await,
            Err(why) => drop(self.news.send(News::Failed { place, by, why })),
        }
    }

    /// Starts its process, or goes on with it, and waits for its end.
    pub(super) async fn serve(self) {
        let place = self.place;
        let Some(postgres) = self.driver.replicated() else { return };
        let spawn = self.spawn(self.process.clone(), &postgres.member(place, self.role).serve, self.limits);
        self.news.send(News::Runs { place }).ok();
        let news = loop {
            match self.oneshots.run(spawn.clone()).await {
                Ok(exit) => break News::Ended { place, exit },
                // Another keeper takes over what runs.
                Err(KeeperError::Gone) => {
                    sleep(KEEPER_WAIT).await;
                    if let Some(exit) = self.missed().await {
                        break News::Ended { place, exit };
                    }
                }
                Err(error) => break News::Failed { place, by: Preparation::Nothing, why: chain(&error) },
            }
        };
        self.news.send(news).ok();
    }

    /// Its end, if it ended while there was no keeper.
    async fn missed(&self) -> Option<Exit> {
        let inventory = self.keeper.list().await.ok()?;
        let known = inventory.processes.iter().any(|process| process.id == self.process);
        (!known).then(|| Exit::unknown(self.clock.now().0))
    }

    async fn prepare(&self) -> Result<(), String> {
        let postgres = self.driver.replicated().ok_or("the store has no standbys")?;
        let before = || postgres.before_start(self.place, self.role).map_err(|error| chain(&error));
        before()?;
        match self.role {
            Role::Standby { of, by: Preparation::Rewind } => postgres.checkpoint(of).await?,
            // A slot whose log is gone would hold none for the copy either: it is made anew.
            Role::Standby { of, by: Preparation::Copy } => {
                postgres.provision(of).await.map_err(|error| chain(&error))?;
            }
            Role::Primary | Role::Standby { by: Preparation::Nothing, .. } => {}
        }
        for (step, command) in postgres.member(self.place, self.role).prepare.iter().enumerate() {
            let spawn = self.spawn(format!("{}.prepare{step}", self.process), command, Limits::default());
            let exit = self.step(spawn).await.map_err(|error| chain(&error))?;
            if exit.code != Some(0) {
                return Err(format!("its preparation failed ({}); see its log", crate::exit::ended(&exit)));
            }
        }
        before()
    }

    /// Runs a step of its preparation; if the keeper dies meanwhile, under the next one, which has it or begins it anew.
    async fn step(&self, spawn: Spawn) -> Result<Exit, KeeperError> {
        loop {
            match self.oneshots.run(spawn.clone()).await {
                Err(KeeperError::Gone) => sleep(KEEPER_WAIT).await,
                other => return other,
            }
        }
    }

    fn spawn(&self, id: String, command: &Command, limits: Limits) -> Spawn {
        member::spawn(id, command, limits, &self.id)
    }
}
