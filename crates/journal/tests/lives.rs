//! Any sequence of appending, snapshots, reopening and loss of power; and the journal on a real disk.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "disk/simulated.rs"]
#[expect(dead_code, reason = "shared with the tests of crashes")]
mod simulated;
#[path = "disk/story.rs"]
mod story;

use plimsoll_journal::{Durability, Item, Journal, JournalError, read};
use proptest::{prelude::*, test_runner::RngSeed};
use simulated::{LOSSES, Loss, Simulated};
use story::{open, remembered};

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<u32>, Durability),
    Snapshot,
    Reopen(Loss),
}

fn step() -> impl Strategy<Value = Step> {
    let durability = prop_oneof![Just(Durability::OurDeath), Just(Durability::PowerLoss)];
    prop_oneof![
        6 => (proptest::collection::vec(any::<u32>(), 0..4), durability).prop_map(|(all, how)| Step::Append(all, how)),
        1 => Just(Step::Snapshot),
        2 => proptest::sample::select(LOSSES.to_vec()).prop_map(Step::Reopen),
    ]
}

/// The same cases at every run, so that a test that passed passes again.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(1876), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn what_is_read_back_is_what_was_appended(steps in proptest::collection::vec(step(), 0..40)) {
        let disk = Simulated::default();
        let (mut journal, _, mut all) = open(&disk);
        let mut durable = 0;
        for step in steps {
            match step {
                Step::Append(entries, durability) => {
                    journal.append_many(&entries, durability).unwrap();
                    all.extend(&entries);
                    durable = if durability == Durability::PowerLoss { all.len() } else { durable };
                }
                Step::Snapshot => {
                    journal.snapshot(&all).unwrap();
                    durable = all.len();
                }
                Step::Reopen(loss) => {
                    drop(journal);
                    disk.restart(loss);
                    let (again, opened, found) = open(&disk);
                    journal = again;
                    prop_assert!(opened.damage.is_none_or(|damage| damage.is_torn_tail()));
                    prop_assert!(all.starts_with(&found));
                    let least = if loss == Loss::None { all.len() } else { durable };
                    prop_assert!(found.len() >= least);
                    all = found;
                    durable = durable.min(all.len());
                }
            }
            prop_assert_eq!(journal.sequence().0, all.len() as u64);
            let (found, complaints) = story::read(&disk);
            prop_assert_eq!((&found, complaints), (&all, 0));
        }
    }
}

#[test]
fn a_second_writer_is_refused_and_a_reader_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("journal");
    let (mut journal, opened) = Journal::open(&dir).unwrap();
    assert_eq!((opened.records.len(), opened.damage), (0, None));
    for entry in 0..10u32 {
        let durability = if entry % 2 == 0 { Durability::OurDeath } else { Durability::PowerLoss };
        assert_eq!(journal.append(&entry, durability).unwrap().0, u64::from(entry) + 1);
        let refused = Journal::open(&dir).unwrap_err();
        assert!(matches!(refused, JournalError::Locked { .. }), "{refused}");
        let found = read(&dir).filter(|item| matches!(item, Ok(Item::Record(_)))).count();
        assert_eq!(found, entry as usize + 1);
    }
    drop(journal);
    let (_journal, opened) = Journal::open(&dir).unwrap();
    assert_eq!(remembered(&opened), (0..10).collect::<Vec<_>>());
}

#[test]
fn generations_follow_each_other_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut all: Vec<u32> = vec![];
    for generation in 0..5u32 {
        let (mut journal, opened) = Journal::open(dir.path()).unwrap();
        assert_eq!((remembered(&opened), opened.damage), (all.clone(), None));
        journal.append(&generation, Durability::OurDeath).unwrap();
        all.push(generation);
        journal.snapshot(&all).unwrap();
    }
    let mut logs: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    logs.sort();
    let kept = ["0000000005.log", "0000000005.snapshot", "0000000006.log", "0000000006.snapshot", "lock"];
    assert_eq!(logs, kept, "the newest generation and the one before");
}

#[test]
fn a_reader_that_is_overtaken_goes_on_with_a_later_generation() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    let mut all: Vec<u32> = vec![];
    let append = |journal: &mut Journal, all: &mut Vec<u32>| {
        let entry = u32::try_from(all.len()).unwrap();
        journal.append(&entry, Durability::OurDeath).unwrap();
        all.push(entry);
    };
    append(&mut journal, &mut all);
    let mut reader = read(dir.path());
    for _ in 0..4 {
        append(&mut journal, &mut all);
        journal.snapshot(&all).unwrap();
    }
    let mut found: Vec<u32> = vec![];
    for item in &mut reader {
        match item.unwrap() {
            Item::Snapshot(record) => found = record.decode().unwrap(),
            Item::Record(record) => found.push(record.decode().unwrap()),
        }
    }
    assert_eq!(found, all);
}

#[test]
fn a_snapshot_is_asked_for_when_the_log_has_grown() {
    let (mut journal, _, _) = open(&Simulated::default());
    let entry = "x".repeat(100_000);
    assert!(!journal.wants_snapshot());
    for _ in 0..11 {
        journal.append(&entry, Durability::OurDeath).unwrap();
    }
    assert!(journal.wants_snapshot());
    journal.snapshot("state").unwrap();
    assert!(!journal.wants_snapshot());
}
