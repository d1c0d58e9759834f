//! What happened, as a journal still tells it: events with what led to them, without an engine or beside one.

use crate::{
    Item, chain,
    decided::Decided,
    entry::{Entry, Remembered},
    read,
};
use plimsoll_model::{Event, System};
use std::{collections::BTreeMap, path::Path};

/// Everything that a journal still tells of what happened.
#[derive(Debug, Default)]
pub struct History {
    /// Events, oldest first.
    pub told: Vec<Event>,
    /// What led to them, by number.
    pub decided: BTreeMap<u64, Decided>,
    /// The last accepted system.
    pub system: System,
    /// What could not be read, for a person.
    pub gaps: Vec<String>,
    /// Entries that another version of Plimsoll wrote.
    pub not_understood: u64,
}

/// Reads everything that the journal in `dir` still tells. Takes no lock and changes nothing; what can't be read is told in
/// [`History::gaps`].
#[must_use]
pub fn history(dir: &Path) -> History {
    let mut history = History::default();
    for item in read(dir) {
        match item {
            Ok(Item::Snapshot(record)) => match record.decode::<Remembered>() {
                Ok(remembered) => history.begin(remembered),
                Err(_) => history.not_understood += 1,
            },
            Ok(Item::Record(record)) => match record.decode::<Entry>() {
                Ok(entry) => history.take(entry),
                Err(_) => history.not_understood += 1,
            },
            Err(error) => history.gaps.push(chain(&error)),
        }
    }
    history
}

impl History {
    fn begin(&mut self, remembered: Remembered) {
        if let Some(accepted) = remembered.accepted {
            self.system = accepted.system.clone();
        }
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Told(event) => self.told.push(event),
            Entry::Decided(decided) => drop(self.decided.insert(decided.number, *decided)),
            Entry::Accepted(accepted) => self.system = accepted.system,
            _ => {}
        }
    }

    /// The event of that number.
    #[must_use]
    pub fn event(&self, number: u64) -> Option<&Event> {
        let place = self.told.partition_point(|told| told.number < number);
        self.told.get(place).filter(|told| told.number == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Durability, Journal};
    use plimsoll_model::Instant;

    fn told(number: u64) -> Entry {
        Entry::Told(Event {
            number,
            at: Instant(number),
            subject: "web".into(),
            reason: "Scaled".into(),
            message: "x".repeat(1000),
            warning: false,
        })
    }

    /// A journal of 4 generations with 10 events of about 1 KB each, and what led to them.
    fn journal(kept_bytes: u64) -> (tempfile::TempDir, History) {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.keep_bytes(kept_bytes);
        let mut remembered = Remembered::default();
        for number in 1..=40 {
            for entry in [told(number), Entry::Decided(Box::new(Decided { number, ..Decided::default() }))] {
                journal.append(&entry, Durability::OurDeath).unwrap();
                remembered.fold(entry);
            }
            if number % 10 == 0 {
                journal.snapshot(&remembered).unwrap();
            }
        }
        let history = history(dir.path());
        (dir, history)
    }

    #[test]
    fn events_are_read_back_over_generations_with_what_led_to_them() {
        let (_dir, history) = journal(16 << 20);
        let numbers: Vec<u64> = history.told.iter().map(|told| told.number).collect();
        assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
        assert_eq!(history.decided.len(), 40);
        assert_eq!(history.event(17).map(|told| told.number), Some(17));
        assert_eq!(history.event(41), None);
        assert!(history.gaps.is_empty());
    }

    #[test]
    fn old_generations_go_when_there_is_no_room_for_them() {
        let (_dir, none) = journal(0);
        assert_eq!(none.told.first().map(|told| told.number), Some(31), "only the generation before is kept");
        let (_dir, some) = journal(40_000);
        let first = some.told.first().map(|told| told.number).unwrap();
        assert!(first > 1 && first < 31, "{first}");
        assert_eq!(some.told.last().map(|told| told.number), Some(40));
        assert!(some.gaps.is_empty());
    }

    #[test]
    fn a_folder_without_a_journal_tells_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(history(dir.path()).told.is_empty());
        assert_eq!(history(&dir.path().join("none")).gaps.len(), 1);
    }
}
