//! `explain`: why something was decided, from what the journal and the flight recorder hold.
//!
//! Invariant: it reads files only, so that it tells the same with an engine and without one.

use plimsoll_api::{Event, Explained, Explanation};
use plimsoll_control::account::Question;
use plimsoll_journal::{
    decided::Decided,
    flight::{self, Look},
    history::{History, history},
};
use plimsoll_model::ReplicaId;
use plimsoll_wire::place::Place;

/// So many decisions are told about one thing.
const TOLD_MAX: usize = 5;

/// What is asked to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// The last decision.
    Last,
    /// The event of this number.
    Event(u64),
    /// A service with its replicas.
    Service(String),
    /// One replica, or one member of a store.
    Replica(String),
    /// A store with its members.
    Store(String),
}

impl Of {
    /// What `KIND NAME` means; None: nothing.
    #[must_use]
    pub fn parse(kind: &str, name: &str) -> Option<Self> {
        Some(match kind {
            "last" => Self::Last,
            "event" => Self::Event(name.trim_start_matches('#').parse().ok()?),
            "service" => Self::Service(name.into()),
            "replica" => Self::Replica(name.into()),
            "store" => Self::Store(name.into()),
            _ => return None,
        })
    }

    /// Whether a decision is worth telling among others.
    fn is_news(&self, told: &Event) -> bool {
        match self {
            Self::Replica(_) | Self::Event(_) => true,
            Self::Last | Self::Service(_) | Self::Store(_) => told.reason != "Ready",
        }
    }

    /// Whether an event about `subject` belongs to it.
    fn holds(&self, subject: &str) -> bool {
        match self {
            Self::Last => true,
            Self::Event(_) => false,
            Self::Replica(name) => subject == name,
            Self::Service(name) | Self::Store(name) => subject == name || ReplicaId::owner_in(subject) == Some(name),
        }
    }
}

/// Explains it from the state directory of a system.
#[must_use]
pub fn explain(place: &Place, of: &Of) -> Explanation {
    let history = history(&place.journal());
    let mut explanation = Explanation { gaps: history.gaps.clone(), ..Explanation::default() };
    if let Of::Event(number) = of {
        explanation.decisions.extend(history.event(*number).map(|told| explained(&history, told)));
        return explanation;
    }
    let decided: Vec<&Event> = history.told.iter().rev().filter(|told| of.holds(&told.subject)).collect();
    let decided: Vec<&Event> = decided.into_iter().filter(|told| history.decided.contains_key(&told.number)).collect();
    let most = if *of == Of::Last { 1 } else { TOLD_MAX };
    // That a replica got ready is told only where nothing else was decided.
    let news: Vec<&Event> = decided.iter().copied().filter(|told| of.is_news(told)).collect();
    let told = if news.is_empty() { decided } else { news };
    explanation.decisions.extend(told.into_iter().take(most).map(|told| explained(&history, told)));
    if let Of::Service(name) = of {
        explanation.now = last_look(place, name);
    }
    if explanation.decisions.is_empty() && explanation.now.is_none() {
        // Nothing was decided about it: what happened to it is still told.
        let told = history.told.iter().rev().filter(|told| of.holds(&told.subject));
        explanation.decisions.extend(told.take(TOLD_MAX).map(|told| explained(&history, told)));
    }
    explanation.decisions.reverse();
    explanation
}

fn explained(history: &History, told: &Event) -> Explained {
    let decided = history.decided.get(&told.number).cloned().unwrap_or_default();
    let Decided { by, answer, steps, otherwise, policy, memory, seen, .. } = decided;
    Explained { event: told.clone(), by, act: answer.act, steps, otherwise, policy, memory, seen }
}

/// The last look of a service's autoscaler at its metrics or at traffic; None: none is recorded.
fn last_look(place: &Place, service: &str) -> Option<Explained> {
    let mut last: Option<Look> = None;
    let recorder = place.recorder();
    if !recorder.is_dir() {
        return None;
    }
    flight::fly(&recorder, None, |look| {
        let Question::Autoscale(asked) = &look.question else { return };
        let saw = !asked.seen.hpa.readings.is_empty() || !asked.seen.traffic.samples.is_empty();
        if look.service == service && (saw || last.is_none()) {
            last = Some(look);
        }
    });
    let Look { service, at, question, answer } = last?;
    let event = Event {
        number: 0,
        at,
        subject: service.clone(),
        reason: "Looked".into(),
        message: answer.why.clone(),
        warning: false,
    };
    let Decided { by, answer, steps, otherwise, policy, memory, seen, .. } =
        Decided::new(0, &service, &question, answer);
    Some(Explained { event, by, act: answer.act, steps, otherwise, policy, memory, seen })
}
