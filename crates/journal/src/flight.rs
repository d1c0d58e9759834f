//! The flight recorder: every look of deciders that look many times a second, for as long as a bound of bytes allows.
//!
//! It is a journal of its own, in a folder of its own, whose old generations are dropped. What a decider remembers is
//! written once, when the recording of it begins (and with each generation); from there each look follows from the one
//! before, so that only what was seen need be kept.
//!
//! Invariant: a look whose memory or policy is not what the last one left begins a new recording, so that a replay never
//! runs on from a wrong memory.
//! Invariant: nothing is decided by what stands here; a recorder that fails loses looks and nothing else.

use crate::{Durability, Item, Journal, JournalError, read};
use plimsoll_control::{
    account::{self, Answer, Autoscale},
    autoscale::{self, Decision, Memory, Policy, Seen},
};
use plimsoll_model::{System, autoscaling::Autoscaling};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// So many bytes are kept, as whole generations. At 20 looks a second of one service that does not change, with about
/// 300 bytes each, that is an hour and a half.
const KEPT_BYTES: u64 = 32 << 20;
/// So many bytes make a generation.
const GENERATION_BYTES: u64 = 4 << 20;

/// From where looks follow: the policy in force, and what was remembered before the next look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// What the file said.
    pub policy: Autoscaling,
    /// The decider's memory.
    pub memory: Memory,
    /// The pods of the last look; a look with the same ones does not repeat them.
    pub pods: Vec<autoscale::seen::Pod>,
}

/// One thing in the recorder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Flown {
    /// The recording of a service begins, or begins anew.
    Begun {
        /// Which service.
        service: String,
        /// From where its looks follow.
        begun: Box<Begun>,
    },
    /// An autoscaler looked.
    Looked {
        /// Which service.
        service: String,
        /// What it saw; without pods if they are those of the look before.
        seen: Box<Seen>,
        /// The pods are those of the look before.
        same_pods: bool,
        /// What it said.
        answer: Answer,
    },
}

/// The recorder, open for writing.
pub struct Flight {
    journal: Journal,
    /// Where each service's next look follows from.
    at: BTreeMap<String, Begun>,
}

impl Flight {
    /// Opens the recorder in `dir`, making it if it is not there. What it holds is kept.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open(dir: &Path) -> Result<Self, JournalError> {
        let (mut journal, _) = Journal::open(dir)?;
        journal.keep_bytes(KEPT_BYTES);
        journal.generation_bytes(GENERATION_BYTES);
        // What was remembered by the engine before is not looked for: the recording of each service begins anew.
        Ok(Self { journal, at: BTreeMap::new() })
    }

    /// Records one look of a service's autoscaler: what it was given, what it said, and what it remembers afterwards.
    ///
    /// # Errors
    /// The disk refuses: this look is lost, and the recording begins anew with the next one.
    pub fn look(
        &mut self,
        service: &str,
        asked: &Autoscale,
        (decision, memory): (&Decision, &Memory),
    ) -> Result<(), JournalError> {
        let answer = account::scaled(&asked.seen, decision);
        let known = self.at.get(service).filter(|at| at.policy == asked.policy && at.memory == asked.memory);
        let same_pods = known.is_some_and(|at| at.pods == asked.seen.hpa.pods);
        let mut entries = Vec::with_capacity(2);
        if known.is_none() {
            let (policy, memory) = (asked.policy.clone(), asked.memory.clone());
            let begun = Box::new(Begun { policy, memory, pods: Vec::new() });
            entries.push(Flown::Begun { service: service.into(), begun });
        }
        let mut seen = Box::new(asked.seen.clone());
        if same_pods {
            seen.hpa.pods = Vec::new();
        }
        entries.push(Flown::Looked { service: service.into(), seen, same_pods, answer });
        self.at.remove(service);
        self.journal.append_many(&entries, Durability::OurDeath)?;
        let (policy, memory, pods) = (asked.policy.clone(), memory.clone(), asked.seen.hpa.pods.clone());
        self.at.insert(service.into(), Begun { policy, memory, pods });
        if self.journal.wants_snapshot() {
            self.journal.snapshot(&self.at)?;
        }
        Ok(())
    }
}

/// One look, as it was recorded, with today's question from what today's code remembers.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Which service.
    pub service: String,
    /// What is asked again.
    pub asked: Autoscale,
    /// What was said then.
    pub answer: Answer,
}

/// Everything that the recorder in `dir` still holds, put to `each` in order. The memory of each look is the one that
/// today's code came to by the looks before it, under the policy that `policy_of` gives (None: the one in force then).
/// Tells how many records another version wrote, and what could not be read.
pub fn fly(dir: &Path, policy_of: Option<&System>, mut each: impl FnMut(Look)) -> (u64, Vec<String>) {
    let mut at: BTreeMap<String, Begun> = BTreeMap::new();
    let (mut not_understood, mut gaps) = (0, Vec::new());
    if !dir.is_dir() {
        // Nothing was ever recorded.
        return (not_understood, gaps);
    }
    for item in read(dir) {
        match item {
            Ok(Item::Snapshot(record)) => match record.decode() {
                Ok(begun) => at = begun,
                Err(_) => not_understood += 1,
            },
            Ok(Item::Record(record)) => match record.decode::<Flown>() {
                Ok(Flown::Begun { service, begun }) => drop(at.insert(service, *begun)),
                Ok(Flown::Looked { service, mut seen, same_pods, answer }) => {
                    let Some(from) = at.get_mut(&service) else { continue };
                    if same_pods {
                        seen.hpa.pods.clone_from(&from.pods);
                    } else {
                        from.pods.clone_from(&seen.hpa.pods);
                    }
                    let policy = match policy_of {
                        None => Some(from.policy.clone()),
                        Some(system) => system.services.get(&service).and_then(account::scaling_on_a_machine),
                    };
                    let Some(policy) = policy else { continue };
                    let asked = Autoscale { policy, memory: from.memory.clone(), seen: *seen };
                    autoscale::decide(&Policy::from(&asked.policy), &mut from.memory, &asked.seen);
                    each(Look { service, asked, answer });
                }
                Err(_) => not_understood += 1,
            },
            Err(error) => gaps.push(error.to_string()),
        }
    }
    (not_understood, gaps)
}
