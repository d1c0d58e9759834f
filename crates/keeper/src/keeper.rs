//! The keeper's state, and its one loop: wait for the kernel to tell something, act on it, write down what changed.
//!
//! Invariant: nothing in the loop waits for anybody: not for a process, a client, nor a slow reader of events.

use crate::{
    cgroup::Hierarchies,
    child::{Child, Part},
    connection::Connection,
    inventory::{Change, Ledger},
    kept::Kept,
    log_file::{Dropped, timestamp},
    logs::{Logs, NOTICE_EVERY},
    raw,
    startup::Foundation,
    stopping::Stopping,
    trial::Trial,
};
use plimsoll_wire::{
    channel::Channel,
    keeper::{Event, Said},
    place::Place,
};
use rustix::{
    event::{Timespec, epoll},
    fd::{AsFd, OwnedFd},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

/// Messages of one connection before others get their turn.
const MESSAGES: usize = 64;
/// One who asks much at once gets the first answers after so long; sooner, if there is nothing more to do.
const SILENCE: Duration = Duration::from_millis(5);
/// Ended children before others get their turn.
const REAPED: usize = 4096;
/// Events taken from the kernel at once.
const EVENTS: usize = 64;
/// How long processes may take to end when the keeper is told to by a signal.
const GRACE: Duration = Duration::from_secs(10);

/// What can tell something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Signals,
    Listener,
    Connection,
    /// The log of that name.
    Log(String),
    /// A process that is no child of ours.
    Adopted(String),
}

/// What is to be done at a certain time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    /// Start that process again.
    Respawn(String),
    /// Look whether the descendants of that process are gone.
    Sweep(String),
    /// Tell what was dropped of that log.
    Notice(String),
    /// Look whether the engine of a new program is trusted by now.
    Trial,
    /// Go on stopping.
    Stop,
}

/// All of it.
pub(crate) struct Keeper {
    pub(crate) place: Place,
    pub(crate) program: PathBuf,
    pub(crate) cookie: String,
    pub(crate) boot_id: String,
    pub(crate) took_over: bool,
    /// What our own `oom_score_adj` was before we protected ourselves; children get it back.
    pub(crate) oom_score_adj: Option<String>,
    pub(crate) hierarchies: Hierarchies,
    /// Held for as long as we live.
    pub(crate) lock: OwnedFd,
    epoll: OwnedFd,
    signals: OwnedFd,
    pub(crate) listener: OwnedFd,
    pub(crate) sources: BTreeMap<u64, Source>,
    next_token: u64,
    pub(crate) connections: BTreeMap<u64, Connection>,
    pub(crate) children: BTreeMap<String, Child>,
    /// Running children of ours, by pid.
    pub(crate) by_pid: BTreeMap<i32, String>,
    pub(crate) logs: Logs,
    pub(crate) kept: BTreeMap<String, Kept>,
    agenda: BTreeMap<(Instant, u64), Due>,
    inventory: Ledger,
    /// Processes of which something changed that the inventory tells.
    changed: BTreeSet<String>,
    pub(crate) stopping: Option<Stopping>,
    /// The engine is of a new program that is not trusted yet.
    pub(crate) trial: Option<Trial>,
    more_to_reap: bool,
}

impl Keeper {
    pub(crate) fn new(foundation: Foundation) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let logs = Logs::new(foundation.place.clone(), foundation.caps);
        let mut keeper = Self {
            place: foundation.place,
            program: foundation.program,
            cookie: foundation.cookie,
            boot_id: foundation.boot_id,
            took_over: false,
            oom_score_adj: foundation.oom_score_adj,
            hierarchies: foundation.hierarchies,
            lock: foundation.lock,
            epoll,
            signals: foundation.signals,
            listener: foundation.listener,
            sources: BTreeMap::new(),
            next_token: 0,
            connections: BTreeMap::new(),
            children: BTreeMap::new(),
            by_pid: BTreeMap::new(),
            logs,
            kept: BTreeMap::new(),
            agenda: BTreeMap::new(),
            inventory: Ledger::default(),
            changed: BTreeSet::new(),
            stopping: None,
            trial: None,
            more_to_reap: true,
        };
        rustix::io::ioctl_fionbio(&keeper.listener, true)?;
        let token = keeper.new_token(Source::Signals);
        register(&keeper.epoll, &keeper.signals, token)?;
        let token = keeper.new_token(Source::Listener);
        register(&keeper.epoll, &keeper.listener, token)?;
        Ok(keeper)
    }

    /// Serves until everything is stopped.
    pub(crate) fn serve(&mut self) -> ExitCode {
        loop {
            let stopped = self.proceed_stopping();
            self.write_inventory();
            self.settle_connections();
            if stopped {
                self.remove_traces();
                return ExitCode::SUCCESS;
            }
            for token in self.wait() {
                match self.sources.get(&token).cloned() {
                    Some(Source::Signals) => self.take_signals(),
                    Some(Source::Listener) => self.accept(),
                    Some(Source::Connection) => self.converse(token),
                    Some(Source::Log(name)) => self.pump(&name),
                    Some(Source::Adopted(id)) => self.adopted_ended(&id),
                    None => {}
                }
            }
            if self.more_to_reap {
                self.reap();
            }
            self.do_what_is_due();
        }
    }

    /// A number for a new source of events.
    pub(crate) fn new_token(&mut self, source: Source) -> u64 {
        self.next_token += 1;
        self.sources.insert(self.next_token, source);
        self.next_token
    }

    /// Has the kernel tell when there is something to read.
    pub(crate) fn listen_to(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        register(&self.epoll, fd, token)
    }

    /// The opposite; closing would not do where others have the same descriptor.
    pub(crate) fn ignore(&mut self, fd: impl AsFd, token: u64) {
        self.sources.remove(&token);
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Puts something on the agenda.
    pub(crate) fn at(&mut self, when: Instant, due: Due) {
        self.next_token += 1;
        self.agenda.insert((when, self.next_token), due);
    }

    /// Waits until something happens or is due.
    fn wait(&mut self) -> Vec<u64> {
        let until = self.agenda.keys().next().map(|(when, _)| when.saturating_duration_since(Instant::now()));
        let until = if self.more_to_reap { Some(Duration::ZERO) } else { until };
        let timeout = until.map(|wait| Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            // Rounded up, so that it is due when we wake.
            tv_nsec: i64::from(wait.subsec_nanos()),
        });
        let mut events = Vec::with_capacity(EVENTS);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) => events.iter().map(|event: &epoll::Event| event.data.u64()).collect(),
            Err(_) => Vec::new(),
        }
    }

    fn do_what_is_due(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= now
        {
            match entry.remove() {
                Due::Respawn(id) => self.respawn(&id),
                Due::Sweep(id) => self.sweep(&id),
                Due::Notice(name) => self.notice(&name),
                Due::Trial => self.end_trial(),
                // The loop itself looks at it.
                Due::Stop => {}
            }
        }
    }

    fn take_signals(&mut self) {
        for signal in raw::taken(&self.signals) {
            match signal {
                libc::SIGCHLD => self.more_to_reap = true,
                libc::SIGTERM | libc::SIGINT | libc::SIGQUIT => {
                    // The second time somebody is in a hurry.
                    let grace = if self.stopping.is_some() { Duration::ZERO } else { GRACE };
                    self.stop(grace);
                }
                _ => {}
            }
        }
    }

    /// Reaps children that have ended, adopted orphans too.
    fn reap(&mut self) {
        self.more_to_reap = false;
        for _ in 0..REAPED {
            let Some(pid) = raw::ended() else {
                self.sweep_all();
                return;
            };
            match self.by_pid.remove(&pid) {
                Some(id) => self.own_ended(&id, pid),
                None => {
                    raw::reap(pid);
                }
            }
        }
        self.more_to_reap = true;
    }

    fn accept(&mut self) {
        while let Ok(channel) = Channel::accept(&self.listener) {
            if let Err(error) = self.connect(channel) {
                self.note(&format!("cannot serve a connection: {error}"));
            }
        }
    }

    /// Talks with that one from now on.
    pub(crate) fn connect(&mut self, channel: Channel) -> io::Result<u64> {
        let connection = Connection::new(channel)?;
        let token = self.new_token(Source::Connection);
        if let Err(error) = register(&self.epoll, &connection, token) {
            self.sources.remove(&token);
            return Err(error);
        }
        self.connections.insert(token, connection);
        Ok(token)
    }

    fn converse(&mut self, token: u64) {
        let mut said = Instant::now();
        for _ in 0..MESSAGES {
            if said.elapsed() >= SILENCE {
                // Nothing is said that a successor would not know.
                self.write_inventory();
                self.settle_connections();
                said = Instant::now();
            }
            let Some(connection) = self.connections.get_mut(&token) else { return };
            match connection.receive() {
                Some(Ok((request, fds))) => self.answer(token, request, fds),
                Some(Err(error)) => self.misunderstood(token, 0, &error.to_string()),
                None => return,
            }
        }
    }

    /// Says something on one connection.
    pub(crate) fn say(&mut self, token: u64, said: Said, fd: Option<OwnedFd>) {
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.say(said, fd);
        }
    }

    /// Tells the engine.
    pub(crate) fn tell(&mut self, event: &Event) {
        for connection in self.connections.values_mut().filter(|one| one.role == crate::child::ENGINE) {
            connection.say(Said::Event(event.clone()), None);
        }
    }

    /// Closes broken connections, and has the kernel tell when a full one can be written to.
    pub(crate) fn settle_connections(&mut self) {
        let tokens: Vec<u64> = self.connections.keys().copied().collect();
        for token in tokens {
            let Some(connection) = self.connections.get_mut(&token) else { continue };
            connection.flush();
            if connection.broken {
                if connection.has_queue() {
                    let text = format!("{} does not read what it is told: disconnected", connection.role);
                    self.note(&text);
                }
                if let Some(connection) = self.connections.remove(&token) {
                    self.ignore(&connection, token);
                }
            } else if connection.has_queue() != connection.waits_to_write {
                connection.waits_to_write = connection.has_queue();
                let write = if connection.waits_to_write { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
                let flags = epoll::EventFlags::IN | write;
                let _ = epoll::modify(&self.epoll, &*connection, epoll::EventData::new_u64(token), flags);
            }
        }
    }

    fn pump(&mut self, name: &str) {
        if !self.logs.pump(name) {
            return;
        }
        let Some(log) = self.logs.open.get_mut(name) else { return };
        if log.notice_due {
            return;
        }
        log.notice_due = true;
        let now = Instant::now();
        let when = log.noticed_at.map_or(now, |at| (at + NOTICE_EVERY).max(now));
        self.at(when, Due::Notice(name.to_owned()));
    }

    fn notice(&mut self, name: &str) {
        let dropped = self.logs.told_dropped(name, Instant::now());
        self.tell_dropped(name, dropped);
    }

    /// Tells the engine what was dropped of a log, if something was.
    pub(crate) fn tell_dropped(&mut self, name: &str, dropped: Option<Dropped>) {
        if let Some(Dropped { bytes, refused }) = dropped {
            self.tell(&Event::LogDropped { log: name.to_owned(), bytes, refused });
        }
    }

    /// Something changed of that process which the inventory tells, or it is known no more.
    pub(crate) fn changed(&mut self, id: &str) {
        self.changed.insert(id.to_owned());
    }

    /// Writes down what another keeper would need, if it changed.
    pub(crate) fn write_inventory(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        let record = |child: &'_ Child| child.record.clone();
        let written = if self.inventory.is_to_be_rewritten() {
            self.inventory.rewrite(&self.place.inventory(), &self.boot_id, self.children.values().map(record))
        } else {
            let changes = changed.into_iter().map(|id| match self.children.get(&id) {
                Some(child) => Change::Put(Box::new(record(child))),
                None => Change::Gone(id),
            });
            self.inventory.append(changes)
        };
        if let Err(error) = written {
            self.note(&format!("cannot write {}: {error}", self.place.inventory().display()));
        }
    }

    /// Those of that part which are not gone.
    pub(crate) fn left(&self, part: Part) -> impl Iterator<Item = &Child> {
        self.children.values().filter(move |child| child.part() == part && !child.is_gone())
    }

    /// Says something in our own log (standard error, by then).
    #[expect(clippy::unused_self, reason = "reads as an act of the keeper's, and may need its place later")]
    pub(crate) fn note(&self, text: &str) {
        // A full disk is no reason to die, as `eprintln` would.
        let _ = writeln!(io::stderr(), "{} {text}", timestamp(SystemTime::now()));
    }
}

fn register(epoll: &OwnedFd, fd: impl AsFd, token: u64) -> io::Result<()> {
    Ok(epoll::add(epoll, fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?)
}
