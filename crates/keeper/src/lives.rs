//! Starting processes, seeing them end, ending what they leave behind, and starting them again.

use crate::{
    child::{Child, ENGINE, Ending, Record},
    keeper::{Due, Keeper, Source},
    proc, raw,
    raw::Reaped,
    spawn::{self, Ground, Streams},
    trial,
};
use plimsoll_wire::{
    channel::Channel,
    keeper::{Event, Exit, Process, Refusal, Spawn},
};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{Mode, OFlags},
};
use std::{
    collections::BTreeSet,
    io,
    time::{Duration, Instant},
};

/// How soon to look again whether descendants are gone; doubles.
const SWEEP_MIN: Duration = Duration::from_millis(1);
/// The longest pause between looks.
const SWEEP_MAX: Duration = Duration::from_millis(250);
/// A descendant that SIGKILL does not end within this hangs in the kernel; its ancestor's end is told nevertheless.
const SWEEP_LONGEST: Duration = Duration::from_secs(10);

impl Keeper {
    /// Starts a process that is not known yet, or starts one again.
    pub(crate) fn start(&mut self, wish: &Spawn) -> Result<Process, Refusal> {
        let (stdout, log) = self.output(wish)?;
        let result = self.input(wish).and_then(|(stdin, channel)| {
            let dir = self.place.state.parent().unwrap_or(&self.place.state);
            let ground = Ground {
                cookie: &self.cookie,
                hierarchies: &self.hierarchies,
                dir,
                oom_score_adj: self.oom_score_adj.as_deref(),
            };
            let streams = Streams { stdin: stdin.as_fd(), stdout: stdout.as_fd() };
            spawn::start(wish, &streams, &ground).map(|started| (started, channel))
        });
        let (started, channel) = match result {
            Ok(started) => started,
            Err(refusal) => {
                self.release_log(log.as_deref());
                return Err(refusal);
            }
        };
        if let Some(channel) = channel
            && let Err(error) = self.connect(channel)
        {
            self.note(&format!("cannot talk with {}: {error}", wish.id));
        }
        let record = Record {
            process: started.process,
            again: wish.respawn.then(|| Box::new(wish.clone())),
            log,
            group: started.group,
            ended: None,
        };
        let process = record.process.clone();
        self.by_pid.insert(process.pid, wish.id.clone());
        self.children.insert(wish.id.clone(), Child::new(record, Some(started.pidfd), true));
        self.changed(&wish.id);
        Ok(process)
    }

    /// What it gets as standard input, and our end of it.
    fn input(&self, wish: &Spawn) -> Result<(OwnedFd, Option<Channel>), Refusal> {
        let made = if wish.channel {
            Channel::pair().map(|(ours, theirs)| (theirs.into(), Some(ours)))
        } else {
            null().map(|null| (null, None))
        };
        made.map_err(|error| refused("channel", &error, "cannot make its standard input"))
    }

    /// What it gets as standard output, and the log that it counts as a user of.
    fn output(&mut self, wish: &Spawn) -> Result<(OwnedFd, Option<String>), Refusal> {
        let Some(name) = &wish.log else {
            let null = null().map_err(|error| refused("log", &error, "cannot open /dev/null"))?;
            return Ok((null, None));
        };
        if !spawn::is_name(name) {
            let error = io::Error::from_raw_os_error(libc::EINVAL);
            return Err(refused("log", &error, &format!("{name:?} can't be the name of a log")));
        }
        let opened = self.use_log(name).and_then(|()| self.logs.writer(name, wish.user));
        match opened {
            Ok(writer) => Ok((writer, Some(name.clone()))),
            Err(error) => {
                self.release_log(Some(name));
                Err(refused("log", &error, &format!("cannot open the log {name}")))
            }
        }
    }

    /// One process more writes to that log.
    pub(crate) fn use_log(&mut self, name: &str) -> io::Result<()> {
        let token = self.new_token(Source::Log(name.to_owned()));
        match self.logs.open(name, token) {
            Ok(true) => {
                if let Some(log) = self.logs.open.get(name) {
                    self.listen_to(log, token)?;
                }
            }
            Ok(false) => {
                self.sources.remove(&token);
            }
            Err(error) => {
                self.sources.remove(&token);
                return Err(error);
            }
        }
        if let Some(log) = self.logs.open.get_mut(name) {
            log.users += 1;
        }
        Ok(())
    }

    fn release_log(&mut self, name: Option<&str>) {
        let Some(name) = name else { return };
        if let Some((log, dropped)) = self.logs.release(name) {
            self.ignore(&log, log.token);
            self.tell_dropped(name, dropped);
        }
    }

    /// A child of ours has ended, and is not reaped yet.
    pub(crate) fn own_ended(&mut self, id: &str, pid: i32) {
        let Some(child) = self.children.get(id) else {
            raw::reap(pid);
            return;
        };
        // While it is not reaped, its pid still names its session and group, and no others.
        let until = proc::ticks();
        let mut known = BTreeSet::new();
        child.kill_descendants(&self.cookie, &mut known, until);
        child.kill_group();
        let reaped = raw::reap(pid);
        self.begin_ending(id, reaped, known, until);
    }

    /// A process that is not our child has ended.
    pub(crate) fn adopted_ended(&mut self, id: &str) {
        let Some(child) = self.children.get_mut(id) else { return };
        let (token, pidfd) = (child.token.take(), child.pidfd.as_ref().and_then(|fd| fd.try_clone().ok()));
        if let (Some(token), Some(pidfd)) = (token, pidfd) {
            self.ignore(&pidfd, token);
        }
        self.begin_ending(id, None, BTreeSet::new(), proc::ticks());
    }

    /// Its main process has ended; `reaped` is `None` where we were not its parent.
    pub(crate) fn begin_ending(&mut self, id: &str, reaped: Option<Reaped>, known: BTreeSet<i32>, session_until: u64) {
        let Some(child) = self.children.get_mut(id) else { return };
        let exit = child.record.ended.take().unwrap_or(Exit {
            code: reaped.and_then(|reaped| reaped.code),
            signal: reaped.and_then(|reaped| reaped.signal),
            oom: false,
            memory_peak: reaped.map(|reaped| reaped.memory_peak),
            cpu_us: reaped.map_or(0, |reaped| reaped.cpu_us),
            unknown: reaped.is_none(),
            at: spawn::micros_now(),
            stragglers: 0,
        });
        child.record.ended = Some(exit);
        child.ending = Some(Ending { known, since: Instant::now(), pause: SWEEP_MIN, session_until });
        self.changed(id);
        self.sweep(id);
    }

    /// Looks at all processes that are ending: something has just been reaped. The next planned look is not changed.
    pub(crate) fn sweep_all(&mut self) {
        let ending: Vec<String> =
            self.children.values().filter(|child| child.ending.is_some()).map(|child| child.id().to_owned()).collect();
        for id in ending {
            self.is_swept(&id);
        }
    }

    /// Ends what the process has left behind, and plans the next look if something still is.
    pub(crate) fn sweep(&mut self, id: &str) {
        if self.is_swept(id) {
            return;
        }
        let Some(ending) = self.children.get_mut(id).and_then(|child| child.ending.as_mut()) else { return };
        let when = Instant::now() + ending.pause;
        ending.pause = (ending.pause * 2).min(SWEEP_MAX);
        self.at(when, Due::Sweep(id.to_owned()));
    }

    /// Whether nothing is left of it, which is then told.
    fn is_swept(&mut self, id: &str) -> bool {
        let Some(child) = self.children.get_mut(id) else { return true };
        let Some(mut ending) = child.ending.take() else { return true };
        let empty = child.kill_descendants(&self.cookie, &mut ending.known, ending.session_until);
        if empty || ending.since.elapsed() >= SWEEP_LONGEST {
            self.finish(id, &ending);
            return true;
        }
        child.ending = Some(ending);
        false
    }

    /// All of it is gone.
    fn finish(&mut self, id: &str, ending: &Ending) {
        let Some(child) = self.children.get_mut(id) else { return };
        let Some(mut exit) = child.record.ended.take() else { return };
        exit.stragglers = u32::try_from(ending.known.len()).unwrap_or(u32::MAX);
        if let Some(group) = child.record.group.take() {
            let figures = group.figures();
            exit.oom = figures.oom;
            exit.memory_peak = figures.memory_peak.or(exit.memory_peak);
            exit.cpu_us = figures.cpu_us.unwrap_or(exit.cpu_us);
            group.remove();
        }
        child.record.process.exit = Some(exit.clone());
        let log = child.record.log.take();
        if id == ENGINE {
            self.judge_engine(&exit);
        }
        let Some(child) = self.children.get_mut(id) else { return };
        let again = child.record.again.is_some() && self.stopping.is_none();
        let mut delay = None;
        if again {
            child.waits = true;
            delay = Some(child.next_delay());
        }
        self.changed(id);
        self.release_log(log.as_deref());
        self.tell(&Event::Exited { id: id.to_owned(), exit });
        if let Some(delay) = delay {
            self.at(Instant::now() + delay, Due::Respawn(id.to_owned()));
        }
    }

    /// Starts it again, if it still is to be.
    pub(crate) fn respawn(&mut self, id: &str) {
        let Some(child) = self.children.get_mut(id) else { return };
        let Some(wish) = child.record.again.clone() else { return };
        if !child.waits || self.stopping.is_some() {
            return;
        }
        child.waits = false;
        let (delay, respawns) = (child.delay, child.record.process.respawns + 1);
        match self.start(&wish) {
            Ok(_) => {
                if id == ENGINE && self.trial.is_some() {
                    self.at(Instant::now() + trial::LONGEST, Due::Trial);
                }
                let Some(child) = self.children.get_mut(id) else { return };
                child.delay = delay;
                child.record.process.respawns = respawns;
                let process = child.record.process.clone();
                self.note(&format!("{id} was started again, as pid {}", process.pid));
                self.tell(&Event::Respawned(process));
            }
            Err(refusal) => {
                self.note(&format!("{id} could not be started again: {}", refusal.detail));
                self.start_later(&wish);
            }
        }
    }

    /// A process that is to run for ever could not be started: it is tried again, as after a bad end.
    pub(crate) fn start_later(&mut self, wish: &Spawn) {
        let id = &wish.id;
        let child = self.children.entry(id.clone()).or_insert_with(|| Child::new(never_started(wish), None, true));
        child.waits = true;
        child.began = Instant::now();
        let delay = child.next_delay();
        self.changed(id);
        self.at(Instant::now() + delay, Due::Respawn(id.clone()));
    }
}

/// The record of a process that has not been started yet.
fn never_started(wish: &Spawn) -> Record {
    let exit = Exit::unknown(spawn::micros_now());
    let process = Process {
        id: wish.id.clone(),
        pid: 0,
        start: 0,
        started_at: 0,
        cgroup: None,
        cpu_cgroup: None,
        unenforced: Vec::new(),
        exit: Some(exit),
        respawns: 0,
    };
    Record { process, again: Some(Box::new(wish.clone())), log: None, group: None, ended: None }
}

fn null() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}

/// A refusal because of that error.
pub(crate) fn refused(stage: &str, error: &io::Error, what: &str) -> Refusal {
    Refusal { stage: stage.to_owned(), errno: error.raw_os_error().unwrap_or(0), detail: format!("{what}: {error}") }
}
