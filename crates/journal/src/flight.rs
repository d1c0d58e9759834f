//! The flight recorder: every look of autoscalers, and every decision about releases that saw, said or remembered anything
//! new, for as long as a bound of bytes allows.
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
    account::{self, Answer, Autoscale, Question, Rollout},
    autoscale::{self, Decision, Memory, Policy, Seen},
    reconcile::ReplicaSeen,
    rollout,
};
use plimsoll_model::{Instant, System, autoscaling::Autoscaling};
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
    /// The recording of a service's releases begins, or begins anew.
    ReleaseBegun {
        /// Which service.
        service: String,
        /// What the file said, and how many replicas were wanted.
        policy: Box<rollout::Policy>,
        /// The decider's memory.
        memory: Box<rollout::Memory>,
    },
    /// It was decided how a release goes on.
    Released {
        /// Which service.
        service: String,
        /// What was seen; without replicas if they are those of the decision before.
        seen: Box<rollout::Seen>,
        /// The replicas are those of the decision before.
        same_replicas: bool,
        /// What was said.
        answer: Answer,
    },
}

/// From where decisions about a release follow.
#[derive(Debug, Clone)]
struct Release {
    policy: rollout::Policy,
    memory: rollout::Memory,
    /// What was seen last, spans and commands included.
    seen: rollout::Seen,
    answer: Answer,
}

impl Release {
    /// Whether nothing was seen that had not been seen at the last decision, and nothing was said or remembered anew.
    fn is_repeated(&self, seen: &rollout::Seen, answer: &Answer, memory: &rollout::Memory) -> bool {
        let last = &self.seen;
        (&last.wanted, last.at_once, &last.replicas) == (&seen.wanted, seen.at_once, &seen.replicas)
            && seen.spans.is_empty()
            && seen.commands.is_empty()
            && seen.prepared.is_none()
            && self.answer == *answer
            && self.memory == *memory
    }
}

/// The recorder, open for writing.
pub struct Flight {
    journal: Journal,
    /// Where each service's next look follows from.
    at: BTreeMap<String, Begun>,
    /// The same of releases.
    releases: BTreeMap<String, Release>,
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
        Ok(Self { journal, at: BTreeMap::new(), releases: BTreeMap::new() })
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
        self.turn_over()
    }

    /// Records one decision about a service's release: what was given, what was said, and what is remembered afterwards.
    /// One that repeats the last one, with nothing new seen, is not recorded.
    ///
    /// # Errors
    /// As [`Flight::look`].
    pub fn release(
        &mut self,
        service: &str,
        asked: &Rollout,
        (decision, memory): (&rollout::Decision, &rollout::Memory),
    ) -> Result<(), JournalError> {
        let answer = account::released(decision);
        let known = self.releases.get(service);
        let known = known.filter(|last| last.policy == asked.policy && last.memory == asked.memory);
        if known.is_some_and(|last| last.is_repeated(&asked.seen, &answer, memory)) {
            return Ok(());
        }
        let same_replicas = known.is_some_and(|last| last.seen.replicas == asked.seen.replicas);
        let mut entries = Vec::with_capacity(2);
        if known.is_none() {
            let (policy, memory) = (Box::new(asked.policy.clone()), Box::new(asked.memory.clone()));
            entries.push(Flown::ReleaseBegun { service: service.into(), policy, memory });
        }
        let mut seen = Box::new(asked.seen.clone());
        if same_replicas {
            seen.replicas = Vec::new();
        }
        entries.push(Flown::Released { service: service.into(), seen, same_replicas, answer: answer.clone() });
        self.releases.remove(service);
        self.journal.append_many(&entries, Durability::OurDeath)?;
        let (policy, memory, seen) = (asked.policy.clone(), memory.clone(), asked.seen.clone());
        self.releases.insert(service.into(), Release { policy, memory, seen, answer });
        self.turn_over()
    }

    /// Begins another generation when it is time. The recording of releases begins anew with it.
    fn turn_over(&mut self) -> Result<(), JournalError> {
        if self.journal.wants_snapshot() {
            self.releases.clear();
            self.journal.snapshot(&self.at)?;
        }
        Ok(())
    }
}

/// One decision, as it was recorded, with today's question from what today's code remembers.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Which service.
    pub service: String,
    /// When.
    pub at: Instant,
    /// What is asked again.
    pub question: Question,
    /// What was said then.
    pub answer: Answer,
}

/// From where the decisions that are read follow.
#[derive(Default)]
struct Flying<'s> {
    /// The file under which it is asked again. `None`: the one in force then.
    with: Option<&'s System>,
    at: BTreeMap<String, Begun>,
    releases: BTreeMap<String, (rollout::Policy, rollout::Memory, Vec<ReplicaSeen>)>,
}

impl Flying<'_> {
    /// Takes in one record; the decision that it is, if it is one.
    fn take(&mut self, flown: Flown) -> Option<Look> {
        match flown {
            Flown::Begun { service, begun } => drop(self.at.insert(service, *begun)),
            Flown::ReleaseBegun { service, policy, memory } => {
                self.releases.insert(service, (*policy, *memory, Vec::new()));
            }
            Flown::Looked { service, seen, same_pods, answer } => {
                return self.looked(service, *seen, same_pods, answer);
            }
            Flown::Released { service, seen, same_replicas, answer } => {
                return self.released(service, *seen, same_replicas, answer);
            }
        }
        None
    }

    fn looked(&mut self, service: String, mut seen: Seen, same_pods: bool, answer: Answer) -> Option<Look> {
        let from = self.at.get_mut(&service)?;
        if same_pods {
            seen.hpa.pods.clone_from(&from.pods);
        } else {
            from.pods.clone_from(&seen.hpa.pods);
        }
        let policy = match self.with {
            None => from.policy.clone(),
            Some(system) => system.services.get(&service).and_then(account::scaling_on_a_machine)?,
        };
        let asked = Autoscale { policy, memory: from.memory.clone(), seen };
        autoscale::decide(&Policy::from(&asked.policy), &mut from.memory, &asked.seen);
        Some(Look { service, at: asked.seen.hpa.at, question: Question::Autoscale(Box::new(asked)), answer })
    }

    fn released(
        &mut self,
        service: String,
        mut seen: rollout::Seen,
        same_replicas: bool,
        answer: Answer,
    ) -> Option<Look> {
        let (policy, memory, replicas) = self.releases.get_mut(&service)?;
        if same_replicas {
            seen.replicas.clone_from(replicas);
        } else {
            replicas.clone_from(&seen.replicas);
        }
        let policy = match self.with {
            None => policy.clone(),
            Some(system) => {
                let own = system.services.get(&service)?;
                rollout::Policy::of(&own.rollout, own.probes.readiness.as_ref(), policy.replicas)
            }
        };
        let asked = Rollout { policy, memory: memory.clone(), seen };
        rollout::decide(&asked.policy, memory, &asked.seen);
        Some(Look { service, at: asked.seen.at, question: Question::Rollout(Box::new(asked)), answer })
    }
}

/// Everything that the recorder in `dir` still holds, put to `each` in order. The memory of each decision is the one that
/// today's code came to by those before it, under the policies of `with` (None: those in force then). Tells how many
/// records another version wrote, and what could not be read.
pub fn fly(dir: &Path, with: Option<&System>, mut each: impl FnMut(Look)) -> (u64, Vec<String>) {
    let mut flying = Flying { with, ..Flying::default() };
    let (mut not_understood, mut gaps) = (0, Vec::new());
    if !dir.is_dir() {
        // Nothing was ever recorded.
        return (not_understood, gaps);
    }
    for item in read(dir) {
        match item {
            Ok(Item::Snapshot(record)) => match record.decode() {
                Ok(begun) => flying.at = begun,
                Err(_) => not_understood += 1,
            },
            Ok(Item::Record(record)) => match record.decode::<Flown>() {
                Ok(flown) => {
                    if let Some(look) = flying.take(flown) {
                        each(look);
                    }
                }
                Err(_) => not_understood += 1,
            },
            Err(error) => gaps.push(error.to_string()),
        }
    }
    (not_understood, gaps)
}
