//! Recorded decisions, asked again: of today's code, or under another policy.
//!
//! With another policy the replay is *open loop*: what was recorded does not react to other decisions (a replica that would
//! have come does not take load), so it tells what would have been decided first, not what would have become of it.

use crate::{
    decided::Decided,
    flight::{self, Look},
    history,
};
use plimsoll_model::{Instant, System};
use serde::Serialize;
use std::{collections::BTreeMap, path::Path};

/// So many differences are kept; all are counted.
const DIFFERENCES_MAX: usize = 1000;

/// What a replay came to.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// Decisions that were asked again.
    pub decisions: u64,
    /// How many of them each decider made.
    pub by: BTreeMap<String, u64>,
    /// Decisions with another answer.
    pub differing: u64,
    /// The first of them, neighbours with the same answers taken together.
    pub differences: Vec<Difference>,
    /// Decisions that were not asked again, and why.
    pub not_asked: BTreeMap<String, u64>,
    /// What could not be read.
    pub gaps: Vec<String>,
    /// Another policy was laid under it: recorded inputs do not react.
    pub open_loop: bool,
    /// The first and the last moment of what was asked again.
    pub span: Option<(Instant, Instant)>,
}

/// Decisions in a row about the same thing that differ in the same way.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// What it is about.
    pub subject: String,
    /// Which decider.
    pub by: String,
    /// The event that told of the decision; 0 when no event did.
    pub number: u64,
    /// When, the first of them.
    pub at: Instant,
    /// When, the last of them.
    pub until: Instant,
    /// How many.
    pub times: u64,
    /// What was decided then.
    pub recorded: String,
    /// What is decided now.
    pub now: String,
}

/// Asks everything again that the journal in `journal` and the flight recorder in `recorder` still hold; under the policies
/// of `with` where that is given.
#[must_use]
pub fn replay(journal: &Path, recorder: &Path, with: Option<&System>) -> Replayed {
    let mut replayed = Replayed { open_loop: with.is_some(), ..Replayed::default() };
    let history = history::history(journal);
    replayed.gaps.extend(history.gaps.iter().cloned());
    replayed.skip("written by another version", history.not_understood);
    for decided in history.decided.values() {
        let at = history.event(decided.number).map(|told| told.at);
        replayed.ask(decided, at, with);
    }
    if recorder.is_dir() {
        let (not_understood, gaps) = flight::fly(recorder, with, |look| replayed.look(&look));
        replayed.gaps.extend(gaps);
        replayed.skip("written by another version", not_understood);
    }
    replayed
}

impl Replayed {
    fn skip(&mut self, why: &str, times: u64) {
        if times > 0 {
            *self.not_asked.entry(why.into()).or_default() += times;
        }
    }

    fn ask(&mut self, decided: &Decided, at: Option<Instant>, with: Option<&System>) {
        let Ok(question) = decided.question() else { return self.skip("its inputs are of another version", 1) };
        let question = match with {
            None => Some(question),
            Some(system) => question.under(system, &decided.subject),
        };
        let Some(question) = question else {
            return self.skip("the other file has no policy for it", 1);
        };
        let difference = Difference {
            subject: decided.subject.clone(),
            by: decided.by.clone(),
            number: decided.number,
            at: at.unwrap_or_default(),
            until: at.unwrap_or_default(),
            times: 1,
            recorded: decided.answer.act.clone(),
            now: question.answer().act,
        };
        self.count(difference);
    }

    fn look(&mut self, look: &Look) {
        let (at, question) = (look.at, &look.question);
        self.count(Difference {
            subject: look.service.clone(),
            by: question.by().into(),
            number: 0,
            at,
            until: at,
            times: 1,
            recorded: look.answer.act.clone(),
            now: question.answer().act,
        });
    }

    /// Counts one decision; keeps it if it differs.
    fn count(&mut self, one: Difference) {
        self.decisions += 1;
        *self.by.entry(one.by.clone()).or_default() += 1;
        let (first, last) = self.span.unwrap_or((one.at, one.at));
        self.span = Some((first.min(one.at), last.max(one.at)));
        if one.recorded == one.now {
            return;
        }
        self.differing += 1;
        let last = self.differences.iter_mut().rev().find(|known| known.subject == one.subject);
        let same = |known: &&mut Difference| {
            let both_looks = known.number == 0 && one.number == 0;
            both_looks && (&known.by, &known.recorded, &known.now) == (&one.by, &one.recorded, &one.now)
        };
        if let Some(known) = last.filter(same) {
            (known.times, known.until) = (known.times + 1, one.at);
        } else if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(one);
        }
    }
}
