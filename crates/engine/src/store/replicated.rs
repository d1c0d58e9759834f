//! A store with standbys: its members are looked at, `control::failover` decides, and this acts.
//!
//! Invariant: what a decision changes for good is on disk before anything that follows from it is done.

use super::{
    RETRY_SLOW, StoreRun, after_end,
    pooler::{Doing, PoolerRun},
    server::{KEEPER_WAIT, News, SIGKILL, Server, Start},
};
use crate::{input::StoreNews, launch::limits_of};
use futures_util::future::join_all;
use plimsoll_control::{
    account::Failover,
    failover::{self, Act, Decision, Event, Memory, Preparation, Process, Role, Seen},
};
use plimsoll_model::{Instant, Millis};
use plimsoll_stores::{
    Driver, Inspection,
    postgres::{GRACE, Postgres, STOP_SIGNAL},
};
use plimsoll_wire::keeper::{Exit, Inventory};
use std::rc::Rc;
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, sleep_until, timeout},
};

/// The store's members and what is known of them.
pub(super) struct Replicated<'a> {
    pub(super) store: &'a mut StoreRun,
    pub(super) driver: Rc<Driver>,
    pub(super) servers: Vec<Server>,
    pub(super) memory: Memory,
    news: mpsc::UnboundedReceiver<News>,
    pub(super) sender: mpsc::UnboundedSender<News>,
    /// The primary for whom what services need was made: its epoch and its start.
    provisioned: Option<(u64, u32)>,
    leads: (Option<usize>, Vec<usize>),
    /// What was told last.
    told: Vec<Event>,
    /// The phase that was told last, and how its members were.
    said: (&'static str, String),
    /// Commits wait for nobody, though they should.
    pub(super) alone: bool,
    pub(super) shown: Option<Inspection>,
    pub(super) ready: bool,
    /// Before all of them. `None`: it has none.
    pub(super) pooler: Option<PoolerRun>,
    /// The last wish of a person's that was decided about.
    granted: u64,
}

impl<'a> Replicated<'a> {
    pub(super) fn new(store: &'a mut StoreRun, driver: Rc<Driver>) -> Self {
        let servers = (0..store.site.ports.len()).map(|place| Server::new(store, place)).collect();
        let (sender, news) = mpsc::unbounded_channel();
        let memory = store.failover.clone();
        let (provisioned, leads, told) = (None, (None, Vec::new()), Vec::new());
        let (said, shown) = (("", String::new()), None);
        let granted = store.wish.borrow().0;
        let pooler = PoolerRun::start(store, &driver);
        Self {
            store,
            driver,
            servers,
            memory,
            news,
            sender,
            provisioned,
            leads,
            told,
            said,
            alone: false,
            shown,
            ready: false,
            granted,
            pooler,
        }
    }

    /// Runs the store until it is to end, and ends it.
    pub(super) async fn run(mut self) {
        self.adopt().await;
        while !*self.store.stop.borrow() {
            let wake = self.turn().await;
            let (mut stop, mut wish) = (self.store.stop.clone(), self.store.wish.clone());
            let granted = self.granted;
            tokio::select! {
                news = self.news.recv() => self.take(news),
                _ = wish.wait_for(|(number, _)| *number > granted) => {}
                () = sleep_until(self.store.clock.at(wake)) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
            while let Ok(news) = self.news.try_recv() {
                self.take(Some(news));
            }
        }
        self.store.phase("Stopping", "");
        self.end().await;
    }

    /// Tells the phase, if it is another one.
    fn phase(&mut self, phase: &'static str, reason: String) {
        let now = (phase, reason);
        if self.said != now {
            self.store.phase(phase, now.1.clone());
            self.said = now;
        }
    }

    fn postgres(&self) -> Option<&Postgres> {
        self.driver.replicated()
    }

    /// Goes on with what runs; a preparation that an engine before this one began is ended, and done again.
    async fn adopt(&mut self) {
        let inventory = self.inventory().await;
        let ours: Vec<String> = self.servers.iter().map(|server| format!("{}.", server.id)).collect();
        let steps = inventory.processes.iter().filter(|process| process.id.contains(".prepare"));
        for step in steps.filter(|step| ours.iter().any(|id| step.id.starts_with(id))) {
            if step.exit.is_none() {
                self.store.oneshots.kill(&step.id).await;
            }
            while self.store.keeper.forget(&step.id).await.is_err() {
                let Ok(now) = self.store.keeper.list().await else { break };
                if !now.processes.iter().any(|process| process.id == step.id) {
                    break;
                }
                sleep(super::RETRY).await;
            }
        }
        for place in 0..self.servers.len() {
            if self.servers[place].attempt > 0 && self.servers[place].runs_in(&inventory) {
                self.servers[place].process = Process::Runs;
                self.servers[place].started_at = self.store.clock.now();
                let role = Role::Standby { of: place, by: Preparation::Nothing };
                tokio::task::spawn_local(self.start_of(place, role).serve());
            }
        }
    }

    /// What the keeper has; if it is gone, what the next one has.
    async fn inventory(&self) -> Inventory {
        loop {
            match self.store.keeper.list().await {
                Ok(inventory) => return inventory,
                Err(_) => sleep(KEEPER_WAIT).await,
            }
        }
    }

    /// Looks, decides, writes down, acts. When to do so again at the latest.
    async fn turn(&mut self) -> Instant {
        let mut seen = self.look().await;
        let (wished, wish) = *self.store.wish.borrow();
        seen.asked = wish.filter(|_| wished > self.granted);
        let policy = self.store.policy.borrow().clone();
        let before = self.memory.clone();
        let decision = failover::decide(&policy, &mut self.memory, &seen);
        if self.memory.lasting() != before.lasting() && !self.write_down().await {
            self.memory = before;
            self.ready = false;
            self.phase("Failed", "who is its primary can't be written down: nothing is changed".into());
            return self.store.clock.now().after(Millis::from_secs(1));
        }
        if seen.asked.is_some() {
            self.granted = wished;
        }
        self.tell(Failover { policy, memory: before, seen: seen.clone() }, &decision);
        self.lead(&decision);
        // Standbys follow at once: a commit may wait for one. Those that must be started first need their role and slots there.
        let (later, sooner): (Vec<Act>, Vec<Act>) =
            decision.acts.iter().partition(|act| matches!(act, Act::Start { role: Role::Standby { .. }, .. }));
        for act in sooner {
            self.act(act).await;
        }
        let served = self.serve(&decision, &seen).await;
        if served {
            for act in later {
                self.act(act).await;
            }
        }
        self.alone = decision.alone;
        self.show(&seen);
        if served { decision.again_at } else { decision.again_at.min(self.store.clock.now().after(Millis(50))) }
    }

    async fn look(&self) -> Seen {
        let Some(postgres) = self.postgres() else { return Seen::default() };
        let looks = self.servers.iter().enumerate().map(|(place, server)| async move {
            if server.process == Process::Runs { postgres.look(place).await } else { (false, None) }
        });
        let answers = join_all(looks).await;
        let now = self.store.clock.now();
        let members = self.servers.iter().zip(answers).enumerate().map(|(place, (server, (alive, answer)))| {
            let gone = server.process == Process::Gone;
            let asked = gone && place == self.memory.primary && server.attempt > 0;
            failover::Member {
                process: server.process,
                data: postgres.has_data(place),
                backs_off: server.backs_off.is_some_and(|until| until > now),
                failed: server.failed,
                alive,
                answer,
                log_end: if asked { postgres.log_end(place) } else { None },
                waits: server.waits,
            }
        });
        let members = members.collect();
        // Whoever comes past the pooler waits at gateways, everybody else at the pooler.
        let pauses = self.pooler.as_ref().is_none_or(|pooler| pooler.doing() == Doing::Paused);
        Seen { at: now, members, asked: None, held: self.store.held.get() && pauses }
    }

    /// Whether the lasting part of the memory is on disk.
    async fn write_down(&self) -> bool {
        let (written, answer) = oneshot::channel();
        self.store.tell(StoreNews::Failover { memory: Box::new(self.memory.lasting()), written });
        answer.await.unwrap_or(false)
    }

    /// Tells of what is new.
    fn tell(&mut self, asked: Failover, decision: &Decision) {
        let new: Vec<Event> = decision.events.iter().filter(|event| !self.told.contains(event)).cloned().collect();
        self.told.clone_from(&decision.events);
        if !new.is_empty() {
            self.store.tell(StoreNews::Decided { decided: Box::new((asked, decision.clone())), new });
        }
    }

    /// Has its addresses lead where they are to.
    fn lead(&mut self, decision: &Decision) {
        let now = (decision.leads_to, decision.reads.clone());
        if now != self.leads {
            self.leads = now.clone();
            self.store.tell(StoreNews::Leads { to: now.0, reads: now.1 });
        }
        if let Some(pooler) = &self.pooler {
            pooler.lead(decision.leads_to.and_then(|place| self.store.site.ports.get(place).copied()));
        }
    }

    /// Makes what services need at a new primary; tells whether the store can be used. `false`: try again soon.
    async fn serve(&mut self, decision: &Decision, seen: &Seen) -> bool {
        let Some(primary) = decision.leads_to.filter(|place| seen.members[*place].answer.is_some()) else {
            if self.ready || decision.leads_to.is_none() {
                self.ready = false;
                match self.servers.get(self.memory.primary).and_then(|server| server.failed_for.clone()) {
                    Some(why) => self.phase("Failed", why),
                    None => self.phase("Starting", decision.reason.clone()),
                }
            }
            return true;
        };
        let now = (self.memory.epoch, self.servers[primary].attempt);
        if self.provisioned != Some(now) {
            let Some(postgres) = self.postgres() else { return true };
            if let Err(error) = postgres.provision(primary).await {
                self.phase("Forming", super::chain(&error));
                return false;
            }
            self.provisioned = Some(now);
        }
        if decision.stalls {
            self.ready = false;
            self.phase("Forming", "commits wait for a standby, and none follows yet".into());
        } else if self.pooler.as_ref().is_some_and(|pooler| !self.is_led_to(pooler, primary)) {
            if !self.ready {
                self.phase("Starting", "its pooler does not lead to the primary yet".into());
            }
            return false;
        } else if !self.ready {
            self.ready = true;
            self.phase("Ready", decision.reason.clone());
        }
        true
    }

    /// The pooler leads to that member.
    fn is_led_to(&self, pooler: &PoolerRun, place: usize) -> bool {
        self.store.site.ports.get(place).is_some_and(|port| pooler.doing() == Doing::Leads(*port))
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Start { member, role } => self.start(member, role),
            Act::Fence { member } => self.end_one(member, SIGKILL).await,
            Act::Stop { member } => self.end_one(member, STOP_SIGNAL).await,
            // Asked again at the next turn, as long as it is none, or follows another one.
            Act::Promote { member } => {
                let Some(postgres) = self.postgres() else { return };
                let done = postgres.promote(member).await;
                self.servers[member].refused = done.err().map(|why| format!("can't be promoted: {why}"));
            }
            Act::Wait { member } => self.wait(member).await,
            Act::Alone { member } => self.be_alone(member).await,
            Act::Follow { member, of } => {
                let Some(postgres) = self.postgres() else { return };
                let done = postgres.follow(member, of).await;
                let words = |why| format!("can't be told to follow member {}: {why}", of + 1);
                self.servers[member].refused = done.err().map(words);
            }
        }
    }

    /// Sends a signal that ends a server: one that asks once, when it has reached the keeper.
    async fn end_one(&mut self, place: usize, signal: i32) {
        let server = &self.servers[place];
        if (!server.by_us || signal == SIGKILL)
            && self.store.keeper.signal(&server.process_id(), signal, signal == SIGKILL).await.is_ok()
        {
            self.servers[place].by_us = true;
        }
    }

    fn start(&mut self, place: usize, role: Role) {
        let server = &mut self.servers[place];
        server.attempt += 1;
        (server.process, server.failed, server.by_us) = (Process::Preparing, None, false);
        server.start_waiting(self.store.store.waits_for_standby());
        server.started_at = self.store.clock.now();
        self.store.tell(StoreNews::Attempt { member: server.id.serial, attempt: server.attempt });
        tokio::task::spawn_local(self.start_of(place, role).run());
    }

    fn start_of(&self, place: usize, role: Role) -> Start {
        Start {
            place,
            id: self.servers[place].id.clone(),
            process: self.servers[place].process_id(),
            role,
            driver: self.driver.clone(),
            limits: limits_of(&self.store.store.resources, false),
            keeper: self.store.keeper.clone(),
            oneshots: self.store.oneshots.clone(),
            clock: self.store.clock,
            news: self.sender.clone(),
        }
    }

    fn take(&mut self, news: Option<News>) {
        match news {
            Some(News::Runs { place }) => {
                let server = &mut self.servers[place];
                (server.process, server.failed_for, server.refused) = (Process::Runs, None, None);
            }
            Some(News::Failed { place, by, why }) => self.take_failed(place, by, why),
            Some(News::Ended { place, exit }) => self.take_end(place, &exit),
            Some(News::Waits { place, asked, done }) => self.servers[place].take_waits(asked, done),
            None => {}
        }
    }

    /// A server could not be started; that is put off as if it had ended at once.
    fn take_failed(&mut self, place: usize, by: Preparation, why: String) {
        let now = self.store.clock.now();
        let server = &mut self.servers[place];
        (server.process, server.failed) = (Process::Gone, Some(by));
        let (_, decision) = after_end(&Exit::never_started(now.0), (now, now), &mut server.memory);
        server.put_off(&decision);
        let words = format!("{} could not be started: {why}", server.id);
        server.failed_for = Some(words.clone());
        if place == self.memory.primary {
            self.ready = false;
            self.phase("Failed", words);
        } else {
            self.store.tell(StoreNews::Trouble { member: server.id.serial, why });
        }
    }

    /// A server has ended; when it may be started again is the restart decider's.
    fn take_end(&mut self, place: usize, exit: &Exit) {
        let now = self.store.clock.now();
        let server = &mut self.servers[place];
        (server.process, server.refused) = (Process::Gone, None);
        if std::mem::take(&mut server.by_us) {
            server.backs_off = None;
            return;
        }
        let (asked, decision) = after_end(exit, (server.started_at, now), &mut server.memory);
        server.put_off(&decision);
        server.restarts += 1;
        let (member, restarts, memory) = (server.id.serial, server.restarts, server.memory);
        self.store.tell(StoreNews::Ended { member, restarts, memory, decided: Box::new((asked, decision)) });
    }

    /// Ends everything: the primary first, so that its standbys get the end of its log.
    async fn end(mut self) {
        self.store.tell(StoreNews::Leads { to: None, reads: Vec::new() });
        if let Some(pooler) = self.pooler.take() {
            pooler.end().await;
        }
        let primary = self.memory.primary;
        let others = (0..self.servers.len()).filter(|place| *place != primary);
        for place in std::iter::once(primary).chain(others) {
            let gone = timeout(GRACE.as_duration(), self.until_gone(place, STOP_SIGNAL)).await;
            if gone.is_err() {
                self.until_gone(place, SIGKILL).await;
            }
        }
    }

    /// Ends a member, and waits for that. What is sent may find nobody: a preparation has not begun yet, or the keeper is gone.
    async fn until_gone(&mut self, place: usize, signal: i32) {
        while self.servers[place].process != Process::Gone {
            // A preparation is ended by its process; it is done again another time.
            self.store.oneshots.kill(&format!("{}.prepare0", self.servers[place].process_id())).await;
            if self.servers[place].process == Process::Runs {
                self.servers[place].by_us = false;
                self.end_one(place, signal).await;
            }
            match timeout(RETRY_SLOW, self.news.recv()).await {
                Ok(Some(News::Runs { place: started })) => self.servers[started].process = Process::Runs,
                Ok(Some(News::Failed { place: ended, .. } | News::Ended { place: ended, .. })) => {
                    self.servers[ended].process = Process::Gone;
                }
                Ok(None) => return,
                Ok(Some(News::Waits { .. })) | Err(_) => {}
            }
        }
    }
}
