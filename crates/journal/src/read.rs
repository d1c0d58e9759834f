//! Reads a journal without an engine, or while one writes: for `explain`, `replay` and `status`.

use crate::{
    Damage, Disk, Files, JournalError, Record, What, frame::Position, layout, log, log::Scanned, open::Survey, snapshot,
};
use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
};

/// One thing that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The state from which the next records go on.
    Snapshot(Record),
    /// A record.
    Record(Record),
}

/// Everything that a journal still holds, from the oldest generation kept: records without a gap, begun by a snapshot
/// unless they begin with the first of all.
///
/// Damage is an `Err`; what can be read after it follows, begun by a snapshot. The last log may end in a record that is
/// being written, which is no error. Takes no lock and changes nothing.
#[must_use]
pub fn read(dir: &Path) -> Reader {
    Reader::on(Disk, dir)
}

/// See [`read`].
#[derive(Debug)]
pub struct Reader<F: Files = Disk> {
    files: F,
    dir: PathBuf,
    survey: Survey,
    /// The next log, and where it must go on from.
    next: Option<(u64, Position)>,
    ready: VecDeque<Result<Item, JournalError>>,
}

impl<F: Files> Iterator for Reader<F> {
    type Item = Result<Item, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            let (generation, from) = self.next.take()?;
            self.read_log(generation, from);
        }
    }
}

impl<F: Files> Reader<F> {
    /// As [`read`], on other files than this machine's.
    #[must_use]
    pub fn on(files: F, dir: &Path) -> Self {
        let mut reader =
            Self { files, dir: dir.to_path_buf(), survey: Survey::default(), next: None, ready: VecDeque::new() };
        reader.begin(1);
        reader
    }

    /// Looks for the oldest good beginning in generation `least` or later.
    fn begin(&mut self, least: u64) {
        match Survey::of(&self.files, &self.dir) {
            Ok(survey) => self.survey = survey,
            Err(why) => {
                self.ready.push_back(Err(JournalError::Read { path: self.dir.clone(), why }));
                return;
            }
        }
        if least <= 1 && self.survey.logs.contains(&1) {
            self.next = Some((1, Position::default()));
            return;
        }
        let candidates: Vec<u64> = self.survey.snapshots.range(least..).copied().collect();
        for generation in candidates {
            let path = layout::snapshot(&self.dir, generation);
            match self.files.read(&path) {
                Ok(bytes) => match snapshot::decode(&bytes, generation) {
                    Some((at, record)) => {
                        self.ready.push_back(Ok(Item::Snapshot(record)));
                        self.next = Some((generation, at));
                        return;
                    }
                    None => self.tell(path, 0, Position::default(), What::Snapshot),
                },
                // The writer removed it meanwhile.
                Err(why) if why.kind() == io::ErrorKind::NotFound => {}
                Err(why) => self.ready.push_back(Err(JournalError::Read { path, why })),
            }
        }
    }

    fn read_log(&mut self, generation: u64, from: Position) {
        let path = layout::log(&self.dir, generation);
        let bytes = match self.files.read(&path) {
            Ok(bytes) => bytes,
            // The writer removed it meanwhile: what follows begins with a later snapshot.
            Err(why) if why.kind() == io::ErrorKind::NotFound => return self.begin(generation + 1),
            Err(why) => return self.ready.push_back(Err(JournalError::Read { path, why })),
        };
        let Scanned { records, end, good, flaw } = log::scan(&bytes, generation, from);
        self.ready.extend(records.into_iter().map(|record| Ok(Item::Record(record))));
        let follows = self.survey.logs.contains(&(generation + 1)) && self.next_goes_on(generation + 1, end);
        match flaw {
            Some(What::Header) => self.tell(path, 0, end, What::Header),
            Some(what) if !follows && (what != What::TornTail || self.survey.logs.contains(&(generation + 1))) => {
                self.tell(path, good as u64, end, if what == What::TornTail { What::Record } else { what });
            }
            _ => {}
        }
        if follows {
            self.next = Some((generation + 1, end));
        } else if self.survey.logs.iter().chain(&self.survey.snapshots).any(|other| *other > generation) {
            self.begin(generation + 1);
        }
    }

    /// Whether a log begins where the one before it ended; one whose header is damaged may.
    fn next_goes_on(&self, generation: u64, end: Position) -> bool {
        let Ok(bytes) = self.files.read(&layout::log(&self.dir, generation)) else { return false };
        log::parse_header(&bytes, generation).is_none_or(|from| from == end)
    }

    fn tell(&mut self, file: PathBuf, offset: u64, end: Position, what: What) {
        self.ready.push_back(Err(JournalError::Damaged(Damage { file, offset, sequence: end.sequence, what })));
    }
}
