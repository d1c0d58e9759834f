//! A journal open for writing.

use crate::{
    Disk, Files, JournalError, Opened, Sequence, WritableFile, frame, frame::PAYLOAD_MAX, frame::Position, layout, log,
    open, open::Survey, snapshot,
};
use serde::Serialize;
use std::{
    io,
    path::{Path, PathBuf},
};

/// What an entry survives once it is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The death of this process. Written before the answer.
    OurDeath,
    /// The loss of power. Synced to disk before the answer, with everything appended before it.
    PowerLoss,
}

/// Below this size of the log no snapshot is asked for: it is read in a few milliseconds.
const SNAPSHOT_BYTES_MIN: u64 = 1 << 20;

/// Never more generations than that are kept, however small they are.
const KEPT_MAX: u64 = 32;

/// A journal open for writing. There is one at a time for each folder.
pub struct Journal<F: Files = Disk> {
    files: F,
    dir: PathBuf,
    /// Held until the journal is dropped.
    _lock: F::Lock,
    log: F::File,
    /// The generation that is appended to.
    generation: u64,
    /// The newest generation with a beginning of its own.
    base: u64,
    end: Position,
    /// Bytes of the log.
    len: u64,
    /// Bytes of the logs since the newest snapshot.
    since_base: u64,
    /// Bytes of the newest snapshot.
    snapshot_len: u64,
    /// Something was appended that was not synced.
    is_dirty: bool,
    /// Why nothing is appended any more.
    refused: Option<String>,
    /// About so many bytes of former generations are kept.
    kept_bytes: u64,
    /// A snapshot is asked for from so many bytes of log on.
    generation_bytes: u64,
}

impl<F: Files> std::fmt::Debug for Journal<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("dir", &self.dir)
            .field("generation", &self.generation)
            .field("sequence", &self.end.sequence)
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}

impl Journal<Disk> {
    /// Opens the journal in `dir`, making it if it is not there, and says what it holds.
    ///
    /// # Errors
    /// [`JournalError::Locked`], [`JournalError::Open`], [`JournalError::Read`], [`JournalError::Unreadable`].
    pub fn open(dir: &Path) -> Result<(Self, Opened), JournalError> {
        Self::open_on(Disk, dir)
    }
}

impl<F: Files> Journal<F> {
    /// As [`Journal::open`], on other files than this machine's.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_on(files: F, dir: &Path) -> Result<(Self, Opened), JournalError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |why| JournalError::Open { path, why }
        };
        files.create_dir(dir).map_err(failed(dir))?;
        let lock = layout::lock(dir);
        let lock = files.lock(&lock).map_err(failed(&lock))?;
        let Some(lock) = lock else { return Err(JournalError::Locked { dir: dir.to_path_buf() }) };
        let survey = Survey::of(&files, dir).map_err(failed(dir))?;
        let loaded = open::load(&files, dir, &survey)?;
        open::repair(&files, dir, &survey, &loaded).map_err(failed(dir))?;
        let path = layout::log(dir, loaded.last);
        let log = files.open(&path).map_err(failed(&path))?;
        let journal = Self {
            files,
            dir: dir.to_path_buf(),
            _lock: lock,
            log,
            generation: loaded.last,
            base: loaded.base,
            end: loaded.end,
            len: if loaded.good == 0 { log::HEADER as u64 } else { loaded.good },
            since_base: loaded.bytes,
            snapshot_len: loaded.opened.snapshot.as_ref().map_or(0, |record| record.payload.len() as u64),
            is_dirty: true,
            refused: None,
            kept_bytes: 0,
            generation_bytes: SNAPSHOT_BYTES_MIN,
        };
        Ok((journal, loaded.opened))
    }

    /// Keeps about so many bytes of former generations, for whoever reads what happened; the last one is always kept. 0 at
    /// first. Counted by the size of the present generation.
    pub fn keep_bytes(&mut self, bytes: u64) {
        self.kept_bytes = bytes;
    }

    /// Asks for a snapshot from so many bytes of log on; 1 MiB at first.
    pub fn generation_bytes(&mut self, bytes: u64) {
        self.generation_bytes = bytes;
    }

    /// The last record that was appended; 0: there is none.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        self.end.sequence
    }

    /// Why nothing is appended until a new generation is written; `None`: all is well.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Appends one entry and tells its number. When this fails, the entry counts as not appended.
    ///
    /// # Errors
    /// [`JournalError::Append`], [`JournalError::Sync`], [`JournalError::Refused`], [`JournalError::Encode`],
    /// [`JournalError::TooLarge`].
    pub fn append<T: Serialize + ?Sized>(
        &mut self,
        entry: &T,
        durability: Durability,
    ) -> Result<Sequence, JournalError> {
        self.append_many(&[entry], durability)
    }

    /// Appends several entries with one write and, for [`Durability::PowerLoss`], one sync; tells the number of the last
    /// one. When this fails, none counts as appended; when we die in it, a beginning of them may be found. No entries and
    /// `PowerLoss` syncs what was appended before.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_many<T: Serialize>(
        &mut self,
        entries: &[T],
        durability: Durability,
    ) -> Result<Sequence, JournalError> {
        if let Some(because) = &self.refused {
            return Err(JournalError::Refused { because: because.clone() });
        }
        let mut bytes = vec![];
        let mut end = self.end;
        for entry in entries {
            let payload = payload(entry)?;
            end = end.after(&payload);
            frame::encode(&mut bytes, end, &payload);
        }
        if !bytes.is_empty() {
            self.write(&bytes)?;
        }
        if durability == Durability::PowerLoss && (self.is_dirty || !bytes.is_empty()) {
            self.sync()?;
        }
        self.is_dirty = durability != Durability::PowerLoss && (self.is_dirty || !bytes.is_empty());
        self.len += bytes.len() as u64;
        self.since_base += bytes.len() as u64;
        self.end = end;
        Ok(end.sequence)
    }

    /// Whether the logs have grown so large that a snapshot is worth its cost, or nothing is appended without one.
    #[must_use]
    pub fn wants_snapshot(&self) -> bool {
        self.refused.is_some() || self.since_base > self.generation_bytes.max(self.snapshot_len.saturating_mul(4))
    }

    /// Begins a new generation with `state`, which stands for everything that was appended. The former generation is kept
    /// until the next one. Everything appended before is durable afterwards, whatever failed before.
    ///
    /// # Errors
    /// [`JournalError::Snapshot`]: nothing that was appended is lost. Retry; whether appending goes on meanwhile is told
    /// by [`Journal::refused`]. [`JournalError::Encode`]: nothing happened.
    pub fn snapshot<T: Serialize + ?Sized>(&mut self, state: &T) -> Result<(), JournalError> {
        let payload = serde_json::to_vec(state).map_err(JournalError::Encode)?;
        // The next log may only go on from records that the disk has. If it may not have them, nothing is appended to
        // that log before the snapshot stands, for which `refused` cares.
        if self.refused.is_none() && self.is_dirty && self.sync().is_ok() {
            self.is_dirty = false;
        }
        // One that was begun for a snapshot that then could not be written, and has nothing in it, serves for the next try:
        // a disk without room is not filled with beginnings.
        let is_begun = self.refused.is_none() && self.generation > self.base && self.len == log::HEADER as u64;
        let next = if is_begun { self.generation } else { self.generation + 1 };
        if !is_begun {
            let path = layout::log(&self.dir, next);
            self.begin_log(next, &path).map_err(|why| JournalError::Snapshot { path, why })?;
        }
        let path = layout::snapshot(&self.dir, next);
        let bytes = snapshot::encode(next, self.end, &payload);
        open::write_whole(&self.files, &self.dir, &path, &bytes).map_err(|why| JournalError::Snapshot { path, why })?;
        let generation = self.since_base + self.snapshot_len.max(payload.len() as u64);
        let more = (self.kept_bytes / generation.max(1)).clamp(1, KEPT_MAX) - 1;
        self.snapshot_len = payload.len() as u64;
        self.since_base = self.len;
        self.is_dirty = false;
        self.refused = None;
        self.forget_before(self.base.saturating_sub(more));
        self.base = next;
        // The snapshot does not rest on a log in doubt.
        let _ = self.files.remove(&layout::doubt(&self.dir));
        Ok(())
    }

    /// Makes the log of the next generation and goes over to it.
    fn begin_log(&mut self, next: u64, path: &Path) -> io::Result<()> {
        let header = log::header(next, self.end);
        open::prepare(&self.files, path, &header)?;
        let begun = open::publish(&self.files, &self.dir, path).and_then(|()| self.files.open(path));
        self.log = begun.inspect_err(|why| {
            // The new log may stand or not: one more record in the old one would then be one too many.
            self.refused.get_or_insert_with(|| format!("{} could not be begun: {why}", path.display()));
        })?;
        self.generation = next;
        self.len = header.len() as u64;
        self.since_base += self.len;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let Err(why) = self.log.write_all(bytes) else { return Ok(()) };
        let path = layout::log(&self.dir, self.generation);
        if let Err(cut) = self.log.set_len(self.len) {
            self.refused = Some(format!("{} could not be written nor cut: {cut}", path.display()));
        }
        Err(JournalError::Append { path, why })
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        let Err(why) = self.log.sync() else { return Ok(()) };
        let path = layout::log(&self.dir, self.generation);
        self.refused = Some(format!("{} could not be synced: {why}", path.display()));
        // Best effort, both: the entry must not be found again, and whoever opens the journal after us must not believe
        // what it reads, which may be in memory only.
        let _ = self.log.set_len(self.len);
        let _ = self.files.create(&layout::doubt(&self.dir));
        Err(JournalError::Sync { path, why })
    }

    /// Removes the generations before `kept`. What can't be removed now is removed another time.
    fn forget_before(&self, kept: u64) {
        let Ok(survey) = Survey::of(&self.files, &self.dir) else { return };
        // Snapshots last: without its log a snapshot is told as damaged, but it is still a beginning.
        for generation in survey.snapshots.range(..kept) {
            let _ = self.files.remove(&layout::snapshot(&self.dir, *generation));
        }
        for generation in survey.logs.range(..kept) {
            let _ = self.files.remove(&layout::log(&self.dir, *generation));
        }
    }
}

fn payload<T: Serialize + ?Sized>(entry: &T) -> Result<Vec<u8>, JournalError> {
    let payload = serde_json::to_vec(entry).map_err(JournalError::Encode)?;
    if payload.len() > PAYLOAD_MAX {
        return Err(JournalError::TooLarge { bytes: payload.len() });
    }
    Ok(payload)
}
