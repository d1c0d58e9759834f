//! What the keeper answers to each request.

use crate::{child::Child, keeper::Keeper, kept::Kept, spawn};
use plimsoll_wire::keeper::{Answer, Ask, Event, Inventory, Refusal, Request, Said, Spawn};
use rustix::{fd::OwnedFd, process::Signal};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

impl Keeper {
    /// Answers one message.
    pub(crate) fn answer(&mut self, token: u64, message: Value, fds: Vec<OwnedFd>) {
        let number = message.get("number").and_then(Value::as_u64).unwrap_or(0);
        match Request::deserialize(message) {
            Ok(request) => self.act(token, number, request.ask, fds),
            Err(error) => self.misunderstood(token, number, &error.to_string()),
        }
    }

    /// A message that makes no sense is answered, and the connection goes on.
    pub(crate) fn misunderstood(&mut self, token: u64, number: u64, why: &str) {
        self.reply(token, number, failed(format!("not understood: {why}")), None);
    }

    pub(crate) fn reply(&mut self, token: u64, number: u64, answer: Answer, fd: Option<OwnedFd>) {
        self.say(token, Said::Answer { number, answer }, fd);
    }

    fn act(&mut self, token: u64, number: u64, ask: Ask, fds: Vec<OwnedFd>) {
        let answer = match ask {
            Ask::Hello { version, role } => self.hello(token, version, role),
            Ask::Spawn(wish) => self.spawn(&wish),
            Ask::Signal { id, signal, whole } => self.signal(&id, signal, whole),
            Ask::Forget { id } => self.forget(&id),
            Ask::Retire { id } => self.retire(&id),
            Ask::Listen { name, address } => self.listen(&name, &address),
            Ask::Keep { name, if_missing: true } if self.kept.contains_key(&name) => Answer::Done,
            Ask::Keep { name, .. } => match fds.into_iter().next() {
                Some(fd) => {
                    self.keep(&name, Kept::of(fd));
                    Answer::Done
                }
                None => failed(format!("nothing came with the message to be kept as {name}")),
            },
            Ask::Take { name } => match self.taken(&name) {
                Some(fd) => return self.reply(token, number, Answer::Taken { name }, Some(fd)),
                None => failed(format!("nothing is kept as {name}")),
            },
            Ask::Drop { name } => {
                self.kept.remove(&name);
                Answer::Done
            }
            Ask::Watch { name } => return self.watch(token, number, name),
            Ask::List => Answer::Inventory(Inventory {
                processes: self.children.values().map(|child| child.record.process.clone()).collect(),
                kept: self.kept.keys().cloned().collect(),
            }),
            Ask::Stop { grace_ms } => {
                self.stop(Duration::from_millis(grace_ms));
                Answer::Done
            }
            Ask::Upgrade { program, former } => return self.upgrade(token, number, &program, former),
            Ask::Trust => {
                self.trial = None;
                Answer::Done
            }
        };
        self.reply(token, number, answer, None);
    }

    fn hello(&mut self, token: u64, version: u32, role: String) -> Answer {
        if !plimsoll_wire::understands(version) {
            return failed(format!("this keeper speaks version {}, not {version}", plimsoll_wire::VERSION));
        }
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.role = role;
        }
        Answer::Hello { version: plimsoll_wire::VERSION, pid: crate::proc::own_pid(), took_over: self.took_over }
    }

    fn spawn(&mut self, wish: &Spawn) -> Answer {
        if let Some(child) = self.children.get(&wish.id) {
            return Answer::Spawned(child.record.process.clone());
        }
        let refuse = |stage: &str, errno, detail: &str| {
            Answer::Refused(Refusal { stage: stage.to_owned(), errno, detail: detail.to_owned() })
        };
        if self.stopping.is_some() {
            return refuse("stopping", libc::ESHUTDOWN, "this system is being stopped");
        }
        if !spawn::is_name(&wish.id) {
            return refuse(
                "id",
                libc::EINVAL,
                "an id is 1 to 120 bytes, without a slash, and does not start with a dot",
            );
        }
        match self.start(wish) {
            Ok(process) => Answer::Spawned(process),
            Err(refusal) => Answer::Refused(refusal),
        }
    }

    fn signal(&mut self, id: &str, signal: i32, whole: bool) -> Answer {
        let Some(signal) = Signal::from_named_raw(signal) else {
            return failed(format!("there is no signal {signal}"));
        };
        match self.children.get(id) {
            Some(child) => {
                child.signal(signal, whole, &self.cookie);
                Answer::Done
            }
            None => failed(format!("no process {id} is known")),
        }
    }

    fn forget(&mut self, id: &str) -> Answer {
        match self.children.get(id) {
            None => failed(format!("no process {id} is known")),
            Some(child) if !child.is_gone() => failed(format!("{id} has not ended")),
            Some(child) if child.waits => failed(format!("{id} is about to be started again; retire it first")),
            Some(_) => {
                self.children.remove(id);
                self.changed(id);
                Answer::Done
            }
        }
    }

    fn retire(&mut self, id: &str) -> Answer {
        match self.children.get_mut(id) {
            Some(child) => {
                Child::retire(child);
                self.changed(id);
                Answer::Done
            }
            None => failed(format!("no process {id} is known")),
        }
    }

    fn watch(&mut self, token: u64, number: u64, name: String) {
        self.reply(token, number, Answer::Done, None);
        let now = self.taken(&name);
        if now.is_some() {
            self.say(token, Said::Event(Event::Kept { name: name.clone() }), now);
        }
        if let Some(connection) = self.connections.get_mut(&token)
            && !connection.watches.contains(&name)
        {
            connection.watches.push(name);
        }
    }
}

/// It was not done.
pub(crate) fn failed(why: String) -> Answer {
    Answer::Failed { why }
}
