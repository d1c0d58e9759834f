//! Death, EIO and loss of power at every file operation (faults 16 and 20): what was acknowledged is there, and nothing
//! is acknowledged that could be lost.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "disk/simulated.rs"]
mod simulated;
#[path = "disk/story.rs"]
mod story;

use plimsoll_journal::{Durability, Journal, JournalError};
use simulated::{Fault, LOSSES, Loss, Simulated};
use std::path::Path;
use story::{DIR, open};

/// What the journal has acknowledged.
#[derive(Debug, Default)]
struct Told {
    /// All that were appended.
    all: Vec<u32>,
    /// How many of them survive loss of power.
    durable: usize,
    /// All that may be found: what was appended, and what was being appended at the first failure.
    tried: Vec<u32>,
    /// Failures that were met.
    failures: usize,
}

impl Told {
    fn append(&mut self, journal: &mut Journal<Simulated>, entries: &[u32], durability: Durability) {
        if self.failures == 0 {
            self.tried = self.all.clone();
            self.tried.extend(entries);
        }
        match journal.append_many(entries, durability) {
            Ok(sequence) => {
                self.all.extend(entries);
                assert_eq!(sequence.0, self.all.len() as u64);
                if durability == Durability::PowerLoss {
                    self.durable = self.all.len();
                }
            }
            Err(_) => self.failures += 1,
        }
    }

    fn snapshot(&mut self, journal: &mut Journal<Simulated>) {
        match journal.snapshot(&self.all) {
            Ok(()) => self.durable = self.all.len(),
            Err(_) => self.failures += 1,
        }
    }
}

/// A life: entries of both classes, in batches, over several generations and a reopening. After a failure it goes on, as
/// an engine would: with a new generation where the journal asks for one.
fn live(disk: &Simulated, told: &mut Told) {
    for part in 0..8 {
        let Ok((mut journal, opened)) = Journal::open_on(disk.clone(), Path::new(DIR)) else {
            told.failures += 1;
            continue;
        };
        assert_eq!(story::remembered(&opened), told.all);
        for number in 0..3 {
            let entry = 100 * part + 10 * number;
            told.append(&mut journal, &[entry], Durability::OurDeath);
            told.append(&mut journal, &[entry + 1, entry + 2], Durability::PowerLoss);
            if journal.refused().is_some() || number == 1 {
                told.snapshot(&mut journal);
            }
        }
    }
}

/// How many operations a life has.
fn operations() -> usize {
    let disk = Simulated::default();
    disk.set_fault(usize::MAX / 2, Fault::Fails);
    live(&disk, &mut Told::default());
    let counted = (1..).find(|at| {
        let disk = Simulated::default();
        disk.set_fault(*at, Fault::Fails);
        live(&disk, &mut Told::default());
        !disk.is_fault_over()
    });
    counted.unwrap() - 1
}

#[track_caller]
fn check_found(told: &Told, found: &[u32], loss: Loss, what: &str) {
    let least = if loss == Loss::None { told.all.len() } else { told.durable };
    assert!(found.len() >= least, "{what}: {found:?} of {told:?}");
    assert!(told.tried.starts_with(found) || told.all.starts_with(found), "{what}: {found:?} of {told:?}");
}

#[test]
fn death_at_any_operation_loses_nothing_acknowledged() {
    let operations = operations();
    assert!(operations > 200, "{operations}");
    for at in 1..=operations {
        for loss in LOSSES {
            let what = format!("death at operation {at}, loss {loss:?}");
            let disk = Simulated::default();
            disk.set_fault(at, Fault::Dies);
            let mut told = Told::default();
            live(&disk, &mut told);
            disk.restart(loss);
            let (read, complaints) = story::read(&disk);
            let (mut journal, opened, found) = open(&disk);
            assert_eq!((read, complaints), (found.clone(), 0), "{what}: a reader finds the same");
            assert!(opened.damage.is_none_or(|damage| damage.is_torn_tail()), "{what}");
            check_found(&told, &found, loss, &what);
            // It goes on, and loses nothing from here either.
            journal.append(&9u32, Durability::PowerLoss).unwrap();
            drop(journal);
            disk.restart(Loss::All);
            let (_, opened, again) = open(&disk);
            assert_eq!(opened.damage, None, "{what}");
            assert_eq!((again.len(), again.last()), (found.len() + 1, Some(&9)), "{what}");
        }
    }
}

#[test]
fn death_while_it_is_repaired_changes_nothing() {
    let torn = {
        let disk = Simulated::default();
        let mut told = Told::default();
        live(&disk, &mut told);
        let mut contents = disk.contents();
        for (path, bytes) in &mut contents {
            if path.extension().is_some_and(|kind| kind == "log") {
                bytes[100] ^= 1;
            }
        }
        contents
    };
    let (_, _, whole) = open(&Simulated::holding(&torn));
    for at in 1..40 {
        for loss in LOSSES {
            let disk = Simulated::holding(&torn);
            disk.set_fault(at, Fault::Dies);
            let _ = Journal::open_on(disk.clone(), Path::new(DIR));
            disk.restart(loss);
            let (_, _, found) = open(&disk);
            assert_eq!(found, whole, "death at operation {at} of opening, loss {loss:?}");
        }
    }
}

#[test]
fn one_failure_anywhere_loses_nothing_acknowledged() {
    for at in 1..=operations() {
        for loss in LOSSES {
            let what = format!("EIO at operation {at}, loss {loss:?}");
            let disk = Simulated::default();
            disk.set_fault(at, Fault::Fails);
            let mut told = Told::default();
            live(&disk, &mut told);
            told.tried.clear();
            disk.restart(loss);
            let (_, opened, found) = open(&disk);
            assert!(opened.damage.is_none_or(|damage| damage.is_torn_tail()), "{what}");
            check_found(&told, &found, loss, &what);
        }
    }
}

#[test]
fn after_a_failed_sync_nothing_is_taken_until_a_new_generation_stands() {
    let disk = Simulated::default();
    let (mut journal, _, _) = open(&disk);
    journal.append(&1u32, Durability::OurDeath).unwrap();
    disk.set_fault(2, Fault::Fails);
    let failed = journal.append(&2u32, Durability::PowerLoss).unwrap_err();
    assert!(matches!(failed, JournalError::Sync { .. }), "{failed}");
    for durability in [Durability::OurDeath, Durability::PowerLoss] {
        let refused = journal.append(&3u32, durability).unwrap_err();
        assert!(matches!(refused, JournalError::Refused { .. }), "{refused}");
    }
    assert!(journal.wants_snapshot() && journal.refused().is_some());
    journal.snapshot(&[1u32]).unwrap();
    journal.append(&4u32, Durability::PowerLoss).unwrap();
    drop(journal);
    disk.restart(Loss::All);
    let (_, opened, found) = open(&disk);
    assert_eq!((found, opened.damage), (vec![1, 4], None));
}

#[test]
fn whoever_opens_it_after_a_failed_sync_does_not_believe_what_is_only_in_memory() {
    let disk = Simulated::default();
    let (mut journal, _, _) = open(&disk);
    journal.append(&1u32, Durability::OurDeath).unwrap();
    disk.set_fault(2, Fault::Fails);
    journal.append(&2u32, Durability::PowerLoss).unwrap_err();
    drop(journal);
    let (mut journal, _, found) = open(&disk);
    assert_eq!(found, [1]);
    journal.append(&3u32, Durability::PowerLoss).unwrap();
    drop(journal);
    disk.restart(Loss::All);
    let (_, opened, found) = open(&disk);
    assert_eq!((found, opened.damage), (vec![1, 3], None));
}
