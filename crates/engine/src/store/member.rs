//! One member of a store: its process, started again when it ends, and ended cleanly when the store is to end.

use super::{StoreRun, after_end};
use crate::{
    clock::Clock,
    input::{Input, StoreNews},
    keeper::{Keeper, KeeperError},
    launch::limits_of,
    oneshot::Oneshots,
    replica::process_id,
};
use plimsoll_control::restart::{self, Act};
use plimsoll_journal::chain;
use plimsoll_model::{Instant, ReplicaId};
use plimsoll_stores::{Driver, Member, NotReady, Pooler, StoreError, member::Command};
use plimsoll_wire::keeper::{Exit, Limits, Spawn, User};
use std::{cell::RefCell, rc::Rc, time::Duration};
use tokio::{
    sync::{mpsc::UnboundedSender, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// How often a start that was refused for a reason that may pass is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// The number of a store's pooler among its processes.
pub(crate) const POOLER: u64 = 0;

/// A member that runs, or is about to.
pub(super) struct MemberRun {
    pub(super) part: Part,
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    changes: watch::Receiver<u64>,
    trouble: Rc<RefCell<Option<String>>>,
}

/// Which process of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The member at that place.
    Member(usize),
    /// Its pooler, which has no data.
    Pooler,
}

impl Part {
    /// Who it is, for logs and events: members are counted from 1, so 0 is nobody else.
    fn id(self, store: &str) -> ReplicaId {
        match self {
            Self::Member(place) => ReplicaId::new(store, place as u64 + 1),
            Self::Pooler => ReplicaId::new(store, POOLER),
        }
    }

    fn process(self, driver: &Driver) -> Option<Member> {
        match self {
            Self::Member(place) => driver.members().into_iter().nth(place),
            Self::Pooler => driver.pooler().map(Pooler::member),
        }
    }

    fn before_start(self, driver: &Driver) -> Result<(), StoreError> {
        match self {
            Self::Member(place) => driver.before_start(place),
            Self::Pooler => driver.pooler().map_or(Ok(()), Pooler::before_start),
        }
    }

    /// Whether it serves.
    pub(super) async fn ready(self, driver: &Driver) -> Result<(), NotReady> {
        match (self, driver.pooler()) {
            (Self::Member(place), _) => driver.ready(place).await,
            (Self::Pooler, Some(pooler)) => pooler.ready().await,
            (Self::Pooler, None) => Ok(()),
        }
    }
}

impl MemberRun {
    /// Starts that process, or goes on with one that runs.
    pub(super) fn start(store: &StoreRun, driver: &Rc<Driver>, part: Part) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (change, changes) = watch::channel(0);
        let trouble = Rc::new(RefCell::new(None));
        let (former, limits) = match part {
            Part::Member(place) => (store.former.get(place), limits_of(&store.store.resources, false)),
            Part::Pooler => (Some(&store.former_pooler), Limits::default()),
        };
        let (attempt, restarts, memory) = former.copied().unwrap_or_default();
        let life = Life {
            id: part.id(&store.name),
            part,
            driver: driver.clone(),
            limits,
            keeper: store.keeper.clone(),
            oneshots: store.oneshots.clone(),
            inputs: store.inputs.clone(),
            clock: store.clock,
            attempt,
            restarts,
            memory,
            stop: stopped,
            change,
            trouble: trouble.clone(),
        };
        Self { part, task: tokio::task::spawn_local(life.run()), stop, changes, trouble }
    }

    /// Why it can't be started, if so.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// How often it was started or ended.
    pub(super) fn changes(&self) -> u64 {
        *self.changes.borrow()
    }

    /// Returns when it ends or is started.
    pub(super) async fn changed(&self) {
        let mut changes = self.changes.clone();
        changes.mark_unchanged();
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Ends it, and waits for that.
    pub(super) async fn end(self) {
        self.stop.send(true).ok();
        self.task.await.ok();
    }
}

struct Life {
    id: ReplicaId,
    part: Part,
    driver: Rc<Driver>,
    limits: Limits,
    keeper: Keeper,
    oneshots: Oneshots,
    inputs: UnboundedSender<Input>,
    clock: Clock,
    attempt: u32,
    restarts: u32,
    memory: restart::Memory,
    stop: watch::Receiver<bool>,
    change: watch::Sender<u64>,
    trouble: Rc<RefCell<Option<String>>>,
}

impl Life {
    async fn run(mut self) {
        let mut fresh = self.attempt == 0;
        loop {
            if fresh {
                self.attempt += 1;
                self.tell(StoreNews::Attempt { member: self.id.serial, attempt: self.attempt });
            }
            fresh = true;
            let started_at = self.clock.now();
            let Some(exit) = self.one_start().await else { return };
            if *self.stop.borrow() || !self.wait_after(&exit, started_at).await {
                return;
            }
            self.restarts += 1;
        }
    }

    /// Starts it once and waits for its end; `None` when the store ends before it could be started.
    async fn one_start(&mut self) -> Option<Exit> {
        loop {
            let tried = match self.prepared().await {
                Ok(member) => self.serve(&member).await.map_err(|error| chain(&error)),
                Err(why) => Err(why),
            };
            match tried {
                Ok(exit) => return Some(exit),
                Err(why) => *self.trouble.borrow_mut() = Some(why),
            }
            let mut stop = self.stop.clone();
            tokio::select! {
                () = sleep(RETRY) => {}
                _ = stop.wait_for(|stop| *stop) => return None,
            }
        }
    }

    /// Makes its data and its files ready, unless its process runs already.
    async fn prepared(&self) -> Result<Member, String> {
        let member = || self.part.process(&self.driver).ok_or("the store has no such member");
        let id = process_id(&self.id, self.attempt);
        if self.keeper.take(&format!("pidfd/{id}")).await.is_ok() {
            return Ok(member()?);
        }
        self.part.before_start(&self.driver).map_err(|error| chain(&error))?;
        for (step, command) in member()?.prepare.iter().enumerate() {
            let spawn = self.spawn(format!("{id}.prepare{step}"), command, Limits::default());
            let exit = self.oneshots.run(spawn).await.map_err(|error| chain(&error))?;
            if exit.code != Some(0) {
                return Err(format!("{} failed ({}); see its log", command.program, crate::exit::ended(&exit)));
            }
        }
        self.part.before_start(&self.driver).map_err(|error| chain(&error))?;
        Ok(member()?)
    }

    /// Starts its process (or goes on with it), waits for its end, or ends it.
    async fn serve(&self, member: &Member) -> Result<Exit, KeeperError> {
        *self.trouble.borrow_mut() = None;
        let id = process_id(&self.id, self.attempt);
        let spawn = self.spawn(id.clone(), &member.serve, self.limits);
        let mut running = Box::pin(self.oneshots.run(spawn));
        self.change.send_modify(|count| *count += 1);
        let mut stop = self.stop.clone();
        let ended = tokio::select! {
            ended = &mut running => ended,
            _ = stop.wait_for(|stop| *stop) => {
                self.keeper.signal(&id, member.stop_signal, false).await.ok();
                match timeout(member.grace.as_duration(), &mut running).await {
                    Ok(ended) => ended,
                    Err(_) => {
                        self.keeper.signal(&id, 9, true).await.ok();
                        running.await
                    }
                }
            }
        };
        self.change.send_modify(|count| *count += 1);
        ended
    }

    /// Waits as the restart decider says; `false` when the store ends meanwhile.
    async fn wait_after(&mut self, exit: &Exit, started_at: Instant) -> bool {
        let now = self.clock.now();
        let (asked, decision) = after_end(exit, (started_at, now), &mut self.memory);
        let until = match decision.act {
            Act::At(until) => until,
            Act::Now | Act::Never => now,
        };
        self.tell(StoreNews::Ended {
            member: self.id.serial,
            restarts: self.restarts + 1,
            memory: self.memory,
            decided: Box::new((asked, decision)),
        });
        let mut stop = self.stop.clone();
        tokio::select! {
            () = tokio::time::sleep_until(self.clock.at(until)) => true,
            _ = stop.wait_for(|stop| *stop) => false,
        }
    }

    fn spawn(&self, id: String, command: &Command, limits: Limits) -> Spawn {
        spawn(id, command, limits, &self.id)
    }

    fn tell(&self, news: StoreNews) {
        self.inputs.send(Input::Store { name: self.id.service.clone(), news }).ok();
    }
}

/// A process of the member `of`, as the keeper starts it.
pub(super) fn spawn(id: String, command: &Command, limits: Limits, of: &ReplicaId) -> Spawn {
    Spawn {
        id,
        program: command.program.clone(),
        args: command.args.clone(),
        env: command.env.clone(),
        dir: command.dir.display().to_string(),
        user: command.user.map(|user| User { uid: user.uid, gid: user.gid }),
        limits,
        log: Some(of.to_string()),
        channel: false,
        respawn: false,
    }
}
