//! What happened: the last events in memory, and whoever follows them.

use plimsoll_api::Event;
use std::collections::VecDeque;
use tokio::sync::broadcast;

/// So many events are kept in memory; older ones are in the journal.
const KEPT_MAX: usize = 10_000;

/// Events from memory.
pub(crate) struct Since {
    /// Those before this number are not in memory; the journal has them.
    pub(crate) before: u64,
    /// Those in memory, without a gap.
    pub(crate) past: Vec<Event>,
    /// Those that follow.
    pub(crate) future: broadcast::Receiver<Event>,
}

/// The last events.
pub(crate) struct Events {
    kept: VecDeque<Event>,
    last: u64,
    followers: broadcast::Sender<Event>,
}

impl Events {
    /// No events in memory; the next one gets the number after `last`.
    pub(crate) fn after(last: u64) -> Self {
        Self { kept: VecDeque::new(), last, followers: broadcast::channel(4096).0 }
    }

    /// Gives an event the next number, keeps it and tells it to those who follow.
    pub(crate) fn tell(&mut self, event: Event) -> Event {
        self.last += 1;
        let event = Event { number: self.last, ..event };
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(event.clone());
        self.followers.send(event.clone()).ok();
        event
    }

    /// The number of the last event.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Those in memory with a number above `after`, and what follows.
    pub(crate) fn since(&self, after: u64) -> Since {
        let past: Vec<Event> = self.kept.iter().filter(|event| event.number > after).cloned().collect();
        let before = past.first().map_or(self.last + 1, |event| event.number);
        Since { before, past, future: self.followers.subscribe() }
    }
}
