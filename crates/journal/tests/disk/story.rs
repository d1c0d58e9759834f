//! What is appended in a test, and what is read back of it. The state of every snapshot is the list of all entries.

use crate::simulated::Simulated;
use plimsoll_journal::{Item, Journal, Opened, Reader};
use std::path::Path;

pub(crate) const DIR: &str = "/journal";

/// All entries that an opened journal remembers.
pub(crate) fn remembered(opened: &Opened) -> Vec<u32> {
    let mut all: Vec<u32> = opened.snapshot.as_ref().map_or(vec![], |record| record.decode().unwrap());
    assert_eq!(all.len() as u64, opened.snapshot.as_ref().map_or(0, |record| record.sequence.0));
    for record in &opened.records {
        all.push(record.decode().unwrap());
        assert_eq!(record.sequence.0, all.len() as u64, "numbers have no gap");
    }
    all
}

/// Opens it on a disk and tells what it remembers.
pub(crate) fn open(disk: &Simulated) -> (Journal<Simulated>, Opened, Vec<u32>) {
    let (journal, opened) = Journal::open_on(disk.clone(), Path::new(DIR)).unwrap();
    let all = remembered(&opened);
    (journal, opened, all)
}

/// All entries that a reader finds, and how many complaints it has.
pub(crate) fn read(disk: &Simulated) -> (Vec<u32>, usize) {
    let (mut all, mut complaints) = (vec![], 0);
    for item in Reader::on(disk.clone(), Path::new(DIR)) {
        match item {
            Ok(Item::Snapshot(record)) => all = record.decode().unwrap(),
            Ok(Item::Record(record)) => all.push(record.decode().unwrap()),
            Err(_) => complaints += 1,
        }
    }
    (all, complaints)
}
