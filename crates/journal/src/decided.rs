//! A decision that was written down: everything that its decider was given, what it said, and how it came to that.
//!
//! Invariant: a shape of inputs that this version does not know never makes the journal unreadable; it is only not asked
//! again, and that is told.

use plimsoll_control::account::{Account, Answer, Asked, DECIDERS, Question};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What led to the event of this number.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Decided {
    /// The event's.
    pub number: u64,
    /// What it is about: a service, a replica, a member of a store.
    pub subject: String,
    /// Which decider: one of `control::account::DECIDERS`.
    pub by: String,
    /// What the decider said.
    pub answer: Answer,
    /// The arithmetic, line by line.
    pub steps: Vec<String>,
    /// What would have changed it.
    pub otherwise: Vec<String>,
    /// What was wanted, as in force then. `null`: it was not kept (by an older version).
    pub policy: Value,
    /// What the decider remembered before.
    pub memory: Value,
    /// What it was told.
    pub seen: Value,
}

/// Inputs that can't be asked again.
#[derive(Debug, thiserror::Error)]
pub enum NotAsked {
    /// This version has no such decider.
    #[error("there is no decider {0} here")]
    UnknownDecider(String),
    /// They have another shape than this version's.
    #[error("its inputs are of another version")]
    OtherVersion(#[source] serde_json::Error),
}

impl Decided {
    /// A decision, as it is written down: its account is made here, its answer is the one that was given.
    #[must_use]
    pub fn new(number: u64, subject: &str, question: &Question, answer: Answer) -> Self {
        let Account { steps, otherwise } = question.account();
        let (policy, memory, seen) = inputs(question);
        let (subject, by) = (subject.to_owned(), question.by().to_owned());
        Self { number, subject, by, answer, steps, otherwise, policy, memory, seen }
    }

    /// The question, to be asked again.
    ///
    /// # Errors
    /// Another version wrote it.
    pub fn question(&self) -> Result<Question, NotAsked> {
        question(&self.by, self.policy.clone(), self.memory.clone(), self.seen.clone())
    }
}

/// The question to the decider `by` with these inputs.
///
/// # Errors
/// Another version wrote them.
pub fn question(by: &str, policy: Value, memory: Value, seen: Value) -> Result<Question, NotAsked> {
    let inputs = (policy, memory, seen);
    let place = DECIDERS.iter().position(|known| *known == by);
    let question = match place {
        Some(0) => asked(inputs).map(|asked| Question::Autoscale(Box::new(asked))),
        Some(1) => asked(inputs).map(Question::Restart),
        Some(2) => asked(inputs).map(|asked| Question::Health(Box::new(asked))),
        Some(3) => asked(inputs).map(|asked| Question::Eject(Box::new(asked))),
        Some(4) => asked(inputs).map(|asked| Question::Rollout(Box::new(asked))),
        Some(5) => asked(inputs).map(Question::Terminate),
        Some(6) => asked(inputs).map(|asked| Question::Failover(Box::new(asked))),
        _ => return Err(NotAsked::UnknownDecider(by.into())),
    };
    question.map_err(NotAsked::OtherVersion)
}

fn asked<P, M, S>((policy, memory, seen): (Value, Value, Value)) -> Result<Asked<P, M, S>, serde_json::Error>
where
    P: DeserializeOwned,
    M: DeserializeOwned,
    S: DeserializeOwned,
{
    Ok(Asked {
        policy: serde_json::from_value(policy)?,
        memory: serde_json::from_value(memory)?,
        seen: serde_json::from_value(seen)?,
    })
}

/// Policy, memory and what was seen, as they are written down.
fn inputs(question: &Question) -> (Value, Value, Value) {
    match question {
        Question::Autoscale(asked) => values(asked),
        Question::Restart(asked) => values(asked),
        Question::Health(asked) => values(asked),
        Question::Eject(asked) => values(asked),
        Question::Rollout(asked) => values(asked),
        Question::Terminate(asked) => values(asked),
        Question::Failover(asked) => values(asked),
    }
}

/// What can't be written as JSON is `null`, and then not asked again; nothing of ours is so.
fn values<P: Serialize, M: Serialize, S: Serialize>(asked: &Asked<P, M, S>) -> (Value, Value, Value) {
    let value = serde_json::to_value::<&P>(&asked.policy).unwrap_or_default();
    let memory = serde_json::to_value(&asked.memory).unwrap_or_default();
    (value, memory, serde_json::to_value(&asked.seen).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_control::{account::Restart, restart};
    use plimsoll_model::{Instant, Millis};

    #[test]
    fn a_question_reads_back_as_it_was_asked_and_gets_the_same_answer() {
        let memory = restart::Memory { in_a_row: 2, wait: Some(Millis(20_000)), ..restart::Memory::default() };
        let seen = restart::Seen { at: Instant(5_000_000), exited_at: Instant(4_999_000), ..restart::Seen::default() };
        let question = Question::Restart(Restart { policy: restart::Policy::default(), memory, seen });
        let decided = Decided::new(7, "web-1", &question, question.answer());
        let text = serde_json::to_string(&decided).unwrap();
        let read: Decided = serde_json::from_str(&text).unwrap();
        assert_eq!(read, decided);
        assert_eq!(read.question().unwrap(), question);
        assert_eq!(read.question().unwrap().answer(), decided.answer);
    }

    #[test]
    fn what_another_version_wrote_is_read_but_not_asked() {
        let old = r#"{ "number": 3, "by": "autoscale", "steps": ["a"], "memory": {}, "seen": {} }"#;
        let read: Decided = serde_json::from_str(old).unwrap();
        assert_eq!(read.steps, ["a"]);
        assert!(matches!(read.question(), Err(NotAsked::OtherVersion(_))));
        let other = Decided { by: "weather".into(), ..Decided::default() };
        assert!(matches!(other.question(), Err(NotAsked::UnknownDecider(_))));
    }
}
