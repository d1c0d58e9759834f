//! Another program in the keeper's place (`exec`): children, statuses and descriptors stay.
//!
//! Invariant: nothing is handed over by name that could have changed meanwhile: children stay children, so their pids are
//! theirs until reaped; descriptors stay open under their numbers.

use crate::{
    Options,
    asks::failed,
    cgroup::Hierarchies,
    child::{Child, Record},
    keeper::{Due, Keeper},
    kept::Kept,
    launch, proc, raw,
    startup::{self, Foundation, StartError, act},
    trial::Trial,
};
use plimsoll_wire::{
    channel::{Channel, memfd, read_memfd},
    keeper::Answer,
    place::Place,
};
use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    io::{FdFlags, fcntl_setfd},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{CString, OsString},
    io,
    os::unix::ffi::OsStrExt,
    path::Path,
    time::{Duration, Instant},
};

/// Says in the environment which descriptor the handover is in.
pub(crate) const RESUME: &str = "PLIMSOLL_KEEPER_RESUME";
/// Another version is not understood.
const VERSION: u32 = 1;

/// What one keeper leaves to the program that replaces it.
#[derive(Debug, Serialize, Deserialize)]
struct Handover {
    version: u32,
    /// It is meant for this process only.
    pid: i32,
    took_over: bool,
    oom_score_adj: Option<String>,
    lock: i32,
    listener: i32,
    connections: Vec<Line>,
    kept: Vec<Held>,
    children: Vec<Life>,
    /// By log: a line whose end has not come yet.
    partial: BTreeMap<String, Vec<u8>>,
    /// What the engine is started from again if the new program's does not stay.
    #[serde(default)]
    former: Option<String>,
}

/// A connection.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    fd: i32,
    role: String,
    watches: Vec<String>,
    /// The number of the request that is still to be answered: this upgrade's.
    asked: Option<u64>,
}

/// A kept descriptor.
#[derive(Debug, Serialize, Deserialize)]
struct Held {
    fd: i32,
    name: String,
    listens: Option<(String, String)>,
}

/// A process.
#[derive(Debug, Serialize, Deserialize)]
struct Life {
    record: Record,
    own: bool,
    delay: Option<Duration>,
    waits: bool,
    retired: bool,
}

impl Keeper {
    /// Becomes that program. Returns only if that failed, which is then answered; else the new program answers.
    pub(crate) fn upgrade(&mut self, token: u64, number: u64, program: &str, former: Option<String>) {
        let why = if self.stopping.is_some() {
            "this system is being stopped".to_owned()
        } else {
            match self.become_program(token, number, Path::new(program), former) {
                Ok(never) => match never {},
                Err(error) => error.to_string(),
            }
        };
        self.reply(token, number, failed(format!("cannot become {program}: {why}")), None);
    }

    fn become_program(
        &mut self,
        token: u64,
        number: u64,
        program: &Path,
        former: Option<String>,
    ) -> io::Result<std::convert::Infallible> {
        rustix::fs::access(program, rustix::fs::Access::EXEC_OK)?;
        self.write_inventory();
        self.settle_connections();
        let mut handover = Handover { former, ..self.handover(token, number) };
        let replaced = self.replace_with(program, &handover);
        // This program goes on, and with it the lines that have begun.
        self.logs.set_partial(std::mem::take(&mut handover.partial));
        replaced
    }

    fn replace_with(&mut self, program: &Path, handover: &Handover) -> io::Result<std::convert::Infallible> {
        let text = memfd("plimsoll-handover", &serde_json::to_vec(handover)?)?;
        let args = std::iter::once(program.as_os_str().to_owned()).chain(std::env::args_os().skip(1));
        let args = args.map(string).collect::<io::Result<Vec<CString>>>()?;
        let env = std::env::vars_os().filter(|(name, _)| name != RESUME);
        let env = env.map(|(name, value)| [name, value].join(std::ffi::OsStr::new("=")));
        let env = env.chain([OsString::from(format!("{RESUME}={}", text.as_raw_fd()))]);
        let env = env.map(string).collect::<io::Result<Vec<CString>>>()?;
        self.note(&format!("becoming {}", program.display()));
        self.pass_on(&text, FdFlags::empty());
        let error = launch::replace(&string(program.as_os_str().to_owned())?, &args, &env);
        self.pass_on(&text, FdFlags::CLOEXEC);
        Err(error)
    }

    /// Whether the descriptors that are handed over stay open over an exec.
    fn pass_on(&self, text: &OwnedFd, flags: FdFlags) {
        let connections = self.connections.values().map(AsFd::as_fd);
        let kept = self.kept.values().map(|kept| kept.fd.as_fd());
        let own: [BorrowedFd<'_>; 3] = [self.lock.as_fd(), self.listener.as_fd(), text.as_fd()];
        for fd in own.into_iter().chain(connections).chain(kept) {
            let _ = fcntl_setfd(fd, flags);
        }
    }

    fn handover(&mut self, token: u64, number: u64) -> Handover {
        let connections = self.connections.iter().filter(|(_, connection)| !connection.has_queue());
        let connections = connections.map(|(own, connection)| Line {
            fd: connection.as_fd().as_raw_fd(),
            role: connection.role.clone(),
            watches: connection.watches.clone(),
            asked: (*own == token).then_some(number),
        });
        let kept = self.kept.iter().map(|(name, kept)| Held {
            fd: kept.fd.as_raw_fd(),
            name: name.clone(),
            listens: kept.listens.clone(),
        });
        let children = self.children.values().map(|child| Life {
            record: child.record.clone(),
            own: child.own,
            delay: child.delay,
            waits: child.waits,
            retired: child.retired,
        });
        Handover {
            version: VERSION,
            pid: proc::own_pid(),
            took_over: self.took_over,
            oom_score_adj: self.oom_score_adj.clone(),
            lock: self.lock.as_raw_fd(),
            listener: self.listener.as_raw_fd(),
            connections: connections.collect(),
            kept: kept.collect(),
            children: children.collect(),
            partial: self.logs.partial(),
            former: None,
        }
    }

    fn receive(&mut self, handover: Handover) {
        for held in handover.kept {
            if let Ok(fd) = raw::inherited(held.fd) {
                self.kept.insert(held.name, Kept { fd, listens: held.listens });
            }
        }
        for life in handover.children {
            self.resume_life(life);
        }
        self.logs.set_partial(handover.partial);
        for line in handover.connections {
            let Ok(token) = raw::inherited(line.fd).and_then(|fd| self.connect(Channel::new(fd))) else { continue };
            if let Some(connection) = self.connections.get_mut(&token) {
                connection.role = line.role;
                connection.watches = line.watches;
            }
            if let Some(number) = line.asked {
                self.reply(token, number, Answer::Done, None);
            }
        }
        self.note(&format!("resumed with {} processes", self.children.len()));
    }

    fn resume_life(&mut self, life: Life) {
        let Life { record, own, delay, waits, retired } = life;
        let (id, pid) = (record.process.id.clone(), record.process.pid);
        let (gone, ending) = (record.process.exit.is_some(), record.ended.is_some());
        if !gone && !ending && !own {
            // Adopted once more; if it has ended meanwhile, that is told.
            self.readmit(record);
        } else {
            self.reuse_log(record.log.as_deref());
            // A child of ours keeps its pid until we reap it.
            let pidfd = if own && !gone && !ending { proc::open(pid) } else { None };
            self.children.insert(id.clone(), Child::new(record, pidfd, own));
        }
        let Some(child) = self.children.get_mut(&id) else { return };
        (child.delay, child.waits, child.retired) = (delay, waits, retired);
        if waits {
            self.at(Instant::now() + delay.unwrap_or_default(), Due::Respawn(id));
        } else if ending {
            self.begin_ending(&id, None, BTreeSet::new(), 0);
        } else if own && !gone {
            self.by_pid.insert(pid, id);
        }
    }
}

fn string(text: OsString) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

/// A keeper that goes on where another program in this very process has stopped; `None` if there was none.
pub(crate) fn resume(options: &Options) -> Option<Result<Keeper, StartError>> {
    let number: i32 = std::env::var(RESUME).ok()?.parse().ok()?;
    let text = raw::inherited(number).and_then(read_memfd).ok()?;
    let handover: Handover = serde_json::from_slice(&text).ok()?;
    if handover.version != VERSION || handover.pid != proc::own_pid() {
        return None;
    }
    Some(go_on(options, handover))
}

fn go_on(options: &Options, handover: Handover) -> Result<Keeper, StartError> {
    let state = std::path::absolute(&options.state).map_err(act("tell the state directory"))?;
    let cookie = startup::cookie(&state).map_err(act("look at the state directory"))?;
    let foundation = Foundation {
        place: Place::new(&state),
        program: options.program.clone(),
        caps: options.log_caps,
        boot_id: proc::boot_id(),
        oom_score_adj: handover.oom_score_adj.clone(),
        hierarchies: Hierarchies::find(&cookie),
        cookie,
        lock: raw::inherited(handover.lock).map_err(act("keep the lock"))?,
        signals: raw::signals().map_err(act("take signals"))?,
        listener: raw::inherited(handover.listener).map_err(act("keep the socket"))?,
    };
    let mut keeper = Keeper::new(foundation).map_err(act("wait for events"))?;
    keeper.took_over = handover.took_over;
    keeper.trial = handover.former.clone().map(Trial::of);
    keeper.receive(handover);
    if options.engine {
        keeper.ensure_engine();
    }
    Ok(keeper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_keeper_of_the_first_version_hands_over_is_understood() {
        // Recorded from a keeper that was asked to become a program that wrote it down.
        let text = include_str!("../tests/recorded/handover-1.json");
        let handover: Handover = serde_json::from_str(text).unwrap();
        assert_eq!((handover.version, handover.former), (VERSION, None));
        assert_eq!((handover.children.len(), handover.kept.len(), handover.connections.len()), (4, 4, 3));
        assert!(handover.children.iter().any(|life| life.record.again.is_some()));
    }
}
