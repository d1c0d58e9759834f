//! Taking over from a keeper that died: what it looked after still runs, and is looked after again.
//!
//! Invariant: a process is recognised by boot, pid and start time, or by the mark that only this system's processes carry.

use crate::{
    child::{Child, ENGINE, Record},
    inventory::Book,
    keeper::{Keeper, Source},
    logs::Logs,
    proc, spawn,
    upgrade::RESUME,
};
use plimsoll_wire::keeper::{Process, Spawn};
use std::{collections::BTreeSet, fs};

impl Keeper {
    /// Adopts what a former keeper left. `asked`: whoever started us says that there was one.
    pub(crate) fn take_over(&mut self, asked: bool) {
        let (book, was_there) = Book::read(&self.place.inventory());
        let damaged = was_there && book.is_none();
        let records = book.filter(|book| book.boot_id == self.boot_id).map(|book| book.records);
        self.took_over = asked || damaged || records.is_some();
        if damaged {
            self.note("the inventory is damaged: processes are recognised by their marks, statuses are lost");
        }
        if self.took_over {
            for record in records.unwrap_or_default() {
                self.readmit(record);
            }
            self.recognise();
            self.note(&format!("took over {} processes", self.children.len()));
        }
        let in_use = self.children.values().filter_map(|child| child.record.group.as_ref());
        let in_use: BTreeSet<String> = in_use.map(|group| group.name.clone()).collect();
        self.hierarchies.clear(&in_use);
    }

    /// Takes in one of the former keeper's processes.
    pub(crate) fn readmit(&mut self, record: Record) {
        let id = record.process.id.clone();
        let (pid, start) = (record.process.pid, record.process.start);
        if record.process.exit.is_some() && record.again.is_none() {
            self.children.insert(id, Child::new(record, None, false));
            return;
        }
        if record.process.exit.is_none()
            && record.ended.is_none()
            && let Some(pidfd) = proc::open_same(pid, start)
        {
            self.adopt(record, pidfd);
        } else if id != ENGINE {
            // Its descendants may live; when they are gone, its end is told, and it is started again if it is to be.
            self.reuse_log(record.log.as_deref());
            self.children.insert(id.clone(), Child::new(record, None, false));
            self.begin_ending(&id, None, BTreeSet::new(), 0);
        }
    }

    /// Looks after a living process that is no child of ours.
    fn adopt(&mut self, record: Record, pidfd: rustix::fd::OwnedFd) {
        let id = record.process.id.clone();
        let token = self.new_token(Source::Adopted(id.clone()));
        if let Err(error) = self.listen_to(&pidfd, token) {
            self.note(&format!("cannot watch {id}: {error}"));
        }
        self.reuse_log(record.log.as_deref());
        let mut child = Child::new(record, Some(pidfd), false);
        child.token = Some(token);
        self.children.insert(id, child);
    }

    pub(crate) fn reuse_log(&mut self, name: Option<&str>) {
        if let Some(name) = name
            && let Err(error) = self.use_log(name)
        {
            self.note(&format!("cannot open the log {name}: {error}"));
        }
    }

    /// Finds processes by their mark: those that were started too late to be written down are adopted, and descendants of
    /// ended ones are ended.
    fn recognise(&mut self) {
        for pid in proc::pids().into_iter().filter(|pid| *pid != proc::own_pid()) {
            let Some(pidfd) = proc::open(pid) else { continue };
            let Some(stat) = proc::stat(pid).filter(|stat| !stat.is_dead()) else { continue };
            let Some(mark) = proc::mark(pid) else { continue };
            let Some(id) = mark.strip_prefix(&self.cookie).and_then(|rest| rest.strip_prefix('/')) else { continue };
            match self.children.get(id) {
                Some(child) if !child.is_gone() => {}
                None if stat.session == pid && spawn::is_name(id) => {
                    let record = self.recognised(id, pid, stat.start);
                    self.adopt(record, pidfd);
                }
                _ => {
                    let _ = rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL);
                }
            }
        }
    }

    /// What can be known of a process that was not written down.
    fn recognised(&self, id: &str, pid: i32, start: u64) -> Record {
        let group = self.hierarchies.group_of(pid, &self.cookie);
        let stdout = fs::read_link(format!("/proc/{pid}/fd/1")).ok();
        let log = stdout.and_then(|path| Some(path.strip_prefix(Logs::fifos(&self.place)).ok()?.to_str()?.to_owned()));
        Record {
            process: Process {
                id: id.to_owned(),
                pid,
                start,
                started_at: spawn::micros_now(),
                cgroup: group.as_ref().and_then(crate::cgroup::Group::main_folder),
                cpu_cgroup: group.as_ref().and_then(crate::cgroup::Group::accounting_folder),
                unenforced: Vec::new(),
                exit: None,
                respawns: 0,
            },
            again: None,
            log: log.filter(|name| spawn::is_name(name)),
            group,
            ended: None,
        }
    }

    /// Starts the engine, unless one that was taken over still runs. The next one will be of our own program.
    pub(crate) fn ensure_engine(&mut self) {
        let wish = self.engine();
        if let Some(child) = self.children.get_mut(ENGINE) {
            child.record.again = Some(Box::new(wish));
            return;
        }
        if let Err(refusal) = self.start(&wish) {
            self.note(&format!("the engine could not be started: {}", refusal.detail));
            self.start_later(&wish);
        }
    }

    /// How the engine is started.
    pub(crate) fn engine(&self) -> Spawn {
        let own =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Spawn {
            id: ENGINE.to_owned(),
            program: self.program.to_string_lossy().into_owned(),
            args: vec!["engine".to_owned(), "--state".to_owned(), self.place.state.to_string_lossy().into_owned()],
            env: own.filter(|(name, _)| name != proc::MARK && name != RESUME).collect(),
            log: Some(ENGINE.to_owned()),
            channel: true,
            respawn: true,
            ..Spawn::default()
        }
    }
}
