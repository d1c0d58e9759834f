//! The one place from which decisions are told: with everything their deciders were given, for `explain` and `replay`.

use super::Engine;
use plimsoll_control::account::{Answer, Question};
use plimsoll_journal::{decided::Decided, entry::Entry};

/// What is told of a decision.
pub(super) struct Words<'a> {
    /// What it is about: `web`, `web-3`, `orders`, `system`.
    pub(super) subject: &'a str,
    /// A word for what happened.
    pub(super) reason: &'a str,
    /// A sentence for a person.
    pub(super) message: &'a str,
    /// Whether a person should look.
    pub(super) warning: bool,
}

impl Engine {
    /// Tells of a decision, and writes down what led to it. `answer` is what the decider said then.
    pub(super) fn tell_decision(&mut self, words: &Words<'_>, question: &Question, answer: Answer) {
        self.tell(words.subject, words.reason, words.message, words.warning);
        let decided = Decided::new(self.events.last(), words.subject, question, answer);
        self.record.note(Entry::Decided(Box::new(decided)));
    }
}
