//! Every byte flipped and every length cut (faults 19): told, a good beginning used, never a panic.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "disk/simulated.rs"]
#[expect(dead_code, reason = "shared with the tests of crashes")]
mod simulated;
#[path = "disk/story.rs"]
mod story;

use plimsoll_journal::{Durability, Journal, JournalError};
use simulated::Simulated;
use std::{collections::BTreeMap, path::Path, path::PathBuf};
use story::{DIR, open, read};

type Contents = BTreeMap<PathBuf, Vec<u8>>;

/// A journal of so many generations with 3 entries each, and all entries.
fn journal(generations: u32) -> (Contents, Vec<u32>) {
    let disk = Simulated::default();
    let (mut journal, _, mut all) = open(&disk);
    for generation in 0..generations {
        if generation > 0 {
            journal.snapshot(&all).unwrap();
        }
        for number in 0..3 {
            let entry = 1000 * generation + number;
            journal.append(&entry, Durability::PowerLoss).unwrap();
            all.push(entry);
        }
    }
    drop(journal);
    (disk.contents(), all)
}

/// Opens a damaged journal: what is remembered is a beginning of what was, and whatever is missing is told. Then it is
/// sound, and can be appended to.
#[track_caller]
fn check(contents: &Contents, all: &[u32], may_be_cut_unseen: bool) -> usize {
    let disk = Simulated::holding(contents);
    let (_, complaints) = read(&disk);
    let (mut journal, opened, found) = open(&disk);
    assert!(all.starts_with(&found), "{found:?} is no beginning of {all:?}");
    assert!(found.len() == all.len() || opened.damage.is_some() || may_be_cut_unseen, "the loss is told");
    assert!(
        complaints > 0 || !opened.damage.is_some_and(|damage| damage.loses_records()),
        "a reader tells of losses too"
    );
    journal.append(&7u32, Durability::PowerLoss).unwrap();
    drop(journal);
    let (_, opened, again) = open(&disk);
    assert_eq!(opened.damage, None, "it has been repaired");
    assert_eq!((again.len(), again.last()), (found.len() + 1, Some(&7)));
    found.len()
}

#[test]
fn every_flipped_byte_is_told_and_a_good_beginning_used() {
    for generations in 1..=4 {
        let (contents, all) = journal(generations);
        for (path, bytes) in &contents {
            for at in 0..bytes.len() {
                for mask in [0x01, 0x80, 0xff] {
                    let mut damaged = contents.clone();
                    damaged.get_mut(path).unwrap()[at] ^= mask;
                    let found = check(&damaged, &all, false);
                    let is_log = path.extension().is_some_and(|kind| kind == "log");
                    assert!(is_log || found == all.len(), "the former generation stands in for a snapshot");
                }
            }
        }
    }
}

#[test]
fn every_cut_is_told_unless_it_lies_between_two_records() {
    for generations in 1..=4 {
        let (contents, all) = journal(generations);
        let newest = contents.keys().rfind(|path| path.extension().is_some_and(|kind| kind == "log")).unwrap();
        for (path, bytes) in &contents {
            let whole: Vec<usize> = boundaries(bytes);
            for at in 0..bytes.len() {
                let mut cut = contents.clone();
                cut.get_mut(path).unwrap().truncate(at);
                let found = check(&cut, &all, path == newest && whole.contains(&at));
                assert!(path == newest || found == all.len());
            }
        }
    }
}

/// Where records end in a log of the format that stands in `frame.rs` and `log.rs`.
fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut ends = vec![60];
    while let Some(length) = bytes.get(*ends.last().unwrap()..).and_then(|rest| rest.first_chunk::<4>()) {
        ends.push(ends.last().unwrap() + 48 + u32::from_le_bytes(*length) as usize);
    }
    ends
}

#[test]
fn a_damaged_snapshot_and_the_log_before_it_leave_the_beginning() {
    let (mut contents, all) = journal(3);
    let file = |name: &str| Path::new(DIR).join(name);
    contents.get_mut(&file("0000000003.snapshot")).unwrap()[120] ^= 1;
    contents.get_mut(&file("0000000002.log")).unwrap()[130] ^= 1;
    let disk = Simulated::holding(&contents);
    let (journal, opened, found) = open(&disk);
    assert_eq!(found, all[..4], "the snapshot of generation 2 and one record");
    assert!(opened.damage.is_some_and(|damage| damage.loses_records()));
    drop(journal);
    let kept: Vec<_> =
        disk.contents().into_keys().filter(|path| path.to_str().unwrap().ends_with(".damaged")).collect();
    let names = ["0000000002.log.damaged", "0000000003.log.damaged", "0000000003.snapshot.damaged"];
    assert_eq!(kept, names.map(file), "nothing is destroyed");
}

#[test]
fn a_journal_of_which_nothing_can_be_read_is_not_begun_anew() {
    let (contents, _) = journal(4);
    let mut damaged = contents.clone();
    for (path, bytes) in &mut damaged {
        if path.extension().is_some_and(|kind| kind == "snapshot") {
            bytes[0] ^= 1;
        }
    }
    let disk = Simulated::holding(&damaged);
    let refused = Journal::open_on(disk.clone(), Path::new(DIR)).unwrap_err();
    assert!(matches!(refused, JournalError::Unreadable(_)), "{refused}");
    let mut now = disk.contents();
    now.retain(|path, _| damaged.contains_key(path));
    assert_eq!(now, damaged, "nothing was changed");
}

#[test]
fn a_log_of_another_journal_is_not_taken_for_ones_own() {
    let (mut contents, _) = journal(2);
    let other = Simulated::default();
    let (mut journal, _, _) = open(&other);
    for entry in [5u32, 6, 7] {
        journal.append(&entry, Durability::OurDeath).unwrap();
    }
    journal.snapshot(&[5u32, 6, 7]).unwrap();
    journal.append(&8u32, Durability::OurDeath).unwrap();
    drop(journal);
    let log = Path::new(DIR).join("0000000002.log");
    contents.insert(log.clone(), other.contents().remove(&log).unwrap());
    let (_, opened, found) = open(&Simulated::holding(&contents));
    assert_eq!(found, [0, 1, 2]);
    assert!(opened.damage.is_some_and(|damage| damage.loses_records()));
}
