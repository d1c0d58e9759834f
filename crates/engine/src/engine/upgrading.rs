//! Plimsoll's own upgrade: what is seen of it is told to `control::upgrade`, and what that says is done.

use super::{Engine, turning::Wake};
use crate::{
    candidate::{self, Found, program_of},
    input::Input,
    watched::watched,
};
use plimsoll_api::status::UpgradeStatus;
use plimsoll_control::upgrade::{
    self, Act, Gateway, Policy, Program, Standing, UnderWay, gateway_name, gateway_number,
};
use plimsoll_journal::entry::Entry;
use plimsoll_model::Instant;
use plimsoll_wire::{
    VERSION,
    channel::Channel,
    gateway::{Ask, Figures},
    keeper::{Exit, Inventory},
    place::Place,
};
use std::io;
use tokio::{io::Interest, sync::oneshot};

/// Steps that may follow each other without waiting for anything; more would be a decider that turns in circles.
const STEPS: usize = 16;

/// What is known of an upgrade beside what is remembered.
#[derive(Default)]
pub(super) struct Upgrading {
    /// A program is being asked whether it could take over.
    checking: bool,
    keeper_asked: bool,
    keeper_problem: Option<String>,
    /// The gateway that was to take over has ended.
    next_ended: Option<String>,
    /// The number of a gateway that the keeper was asked to start.
    started: Option<u32>,
    /// Gateways that are being told to retire, and that were.
    retiring: Option<u32>,
    retired: Option<u32>,
    /// What is waited for.
    detail: String,
    leaving: bool,
}

impl Engine {
    /// This engine leaves its place to one of another program.
    pub(crate) fn is_leaving(&self) -> bool {
        self.upgrading.leaving
    }

    /// The number of the gateway that serves.
    pub(super) fn current_gateway(&self) -> u32 {
        self.record.remembered.upgrade.current
    }

    /// A person wants that program in place of the one that runs: it is asked whether it could.
    pub(super) fn ask_candidate(&mut self, program: String, reply: oneshot::Sender<Result<u64, String>>) {
        if std::mem::replace(&mut self.upgrading.checking, true) {
            reply.send(Err("another program is being asked already; try again in a moment".into())).ok();
            return;
        }
        let (oneshots, inputs, place) = (self.oneshots.clone(), self.inputs.clone(), self.place.clone());
        let (keeper, gateway) = (self.keeper.clone(), gateway_name(self.current_gateway()));
        let id = format!("upgrade.check.{}", self.clock.now().0);
        tokio::task::spawn_local(async move {
            let mut found = Box::new(candidate::ask(&oneshots, &place, program, id).await);
            let inventory = keeper.list().await.unwrap_or_default();
            found.gateway = inventory.processes.iter().find(|process| process.id == gateway).map(|process| process.pid);
            inputs.send(Input::Candidate { found, reply }).ok();
        });
    }

    /// It has answered: the upgrade begins, or is refused.
    pub(super) fn take_candidate(&mut self, found: Found, reply: oneshot::Sender<Result<u64, String>>) {
        self.upgrading.checking = false;
        reply.send(self.begin_upgrade(found)).ok();
    }

    fn begin_upgrade(&mut self, found: Found) -> Result<u64, String> {
        let from = found.from?;
        let pids = [Some(self.keeper_pid), Some(std::process::id().cast_signed()), found.gateway];
        let is_it = |pid: &i32| program_of(*pid).is_some_and(|program| program.file == found.to.file);
        let mut running = vec![("keeper".to_owned(), self.keeper.version()), ("engine".into(), VERSION)];
        if let Some(figures) = self.gateways.all().get(&gateway_name(self.current_gateway())) {
            running.push(("gateway".into(), figures.version));
        }
        let standing = Standing {
            candidate: Some(found.candidate),
            running,
            same: pids.iter().flatten().all(is_it),
            ending: self.record.remembered.ending.is_some(),
            under_way: self.record.remembered.upgrade.under_way.as_ref().map(|under_way| under_way.to.path.clone()),
            critical: self.critical_steps(),
        };
        upgrade::check(&standing)?;
        let mut memory = self.record.remembered.upgrade.clone();
        let message = format!("to {}", found.to.path);
        memory.begin(found.to, from, self.clock.now());
        let attempt = memory.attempt;
        self.record.commit(Entry::Upgrade(Box::new(memory))).map_err(|error| plimsoll_journal::chain(&error))?;
        self.upgrading = Upgrading::default();
        self.tell("plimsoll", "Upgrading", &message, false);
        Ok(attempt)
    }

    /// What an engine that leaves would interrupt, and could not go on with as well.
    fn critical_steps(&self) -> Vec<String> {
        let forming = self.stores.iter().map(|(name, state)| (name.as_str(), state.phase));
        let preparing = self.releases.iter().filter(|(_, release)| release.preparing.is_some());
        upgrade::critical(forming, preparing.map(|(name, _)| name.as_str()))
    }

    /// Goes on with an upgrade, if there is one.
    pub(super) fn consider_upgrade(&mut self, now: Instant, wake: &mut Wake) {
        for _ in 0..STEPS {
            let before = &self.record.remembered.upgrade;
            let Some(under_way) = before.under_way.as_ref().filter(|_| !self.upgrading.leaving) else { return };
            let mut memory = before.clone();
            let decision = upgrade::decide(&Policy::default(), &mut memory, &self.upgrade_seen(now, under_way));
            wake.at(decision.again_at);
            let changed = memory != *before;
            if memory.under_way.as_ref().is_some_and(|after| after.to != under_way.to) {
                self.upgrading = Upgrading::default();
            }
            if changed && let Err(error) = self.record.commit(Entry::Upgrade(Box::new(memory))) {
                // Nothing is done that would not be known of later; asked again when the disk may be better.
                self.record.trouble = Some(plimsoll_journal::chain(&error));
                return;
            }
            self.upgrading.detail = decision.reason;
            if let Some(news) = decision.news {
                self.tell("plimsoll", news.reason, &news.message, news.warning);
            }
            self.carry_out(decision.act);
            if !changed {
                return;
            }
        }
    }

    fn upgrade_seen(&self, now: Instant, under_way: &UnderWay) -> upgrade::Seen {
        let is_new = |pid: i32| program_of(pid).is_some_and(|program| program.file == under_way.to.file);
        let current = self.current_gateway();
        upgrade::Seen {
            at: now,
            next: self.next_gateway(under_way.next),
            old_drains: self.upgrading.retired == Some(current),
            keeper: upgrade::Keeper {
                is_new: is_new(self.keeper_pid),
                asked: self.upgrading.keeper_asked,
                problem: self.upgrading.keeper_problem.clone(),
            },
            engine_is_new: is_new(std::process::id().cast_signed()),
            critical: self.critical_steps(),
        }
    }

    fn next_gateway(&self, number: u32) -> Gateway {
        if let Some(why) = &self.upgrading.next_ended {
            return Gateway::Ended(why.clone());
        }
        let served = self.routes.table.edition;
        match self.gateways.all().get(&gateway_name(number)) {
            // Without routes there is nothing to listen to.
            Some(figures) if served == 0 || (figures.edition >= served && figures.listening != Some(false)) => {
                Gateway::Ready
            }
            Some(_) => Gateway::Starting,
            None if self.upgrading.started == Some(number) => Gateway::Starting,
            None => Gateway::Absent,
        }
    }

    fn carry_out(&mut self, act: Act) {
        match act {
            Act::Wait => {}
            Act::StartGateway(number, program) => {
                self.upgrading.started = Some(number);
                self.spawn_gateway(number, program.path);
                self.follow_gateway(number);
            }
            Act::ReplaceKeeper(to, from) => self.replace_keeper(to, from),
            Act::EndKeeper => {
                if let Some(pid) = rustix::process::Pid::from_raw(self.keeper_pid) {
                    rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
                }
            }
            Act::Retire(number) => self.retire_gateway(number),
            Act::EndGateway(number) => {
                let (keeper, id) = (self.keeper.clone(), gateway_name(number));
                tokio::task::spawn_local(async move {
                    keeper.retire(&id).await.ok();
                    keeper.signal(&id, 15, false).await.ok();
                });
            }
            Act::Leave => self.upgrading.leaving = true,
            Act::Trust => {
                if self.record.remembered.upgrade.outcome.as_ref().is_some_and(|outcome| outcome.done) {
                    // Nothing runs from it, and nothing will.
                    std::fs::remove_file(self.place.former_program()).ok();
                }
                let keeper = self.keeper.clone();
                tokio::task::spawn_local(async move { keeper.trust().await });
            }
        }
    }

    fn replace_keeper(&mut self, to: Program, from: Option<Program>) {
        self.upgrading.keeper_asked = true;
        let (keeper, inputs, pid) = (self.keeper.clone(), self.inputs.clone(), self.keeper_pid);
        tokio::task::spawn_local(async move {
            let became = keeper.upgrade(&to.path, from.map(|from| from.path)).await.map_err(|error| error.to_string());
            let is_it = || program_of(pid).is_some_and(|program| program.file == to.file);
            let became = became.and_then(|()| if is_it() { Ok(()) } else { Err("it is another program".into()) });
            inputs.send(Input::KeeperUpgraded(became)).ok();
        });
    }

    /// The keeper has answered, or died of it.
    pub(super) fn take_keeper_upgraded(&mut self, became: Result<(), String>) {
        self.upgrading.keeper_asked = false;
        self.upgrading.keeper_problem = became.err();
    }

    /// The gateway that is to take over could not be started.
    pub(super) fn take_gateway_refusal(&mut self, why: String) {
        self.upgrading.next_ended = Some(why);
    }

    /// Has a gateway accept no more; it is never started again, and ends when what is open has ended.
    fn retire_gateway(&mut self, number: u32) {
        if self.upgrading.retiring.replace(number) == Some(number) {
            return;
        }
        let (keeper, inputs, place) = (self.keeper.clone(), self.inputs.clone(), self.place.clone());
        tokio::task::spawn_local(async move {
            let id = gateway_name(number);
            keeper.retire(&id).await.ok();
            // One that can't be reached has ended, and is not started again.
            tell_to_retire(&place, &id).await.ok();
            let gone = keeper.forget(&id).await.is_ok();
            inputs.send(Input::Retired(number, gone)).ok();
        });
    }

    /// A gateway was told to retire.
    pub(super) fn take_retired(&mut self, number: u32, gone: bool) {
        if gone {
            self.unfollow_gateway(number);
        }
        self.upgrading.retiring = None;
        self.upgrading.retired = Some(number);
    }

    /// Gateways that run are followed; those that neither serve nor are to take over are let go.
    pub(super) fn adopt_gateways(&mut self, inventory: &Inventory) {
        let memory = &self.record.remembered.upgrade;
        let (current, next) = (memory.current, memory.next());
        for process in &inventory.processes {
            let Some(number) = gateway_number(&process.id) else { continue };
            let keep = number == current || Some(number) == next;
            if process.exit.is_some() && !keep {
                self.forget_gateway(number);
            } else if process.exit.is_none() {
                self.follow_gateway(number);
                if !keep {
                    self.upgrading.retiring = None;
                    self.retire_gateway(number);
                }
            }
            if Some(number) == next {
                self.upgrading.started = next;
            }
        }
        self.upgrading.retiring = None;
    }

    /// A gateway has ended. One that serves is started again by the keeper.
    pub(super) fn take_gateway_exit(&mut self, number: u32, exit: &Exit) {
        self.gateways.ended(&gateway_name(number));
        let memory = &self.record.remembered.upgrade;
        if Some(number) == memory.next() {
            self.upgrading.next_ended = Some(crate::exit::ended(exit));
        } else if number != memory.current {
            self.forget_gateway(number);
        }
    }

    fn forget_gateway(&mut self, number: u32) {
        self.unfollow_gateway(number);
        let (keeper, id) = (self.keeper.clone(), gateway_name(number));
        tokio::task::spawn_local(async move { keeper.forget(&id).await });
    }

    /// For whoever asks.
    pub(super) fn upgrade_status(&self) -> Option<UpgradeStatus> {
        let memory = &self.record.remembered.upgrade;
        if memory.attempt == 0 {
            return None;
        }
        let (under_way, outcome) = (memory.under_way.as_ref(), memory.outcome.clone().unwrap_or_default());
        Some(UpgradeStatus {
            attempt: memory.attempt,
            to: under_way.map(|under_way| under_way.to.path.clone()).unwrap_or_default(),
            under_way: under_way.is_some(),
            done: outcome.done,
            message: if under_way.is_some() { self.upgrading.detail.clone() } else { outcome.message },
        })
    }
}

/// Tells the gateway of that id to retire, and waits for its answer.
async fn tell_to_retire(place: &Place, id: &str) -> io::Result<()> {
    let channel = watched(Channel::connect(&place.gateway_socket(id))?)?;
    let grace_ms = Policy::default().longest.0;
    channel.async_io(Interest::WRITABLE, |channel| channel.send(&Ask::Retire { grace_ms }, &[])).await?;
    channel.async_io(Interest::READABLE, |channel| channel.receive::<Figures>()).await.map(drop)
}
