//! What a keeper writes down so that another can take over when it dies: a file of lines, each a change, so that a change
//! costs the same however many processes there are.
//!
//! Invariant: a file of which any byte is damaged is no file: each line begins with the check sum of all lines up to it. A
//! file that lost its last lines is an older one: who was started since is recognised by its mark.

use crate::child::Record;
use plimsoll_wire::sum;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// The version of the file; of others only the one before is understood.
const VERSION: u32 = 2;
/// The file is written anew when so many bytes of changes were added, or twice of what it had, whichever is more.
const CHANGES_MIN: usize = 64 * 1024;

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Title {
    version: u32,
    boot_id: String,
}

/// Any other line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Change {
    /// What is now known of a process.
    Put(Box<Record>),
    /// That process is known no more.
    Gone(String),
}

/// All that is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Book {
    version: u32,
    /// Pids mean nothing after the next boot.
    pub(crate) boot_id: String,
    pub(crate) records: Vec<Record>,
}

impl Book {
    /// `None` for anything that isn't whole.
    fn parse(text: &[u8]) -> Option<Self> {
        if text.get(16) == Some(&b'\n') {
            return Self::parse_first_version(text);
        }
        let text = text.strip_suffix(b"\n")?;
        let (mut sum, mut lines) = (sum::START, text.split(|byte| *byte == b'\n'));
        let title: Title = serde_json::from_slice(body(lines.next()?, &mut sum)?).ok()?;
        let mut records = BTreeMap::new();
        for line in lines {
            match serde_json::from_slice(body(line, &mut sum)?).ok()? {
                Change::Put(record) => drop(records.insert(record.process.id.clone(), *record)),
                Change::Gone(id) => drop(records.remove(&id)),
            }
        }
        let book = Self { version: title.version, boot_id: title.boot_id, records: records.into_values().collect() };
        (book.version == VERSION).then_some(book)
    }

    /// Version 1 had the sum of everything in the first line, and everything in the second.
    fn parse_first_version(text: &[u8]) -> Option<Self> {
        let (sum, rest) = text.split_at_checked(16)?;
        let body = rest.strip_prefix(b"\n")?;
        if sum != format!("{:016x}", sum::fnv(sum::START, body)).as_bytes() {
            return None;
        }
        serde_json::from_slice(body).ok().filter(|book: &Self| book.version == 1)
    }

    /// What a former keeper left; whether there was a file at all.
    pub(crate) fn read(path: &Path) -> (Option<Self>, bool) {
        match fs::read(path) {
            Ok(text) => (Self::parse(&text), true),
            Err(error) => (None, error.kind() != io::ErrorKind::NotFound),
        }
    }
}

/// The rest of a line whose check sum is right; `sum` goes on with it.
fn body<'a>(line: &'a [u8], sum: &mut u64) -> Option<&'a [u8]> {
    let (told, rest) = line.split_at_checked(16)?;
    let body = rest.strip_prefix(b" ")?;
    *sum = sum::fnv(*sum, body);
    (told == format!("{sum:016x}").as_bytes()).then_some(body)
}

/// The file, as it is written. It survives our death, not a power cut: pids wouldn't either.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// `None`: it is to be written anew.
    file: Option<File>,
    sum: u64,
    whole: usize,
    changes: usize,
}

impl Ledger {
    /// Nothing was written yet, or that failed, or changes have become many.
    pub(crate) fn is_to_be_rewritten(&self) -> bool {
        self.file.is_none() || self.changes > CHANGES_MIN.max(2 * self.whole)
    }

    /// Replaces the file.
    pub(crate) fn rewrite(
        &mut self,
        path: &Path,
        boot_id: &str,
        records: impl Iterator<Item = Record>,
    ) -> io::Result<()> {
        *self = Self { sum: sum::START, ..Self::default() };
        let mut text = Vec::new();
        self.line(&mut text, &Title { version: VERSION, boot_id: boot_id.to_owned() })?;
        for record in records {
            self.line(&mut text, &Change::Put(Box::new(record)))?;
        }
        let new = path.with_extension("json.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&text)?;
        fs::rename(new, path)?;
        (self.file, self.whole) = (Some(file), text.len());
        Ok(())
    }

    /// Adds changes. After an error the file is written anew with the next turn of the loop.
    pub(crate) fn append(&mut self, changes: impl Iterator<Item = Change>) -> io::Result<()> {
        let mut text = Vec::new();
        for change in changes {
            self.line(&mut text, &change)?;
        }
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.write_all(&text)?;
        self.changes += text.len();
        self.file = Some(file);
        Ok(())
    }

    fn line(&mut self, text: &mut Vec<u8>, what: &impl Serialize) -> io::Result<()> {
        let body = serde_json::to_vec(what)?;
        self.sum = sum::fnv(self.sum, &body);
        text.extend_from_slice(format!("{:016x} ", self.sum).as_bytes());
        text.extend_from_slice(&body);
        text.push(b'\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_wire::keeper::Process;

    fn record(id: &str, respawns: u64) -> Record {
        let process = Process {
            id: id.into(),
            pid: 4711,
            start: 99,
            started_at: 1,
            cgroup: Some("/sys/fs/cgroup/x".into()),
            cpu_cgroup: None,
            unenforced: vec!["pids".into()],
            exit: None,
            respawns,
        };
        Record { process, again: None, log: Some("web-1".into()), group: None, ended: None }
    }

    fn book(records: Vec<Record>) -> Book {
        Book { version: VERSION, boot_id: "boot".into(), records }
    }

    /// Three processes, of which one changes and one goes.
    fn written(path: &Path) -> Ledger {
        let mut ledger = Ledger::default();
        assert!(ledger.is_to_be_rewritten());
        ledger.rewrite(path, "boot", ["a-1.1", "b-1.1"].map(|id| record(id, 0)).into_iter()).unwrap();
        let put = |id, respawns| Change::Put(Box::new(record(id, respawns)));
        ledger.append([put("c-1.1", 0), put("a-1.1", 2)].into_iter()).unwrap();
        ledger.append([Change::Gone("b-1.1".into())].into_iter()).unwrap();
        assert!(!ledger.is_to_be_rewritten());
        ledger
    }

    #[test]
    fn a_file_damaged_at_any_byte_is_no_file_and_a_cut_one_is_an_older_one_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keeper.json");
        written(&path);
        let text = fs::read(&path).unwrap();
        assert_eq!(Book::parse(&text), Some(book(vec![record("a-1.1", 2), record("c-1.1", 0)])));
        let mut older = 0;
        for at in 0..text.len() {
            let cut = Book::parse(&text[..at]);
            let at_line_end = at > 0 && text[at - 1] == b'\n';
            assert_eq!(cut.is_some(), at_line_end, "cut at {at}");
            older += usize::from(at_line_end);
            for bit in 0..8 {
                let mut flipped = text.clone();
                flipped[at] ^= 1 << bit;
                assert_eq!(Book::parse(&flipped), None, "bit {bit} of byte {at}");
            }
        }
        assert_eq!(older, 5, "title, two processes, two changes before the last");
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keeper.json");
        assert_eq!(Book::read(&path), (None, false));
        let mut ledger = written(&path);
        let mut length = fs::metadata(&path).unwrap().len();
        let mut rewritten = 0;
        for round in 0..2_000 {
            let change = Change::Put(Box::new(record("a-1.1", round)));
            if ledger.is_to_be_rewritten() {
                ledger.rewrite(&path, "boot", [record("a-1.1", round)].into_iter()).unwrap();
                rewritten += 1;
            } else {
                ledger.append([change].into_iter()).unwrap();
            }
            length = length.max(fs::metadata(&path).unwrap().len());
        }
        assert!(rewritten > 0 && length < 2 * CHANGES_MIN as u64, "{rewritten} times, {length} bytes");
        assert_eq!(Book::read(&path).0.unwrap().records[0].process.respawns, 1_999);
        fs::write(&path, "nonsense").unwrap();
        assert_eq!(Book::read(&path), (None, true));
    }

    #[test]
    fn the_file_of_the_version_before_is_understood() {
        let body = serde_json::to_vec(&Book { version: 1, ..book(vec![record("a-1.1", 0)]) }).unwrap();
        let mut text = format!("{:016x}\n", sum::fnv(sum::START, &body)).into_bytes();
        text.extend_from_slice(&body);
        assert_eq!(Book::parse(&text).map(|book| book.records), Some(vec![record("a-1.1", 0)]));
        text[40] ^= 1;
        assert_eq!(Book::parse(&text), None);
    }
}
