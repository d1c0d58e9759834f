//! Finds out what of a journal is good, repairs the rest, and opens it.

use crate::{
    Damage, Files, JournalError, Record, What, WritableFile, frame::Position, layout, layout::Kind, log, snapshot,
};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// What a journal held when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The state with which the records begin; `None`: they begin with nothing.
    pub snapshot: Option<Record>,
    /// The records since, oldest first, without a gap.
    pub records: Vec<Record>,
    /// The gravest thing that was found wrong; `None`: nothing was. It has been repaired, and what was damaged set aside.
    pub damage: Option<Damage>,
}

/// The files that are there.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) names: BTreeSet<String>,
    pub(crate) logs: BTreeSet<u64>,
    pub(crate) snapshots: BTreeSet<u64>,
    unfinished: Vec<PathBuf>,
    doubt: bool,
}

impl Survey {
    pub(crate) fn of(files: &impl Files, dir: &Path) -> io::Result<Self> {
        let mut survey = Self::default();
        for name in files.list(dir)? {
            match layout::kind(&name) {
                Kind::Log(generation) => drop(survey.logs.insert(generation)),
                Kind::Snapshot(generation) => drop(survey.snapshots.insert(generation)),
                Kind::Unfinished => survey.unfinished.push(dir.join(&name)),
                Kind::Doubt => survey.doubt = true,
                Kind::Other => {}
            }
            survey.names.insert(name);
        }
        Ok(survey)
    }

    /// A name beside `path` that is free.
    fn aside(&self, path: &Path) -> PathBuf {
        let is_taken = |candidate: &PathBuf| {
            candidate.file_name().is_some_and(|name| self.names.contains(name.to_string_lossy().as_ref()))
        };
        let numbered = |number: u32| {
            let mut name = layout::aside(path).into_os_string();
            name.push(format!("-{number}"));
            PathBuf::from(name)
        };
        let first = layout::aside(path);
        if !is_taken(&first) {
            return first;
        }
        (2..).map(numbered).find(|candidate| !is_taken(candidate)).unwrap_or(first)
    }
}

/// What is good of a journal, and what must be done so that it can be appended to.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) opened: Opened,
    /// The generation whose beginning was used.
    pub(crate) base: u64,
    /// The generation that is appended to.
    pub(crate) last: u64,
    /// Where it ends.
    pub(crate) end: Position,
    /// How many bytes of all logs since the base are good.
    pub(crate) bytes: u64,
    /// How many bytes of the last log are good; 0: it must be made.
    pub(crate) good: u64,
    rewrites: Vec<Rewrite>,
    aside: Vec<PathBuf>,
}

/// A log that must be written anew.
#[derive(Debug)]
struct Rewrite {
    path: PathBuf,
    /// What it holds, if that is to be set aside.
    damaged: Option<Vec<u8>>,
    good: Vec<u8>,
}

/// Finds out what is good. Changes nothing.
pub(crate) fn load(files: &impl Files, dir: &Path, survey: &Survey) -> Result<Loaded, JournalError> {
    let mut loaded = base(files, dir, survey)?;
    let first = loaded.base;
    let mut generation = first;
    while survey.logs.contains(&generation) {
        let path = layout::log(dir, generation);
        let bytes = files.read(&path).map_err(|why| JournalError::Read { path: path.clone(), why })?;
        let from = loaded.end;
        let scanned = log::scan(&bytes, generation, from);
        let goes_on = next_goes_on(files, dir, survey, generation, scanned.end);
        // A cut end is no damage where the next log goes on from it: its writer knew.
        let flaw = scanned.flaw.filter(|flaw| !(goes_on && matches!(flaw, What::TornTail | What::Record)));
        if let Some(what) = flaw {
            let sequence = scanned.end.sequence;
            loaded.tell(Damage { file: path.clone(), offset: scanned.good as u64, sequence, what });
        }
        if flaw == Some(What::Gap) {
            break;
        }
        let is_last = !goes_on;
        if flaw.is_some() || survey.doubt {
            let mut good = log::header(generation, from);
            good.extend_from_slice(bytes.get(log::HEADER..scanned.good).unwrap_or_default());
            let damaged = flaw.filter(|what| *what != What::TornTail).map(|_| bytes);
            loaded.good = good.len() as u64;
            loaded.rewrites.push(Rewrite { path, damaged, good });
        } else {
            loaded.good = scanned.good as u64;
        }
        loaded.bytes += loaded.good;
        loaded.opened.records.extend(scanned.records);
        (loaded.end, loaded.last) = (scanned.end, generation);
        generation += 1;
        if is_last {
            break;
        }
    }
    loaded.give_up(dir, survey, generation);
    Ok(loaded)
}

impl Loaded {
    /// Keeps the gravest damage, and of equal ones the first.
    fn tell(&mut self, damage: Damage) {
        if self.opened.damage.as_ref().is_none_or(|known| known.gravity() < damage.gravity()) {
            self.opened.damage = Some(damage);
        }
    }

    /// Sets aside the logs that can't be used: `from` and later.
    fn give_up(&mut self, dir: &Path, survey: &Survey, from: u64) {
        for generation in survey.logs.range(from..) {
            let file = layout::log(dir, *generation);
            self.tell(Damage { file: file.clone(), offset: 0, sequence: self.end.sequence, what: What::Gap });
            self.aside.push(file);
        }
        let is_lost = self.good == 0 && self.aside.is_empty() && self.opened.snapshot.is_some();
        if is_lost {
            let file = layout::log(dir, self.base);
            self.tell(Damage { file, offset: 0, sequence: self.end.sequence, what: What::Gap });
        }
    }
}

/// The newest generation that has a good beginning.
fn base(files: &impl Files, dir: &Path, survey: &Survey) -> Result<Loaded, JournalError> {
    let mut loaded = Loaded {
        opened: Opened { snapshot: None, records: vec![], damage: None },
        base: 1,
        last: 1,
        end: Position::default(),
        bytes: 0,
        good: 0,
        rewrites: vec![],
        aside: vec![],
    };
    for generation in survey.snapshots.iter().rev() {
        let path = layout::snapshot(dir, *generation);
        let bytes = files.read(&path).map_err(|why| JournalError::Read { path: path.clone(), why })?;
        if let Some((at, record)) = snapshot::decode(&bytes, *generation) {
            (loaded.base, loaded.last, loaded.end) = (*generation, *generation, at);
            loaded.opened.snapshot = Some(record);
            return Ok(loaded);
        }
        loaded.tell(Damage { file: path.clone(), offset: 0, sequence: crate::Sequence(0), what: What::Snapshot });
        loaded.aside.push(path);
    }
    let is_fresh = survey.logs.is_empty() && survey.snapshots.is_empty();
    if is_fresh || survey.logs.contains(&1) {
        return Ok(loaded);
    }
    let file = survey.logs.first().map_or_else(|| dir.to_path_buf(), |generation| layout::log(dir, *generation));
    let missing = Damage { file, offset: 0, sequence: crate::Sequence(0), what: What::Gap };
    Err(JournalError::Unreadable(loaded.opened.damage.unwrap_or(missing)))
}

/// Whether the log after this one begins where this one ends.
fn next_goes_on(files: &impl Files, dir: &Path, survey: &Survey, generation: u64, end: Position) -> bool {
    let next = generation + 1;
    if !survey.logs.contains(&next) {
        return false;
    }
    let Ok(bytes) = files.read(&layout::log(dir, next)) else { return false };
    // Where only the header is damaged, the records tell.
    log::parse_header(&bytes, next)
        .map_or_else(|| log::scan(&bytes, next, end).flaw.is_some_and(|flaw| flaw == What::Header), |from| from == end)
}

/// Makes the folder such that it can be appended to.
pub(crate) fn repair(files: &impl Files, dir: &Path, survey: &Survey, loaded: &Loaded) -> io::Result<()> {
    for path in &survey.unfinished {
        files.remove(path)?;
    }
    for path in &loaded.aside {
        files.rename(path, &survey.aside(path))?;
    }
    for rewrite in &loaded.rewrites {
        if let Some(damaged) = &rewrite.damaged {
            write_whole(files, dir, &survey.aside(&rewrite.path), damaged)?;
        }
        write_whole(files, dir, &rewrite.path, &rewrite.good)?;
    }
    if loaded.good == 0 {
        write_whole(files, dir, &layout::log(dir, loaded.last), &log::header(loaded.last, loaded.end))?;
    }
    if survey.doubt {
        files.remove(&layout::doubt(dir))?;
    }
    // Always: whoever wrote the names that we found may have died before they were durable.
    files.sync_dir(dir)
}

/// Writes a file such that, after any crash, either all of it is there under its name or the former one is.
pub(crate) fn write_whole(files: &impl Files, dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    prepare(files, path, bytes)?;
    publish(files, dir, path)
}

/// The part of [`write_whole`] after whose failure all is as before.
pub(crate) fn prepare(files: &impl Files, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = files.create(&layout::unfinished(path))?;
    file.write_all(bytes)?;
    file.sync()
}

/// The part of [`write_whole`] after whose failure either is there.
pub(crate) fn publish(files: &impl Files, dir: &Path, path: &Path) -> io::Result<()> {
    files.rename(&layout::unfinished(path), path)?;
    files.sync_dir(dir)
}
