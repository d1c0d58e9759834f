//! What a keeper writes down so that another can take over when it dies.
//!
//! Invariant: a file that is damaged anywhere is no file: its first line is the check sum of the rest.

use crate::child::Record;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// The version of the file; another one is not understood.
const VERSION: u32 = 1;

/// All that is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Book {
    version: u32,
    /// Pids mean nothing after the next boot.
    pub(crate) boot_id: String,
    pub(crate) records: Vec<Record>,
}

impl Book {
    pub(crate) fn new(boot_id: String, records: Vec<Record>) -> Self {
        Self { version: VERSION, boot_id, records }
    }

    /// The file's text.
    fn text(&self) -> io::Result<Vec<u8>> {
        let body = serde_json::to_vec(self)?;
        let mut text = format!("{:016x}\n", check_sum(&body)).into_bytes();
        text.extend_from_slice(&body);
        Ok(text)
    }

    /// `None` for anything that isn't whole.
    fn parse(text: &[u8]) -> Option<Self> {
        let (sum, rest) = text.split_at_checked(16)?;
        let body = rest.strip_prefix(b"\n")?;
        if std::str::from_utf8(sum).ok()? != format!("{:016x}", check_sum(body)) {
            return None;
        }
        serde_json::from_slice(body).ok().filter(|book: &Self| book.version == VERSION)
    }

    /// Replaces the file. It survives our death, not a power cut: pids wouldn't either.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("json.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&self.text()?)?;
        fs::rename(new, path)
    }

    /// What a former keeper left; whether there was a file at all.
    pub(crate) fn read(path: &Path) -> (Option<Self>, bool) {
        match fs::read(path) {
            Ok(text) => (Self::parse(&text), true),
            Err(error) => (None, error.kind() != io::ErrorKind::NotFound),
        }
    }
}

/// FNV-1a: any single changed byte changes it.
pub(crate) fn check_sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_wire::keeper::Process;

    fn book() -> Book {
        let process = Process {
            id: "web-1.1".into(),
            pid: 4711,
            start: 99,
            started_at: 1,
            cgroup: Some("/sys/fs/cgroup/x".into()),
            cpu_cgroup: None,
            unenforced: vec!["pids".into()],
            exit: None,
            respawns: 2,
        };
        let record = Record { process, again: None, log: Some("web-1".into()), group: None, ended: None };
        Book::new("boot".into(), vec![record])
    }

    #[test]
    fn a_file_damaged_at_any_byte_is_no_file() {
        let text = book().text().unwrap();
        assert_eq!(Book::parse(&text), Some(book()));
        for at in 0..text.len() {
            assert_eq!(Book::parse(&text[..at]), None, "cut at {at}");
            for bit in 0..8 {
                let mut flipped = text.clone();
                flipped[at] ^= 1 << bit;
                assert_eq!(Book::parse(&flipped), None, "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keeper.json");
        assert_eq!(Book::read(&path), (None, false));
        book().write(&path).unwrap();
        assert_eq!(Book::read(&path), (Some(book()), true));
        std::fs::write(&path, "nonsense").unwrap();
        assert_eq!(Book::read(&path), (None, true));
    }
}
