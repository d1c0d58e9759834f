//! The one place from which decisions are told: with everything their deciders were given, for `explain` and `replay`.

use super::Engine;
use plimsoll_control::{
    account::{self, Answer, Autoscale, Question},
    autoscale, rollout,
};
use plimsoll_journal::{
    JournalError,
    decided::{self, Decided},
    entry::Entry,
};
use plimsoll_wire::gateway::{Ejection, Figures};

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

    /// Keeps one look of an autoscaler in the flight recorder. After one that failed, which is told, none
    /// is kept until the disk takes what is written again.
    pub(super) fn keep_look(
        &mut self,
        service: &str,
        asked: &Autoscale,
        said: (&autoscale::Decision, &autoscale::Memory),
    ) {
        let kept = self.recorder.look(&self.place.recorder(), service, asked, said);
        self.take_recorded(kept);
    }

    /// Keeps one decision about a release in the flight recorder, as [`Self::keep_look`]. Where nothing is released nothing
    /// is kept: a system that starts has not to wait for the recorder.
    pub(super) fn keep_release(
        &mut self,
        service: &str,
        asked: &account::Rollout,
        said: (&rollout::Decision, &rollout::Memory),
    ) {
        if !asked.memory.is_releasing() && !said.1.is_releasing() {
            return;
        }
        let kept = self.recorder.release(&self.place.recorder(), service, asked, said);
        self.take_recorded(kept);
    }

    fn take_recorded(&mut self, kept: Result<(), JournalError>) {
        if let Err(error) = kept {
            let why = format!(
                "what is decided again and again is not recorded any more: {}",
                plimsoll_journal::chain(&error)
            );
            self.tell("system", "RecorderFailed", &why, true);
        }
    }

    /// Tells of the ejections that a gateway decided on and that were not told before.
    pub(super) fn take_ejections(&mut self, gateway: &str, figures: &Figures) {
        for ejection in &figures.ejected {
            let known = self.record.remembered.ejections.get(gateway);
            if known.is_some_and(|(epoch, number)| *epoch == figures.epoch && *number >= ejection.number) {
                continue;
            }
            let (gateway, epoch, number) = (gateway.to_owned(), figures.epoch, ejection.number);
            self.record.note(Entry::Ejections { gateway, epoch, number });
            self.tell_ejection(ejection);
        }
    }

    fn tell_ejection(&mut self, ejection: &Ejection) {
        let Ejection { policy, memory, seen, act, why, .. } = ejection.clone();
        // A gateway of another version may be asked in words that are not understood here; its routes say the rest.
        let Ok(question) = decided::question("eject", policy, memory, seen) else { return };
        let answer = Answer { act, why };
        for change in account::ejections(&question) {
            let reason = if change.out { "Ejected" } else { "Returned" };
            let (subject, message) = (change.replica.to_string(), change.why);
            let words = Words { subject: &subject, reason, message: &message, warning: change.out };
            self.tell_decision(&words, &question, answer.clone());
        }
    }
}
