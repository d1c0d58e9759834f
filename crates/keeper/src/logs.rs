//! The logs of all processes: a named FIFO each, which outlives us, and the file that we write from it.
//!
//! Writers open the FIFO for reading and writing, so that it does not break when its reader dies: what they write waits for
//! the next keeper.

use crate::log_file::{Dropped, LogCaps, LogFile};
use plimsoll_wire::{keeper::User, place::Place};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{CWD, Mode, OFlags},
};
use std::{
    collections::BTreeMap,
    io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::PathBuf,
    time::{Duration, Instant},
};

/// Read at once from a FIFO.
const CHUNK: usize = 64 * 1024;
/// So many chunks at most before others get their turn.
const CHUNKS: usize = 16;
/// What the FIFO holds while we are busy, or dead; more than the kernel's 64 KiB, far less than would hurt.
const FIFO_BYTES: usize = 256 * 1024;
/// Dropping is told at most so often.
pub(crate) const NOTICE_EVERY: Duration = Duration::from_secs(1);

/// A log that is open.
pub(crate) struct Log {
    fifo: OwnedFd,
    path: PathBuf,
    file: LogFile,
    /// How many processes write to it.
    pub(crate) users: usize,
    /// Its token among the sources of events.
    pub(crate) token: u64,
    /// When dropping was told last.
    pub(crate) noticed_at: Option<Instant>,
    /// It is on the agenda to be told.
    pub(crate) notice_due: bool,
}

/// All open logs, by name.
pub(crate) struct Logs {
    place: Place,
    caps: LogCaps,
    pub(crate) open: BTreeMap<String, Log>,
    buffer: Vec<u8>,
}

impl Logs {
    pub(crate) fn new(place: Place, caps: LogCaps) -> Self {
        Self { place, caps, open: BTreeMap::new(), buffer: vec![0; CHUNK] }
    }

    /// The folder of FIFOs.
    pub(crate) fn fifos(place: &Place) -> PathBuf {
        place.run.join("fifo")
    }

    /// Opens the log if it is not open, which makes its FIFO if there is none. Whether it was opened.
    pub(crate) fn open(&mut self, name: &str, token: u64) -> io::Result<bool> {
        if self.open.contains_key(name) {
            return Ok(false);
        }
        let path = Self::fifos(&self.place).join(name);
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.file_type().is_fifo() => {}
            Ok(_) => {
                std::fs::remove_file(&path)?;
                make_fifo(&path)?;
            }
            Err(_) => make_fifo(&path)?,
        }
        // For writing too: a FIFO without a writer would report its end again and again.
        let fifo = rustix::fs::open(&path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
        let _ = rustix::pipe::fcntl_setpipe_size(&fifo, FIFO_BYTES);
        let file = LogFile::new(self.place.log(name), self.caps, Instant::now());
        let log = Log { fifo, path, file, users: 0, token, noticed_at: None, notice_due: false };
        self.open.insert(name.to_owned(), log);
        Ok(true)
    }

    /// What a process of that user gets as its standard output and error.
    pub(crate) fn writer(&self, name: &str, user: Option<User>) -> io::Result<OwnedFd> {
        let log = self.open.get(name).ok_or(io::ErrorKind::NotFound)?;
        let writer = rustix::fs::open(&log.path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        // So that it can open /dev/stdout again by name.
        if let Some(user) = user
            && std::fs::metadata(&log.path)?.uid() != user.uid
        {
            let _ = std::os::unix::fs::fchown(&writer, Some(user.uid), Some(user.gid));
        }
        Ok(writer)
    }

    /// Writes what has come, up to a share. Whether something was dropped that is not told yet.
    pub(crate) fn pump(&mut self, name: &str) -> bool {
        let Some(log) = self.open.get_mut(name) else { return false };
        for _ in 0..CHUNKS {
            match rustix::io::read(&log.fifo, &mut self.buffer) {
                Ok(0) | Err(_) => break,
                Ok(length) => log.file.take(&self.buffer[..length], Instant::now()),
            }
        }
        log.file.has_dropped()
    }

    /// What was dropped since the last call; the log itself says so, too.
    pub(crate) fn told_dropped(&mut self, name: &str, now: Instant) -> Option<Dropped> {
        let log = self.open.get_mut(name)?;
        log.notice_due = false;
        log.noticed_at = Some(now);
        log.file.told_dropped()
    }

    /// Lines whose end has not come yet, by log.
    pub(crate) fn partial(&mut self) -> BTreeMap<String, Vec<u8>> {
        let logs = self.open.iter_mut().map(|(name, log)| (name.clone(), log.file.take_partial()));
        logs.filter(|(_, partial)| !partial.is_empty()).collect()
    }

    /// What [`Logs::partial`] told another keeper.
    pub(crate) fn set_partial(&mut self, partial: BTreeMap<String, Vec<u8>>) {
        for (name, bytes) in partial {
            if let Some(log) = self.open.get_mut(&name) {
                log.file.take(&bytes, Instant::now());
            }
        }
    }

    /// One process less writes to it. If it was the last, the log is drained and closed: its token is returned, and how
    /// much was dropped.
    pub(crate) fn release(&mut self, name: &str) -> Option<(Log, Option<Dropped>)> {
        let log = self.open.get_mut(name)?;
        log.users = log.users.saturating_sub(1);
        if log.users > 0 {
            return None;
        }
        self.pump(name);
        let mut log = self.open.remove(name)?;
        log.file.finish();
        let dropped = log.file.told_dropped();
        let _ = std::fs::remove_file(&log.path);
        Some((log, dropped))
    }
}

impl AsFd for Log {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }
}

fn make_fifo(path: &std::path::Path) -> io::Result<()> {
    Ok(rustix::fs::mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?)
}
