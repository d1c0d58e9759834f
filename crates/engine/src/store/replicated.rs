//! A store with standbys: its members are looked at, `control::failover` decides, and this acts.
//!
//! Invariant: what a decision changes for good is on disk before anything that follows from it is done.

use super::{
    RETRY_SLOW, StoreRun, ended, member, restart_policy,
    server::{News, SIGINT, SIGKILL, Server, Start},
};
use crate::input::StoreNews;
use futures_util::future::join_all;
use plimsoll_control::{
    account::{Failover, Restart},
    failover::{self, Act, Decision, Memory, Preparation, Process, Role, Seen},
    restart,
};
use plimsoll_model::{Instant, Millis};
use plimsoll_stores::{Driver, Inspection, MemberSeen, postgres::Postgres};
use plimsoll_wire::keeper::Exit;
use std::rc::Rc;
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, sleep_until, timeout},
};

/// How long a start that failed before its server ran is put off.
const FAILED_WAIT: Millis = Millis::from_secs(1);
/// How long a server may take to end cleanly before it is killed.
const GRACE: Millis = Millis::from_secs(30);

/// The store's members and what is known of them.
pub(super) struct Replicated<'a> {
    store: &'a mut StoreRun,
    driver: Rc<Driver>,
    servers: Vec<Server>,
    memory: Memory,
    news: mpsc::UnboundedReceiver<News>,
    sender: mpsc::UnboundedSender<News>,
    /// The primary for whom what services need was made: its epoch and its start.
    provisioned: Option<(u64, u32)>,
    leads: (Option<usize>, Vec<usize>),
    /// What was told last.
    told: (Option<String>, String),
    /// The phase that was told last, and how its members were.
    said: (&'static str, String),
    shown: Option<Inspection>,
    ready: bool,
    /// The last wish of a person's that was decided about.
    granted: u64,
}

impl<'a> Replicated<'a> {
    pub(super) fn new(store: &'a mut StoreRun, driver: Rc<Driver>) -> Self {
        let servers = (0..store.site.ports.len()).map(|place| Server::new(store, place)).collect();
        let (sender, news) = mpsc::unbounded_channel();
        let memory = store.failover.clone();
        let (provisioned, leads, told) = (None, (None, Vec::new()), (None, String::new()));
        let (said, shown) = (("", String::new()), None);
        let granted = store.wish.borrow().0;
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
            shown,
            ready: false,
            granted,
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
        let Ok(inventory) = self.store.keeper.list().await else { return };
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

    /// Looks, decides, writes down, acts. When to do so again at the latest.
    async fn turn(&mut self) -> Instant {
        let mut seen = self.look().await;
        let (wished, wish) = *self.store.wish.borrow();
        seen.asked = wish.filter(|_| wished > self.granted);
        let policy = self.store.policy.borrow().clone();
        let before = self.memory.clone();
        let decision = failover::decide(&policy, &mut self.memory, &seen);
        if seen.asked.is_some() {
            self.granted = wished;
        }
        if self.memory.lasting() != before.lasting() && !self.write_down().await {
            self.memory = before;
            self.store.phase("Failed", "who is its primary can't be written down: nothing is changed");
            return self.store.clock.now().after(Millis::from_secs(1));
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
        for act in later {
            self.act(act).await;
        }
        self.show(&seen);
        let now = self.store.clock.now();
        let again = decision.again_at.unwrap_or_else(|| now.after(failover::LOOK_EVERY));
        if served { again } else { again.min(now.after(Millis(50))) }
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
            }
        });
        let members = members.collect();
        Seen { at: now, members, asked: None }
    }

    /// Whether the lasting part of the memory is on disk.
    async fn write_down(&self) -> bool {
        let (written, answer) = oneshot::channel();
        self.store.tell(StoreNews::Failover { memory: Box::new(self.memory.lasting()), written });
        answer.await.unwrap_or(false)
    }

    /// Tells of what is new.
    fn tell(&mut self, asked: Failover, decision: &Decision) {
        let now = (decision.event.clone(), decision.reason.clone());
        if decision.event.is_some() && now != self.told {
            self.store.tell(StoreNews::Decided { decided: Box::new((asked, decision.clone())) });
        }
        self.told = now;
    }

    /// Has its addresses lead where they are to.
    fn lead(&mut self, decision: &Decision) {
        let now = (decision.leads_to, decision.reads.clone());
        if now != self.leads {
            self.leads = now.clone();
            self.store.tell(StoreNews::Leads { to: now.0, reads: now.1 });
        }
    }

    /// Makes what services need at a new primary; tells whether the store can be used. `false`: try again soon.
    async fn serve(&mut self, decision: &Decision, seen: &Seen) -> bool {
        let Some(primary) = decision.leads_to.filter(|place| seen.members[*place].answer.is_some()) else {
            if self.ready || decision.leads_to.is_none() {
                self.ready = false;
                self.phase("Starting", decision.reason.clone());
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
        let follows = |member: &failover::Member| member.answer.as_ref().is_some_and(|answer| answer.streams);
        if self.store.policy.borrow().synchronous && !seen.members.iter().any(follows) {
            self.ready = false;
            self.phase("Forming", "commits wait for a standby, and none follows yet".into());
        } else if !self.ready {
            self.ready = true;
            self.phase("Ready", decision.reason.clone());
        }
        true
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Start { member, role } => self.start(member, role),
            Act::Fence { member } => self.end_one(member, SIGKILL).await,
            Act::Stop { member } => self.end_one(member, SIGINT).await,
            Act::Promote { member } => {
                let Some(postgres) = self.postgres() else { return };
                // Asked again at the next turn, as long as it is none.
                postgres.promote(member).await.ok();
            }
            Act::Follow { member, of } => {
                let Some(postgres) = self.postgres() else { return };
                postgres.follow(member, of).await.ok();
            }
        }
    }

    async fn end_one(&mut self, place: usize, signal: i32) {
        let server = &mut self.servers[place];
        if !server.by_us || signal == SIGKILL {
            server.by_us = true;
            self.store.keeper.signal(&server.process_id(), signal, signal == SIGKILL).await.ok();
        }
    }

    fn start(&mut self, place: usize, role: Role) {
        let server = &mut self.servers[place];
        server.attempt += 1;
        (server.process, server.failed, server.by_us) = (Process::Preparing, None, false);
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
            limits: member::limits_of(self.store),
            keeper: self.store.keeper.clone(),
            oneshots: self.store.oneshots.clone(),
            clock: self.store.clock,
            news: self.sender.clone(),
        }
    }

    fn take(&mut self, news: Option<News>) {
        match news {
            Some(News::Runs { place }) => self.servers[place].process = Process::Runs,
            Some(News::Failed { place, by, why }) => {
                let server = &mut self.servers[place];
                (server.process, server.failed) = (Process::Gone, Some(by));
                server.backs_off = Some(self.store.clock.now().after(FAILED_WAIT));
                let words = format!("{} could not be started: {why}", server.id);
                if place == self.memory.primary {
                    self.ready = false;
                    self.phase("Failed", words);
                } else {
                    self.store.tell(StoreNews::Trouble { member: server.id.serial, why });
                }
            }
            Some(News::Ended { place, exit }) => self.take_end(place, &exit),
            None => {}
        }
    }

    /// A server has ended; when it may be started again is the restart decider's.
    fn take_end(&mut self, place: usize, exit: &Exit) {
        let now = self.store.clock.now();
        let server = &mut self.servers[place];
        server.process = Process::Gone;
        if std::mem::take(&mut server.by_us) {
            server.backs_off = None;
            return;
        }
        let seen = ended(now, server.started_at, exit);
        let asked = Restart { policy: restart_policy(), memory: server.memory, seen };
        let decision = restart::decide(&asked.policy, &mut server.memory, &seen);
        server.backs_off = match decision.act {
            restart::Act::At(until) => Some(until),
            restart::Act::Now | restart::Act::Never => None,
        };
        server.restarts += 1;
        let (member, restarts, memory) = (server.id.serial, server.restarts, server.memory);
        self.store.tell(StoreNews::Ended { member, restarts, memory, decided: Box::new((asked, decision)) });
    }

    /// Tells how its members are.
    fn show(&mut self, seen: &Seen) {
        let end = self.memory.positions.last().map(|(_, position)| *position);
        let members: Vec<MemberSeen> =
            seen.members.iter().enumerate().map(|(place, member)| self.shown(place, member, end)).collect();
        let healthy = self.ready && members.iter().all(|member| member.ok);
        let standbys = members.iter().filter(|member| member.role == "standby" && member.ok).count();
        let summary = format!(
            "member {} is the primary (epoch {}, timeline {}), {standbys} standbys follow",
            self.memory.primary + 1,
            self.memory.epoch,
            self.memory.timeline
        );
        let inspection = Inspection { members, healthy, summary };
        if self.shown.as_ref() != Some(&inspection) {
            self.store.tell(StoreNews::Inspected(inspection.clone()));
            self.shown = Some(inspection);
        }
    }

    fn shown(&self, place: usize, member: &failover::Member, end: Option<u64>) -> MemberSeen {
        let name = place.to_string();
        let Some(answer) = &member.answer else {
            let detail = match member.process {
                Process::Gone => "does not run",
                Process::Preparing => "its data is being made ready",
                Process::Runs => "does not answer yet",
            };
            let (role, detail) = ("unknown".to_owned(), detail.to_owned());
            return MemberSeen { name, role, lag_bytes: None, ok: false, detail };
        };
        let at = format!("timeline {}, log up to {}", answer.timeline, failover::lsn(answer.position));
        if !answer.recovering {
            let ok = place == self.memory.primary;
            return MemberSeen { name, role: "primary".into(), lag_bytes: None, ok, detail: at };
        }
        let lag_bytes = end.map(|end| end.saturating_sub(answer.replayed));
        let behind = self.memory.behind(answer.replayed, self.store.clock.now());
        let lag = match (lag_bytes, behind) {
            (Some(bytes), Some(time)) => format!("{bytes} bytes and {time} behind"),
            (Some(bytes), None) => format!("{bytes} bytes behind"),
            _ => "how far behind is not known".into(),
        };
        let follows = if answer.streams { "follows" } else { "does not follow" };
        let detail = format!("{follows}, {lag}, {at}");
        MemberSeen { name, role: "standby".into(), lag_bytes, ok: answer.streams, detail }
    }

    /// Ends everything: the primary first, so that its standbys get the end of its log.
    async fn end(mut self) {
        self.store.tell(StoreNews::Leads { to: None, reads: Vec::new() });
        let primary = self.memory.primary;
        let others = (0..self.servers.len()).filter(|place| *place != primary);
        for place in std::iter::once(primary).chain(others) {
            // A preparation is ended by its process; it is done again another time.
            self.store.oneshots.kill(&format!("{}.prepare0", self.servers[place].process_id())).await;
            self.servers[place].by_us = false;
            self.end_one(place, SIGINT).await;
            let gone = timeout(GRACE.as_duration(), self.until_gone(place)).await;
            if gone.is_err() {
                self.end_one(place, SIGKILL).await;
                self.until_gone(place).await;
            }
        }
    }

    async fn until_gone(&mut self, place: usize) {
        while self.servers[place].process != Process::Gone {
            match timeout(RETRY_SLOW, self.news.recv()).await {
                Ok(Some(News::Runs { place: started })) => {
                    self.servers[started].process = Process::Runs;
                    self.servers[started].by_us = false;
                    self.end_one(started, SIGINT).await;
                }
                Ok(Some(News::Failed { place: ended, .. } | News::Ended { place: ended, .. })) => {
                    self.servers[ended].process = Process::Gone;
                }
                Ok(None) => return,
                Err(_) => {}
            }
        }
    }
}
