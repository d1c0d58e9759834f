//! A decision as a thing that can be kept: what was asked, what was answered, the arithmetic, and what would have changed it.
//!
//! A [`Question`] holds everything that a decider was given (policy, memory and what was seen), so that today's code can
//! be asked again, or asked under another policy. Worlds only fill it in; nothing here is computed outside this crate.
//!
//! Invariant: asking a question changes nothing, and the same question always gets the same answer.
//! Invariant: what an account says would have been otherwise was asked of the same decider, with other inputs.

mod ejecting;
mod ending;
mod failing;
mod probing;
mod releasing;
mod restarting;
mod scaling;

use crate::{autoscale, failover, health, restart, rollout, route, termination};
use plimsoll_model::{ReplicaId, Service, System, autoscaling::Autoscaling, probe::Probes, route::Resilience};
use serde::{Deserialize, Serialize};

/// Everything that one decider was given.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Asked<P, M, S> {
    /// What was wanted.
    pub policy: P,
    /// What was remembered before.
    pub memory: M,
    /// What was seen.
    pub seen: S,
}

/// What was asked of `autoscale`; its policy is what the file says.
pub type Autoscale = Asked<Autoscaling, autoscale::Memory, autoscale::Seen>;
/// What was asked of `restart`.
pub type Restart = Asked<restart::Policy, restart::Memory, restart::Seen>;
/// What was asked of `health`.
pub type Health = Asked<Probes, health::Memory, health::Seen>;
/// What was asked of `route::weigh`.
pub type Eject = Asked<Resilience, route::Memory, route::Seen>;
/// What was asked of `rollout`.
pub type Rollout = Asked<rollout::Policy, rollout::Memory, rollout::Seen>;
/// What was asked of `failover`.
pub type Failover = Asked<failover::Policy, failover::Memory, failover::Seen>;
/// What was asked of `termination`.
pub type Terminate = Asked<termination::Policy, termination::Memory, termination::Seen>;

/// One question to one decider.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// How many replicas?
    Autoscale(Box<Autoscale>),
    /// Is a replica whose process ended started again, and when?
    Restart(Restart),
    /// Is a replica started, is it ready, must it be restarted?
    Health(Box<Health>),
    /// Which share does each replica of a service get, and which are left out?
    Eject(Box<Eject>),
    /// How does a release go on?
    Rollout(Box<Rollout>),
    /// Which is the next step of a replica's end?
    Terminate(Terminate),
    /// Who is the primary of a store, and what becomes of it?
    Failover(Box<Failover>),
}

/// What a decider said, in so many words that two answers can be told apart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Answer {
    /// What is done, complete: two answers with the same act are the same decision.
    pub act: String,
    /// Why, for a person.
    pub why: String,
}

/// How an answer came about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    /// The arithmetic, line by line.
    pub steps: Vec<String>,
    /// What would have changed it, each line asked of the same decider. Empty when nothing that was tried does.
    pub otherwise: Vec<String>,
}

/// The deciders, by the names under which they are kept.
pub const DECIDERS: [&str; 7] = ["autoscale", "restart", "health", "eject", "rollout", "terminate", "failover"];

impl Question {
    /// Which decider is asked: one of [`DECIDERS`].
    #[must_use]
    pub fn by(&self) -> &'static str {
        match self {
            Self::Autoscale(_) => DECIDERS[0],
            Self::Restart(_) => DECIDERS[1],
            Self::Health(_) => DECIDERS[2],
            Self::Eject(_) => DECIDERS[3],
            Self::Rollout(_) => DECIDERS[4],
            Self::Terminate(_) => DECIDERS[5],
            Self::Failover(_) => DECIDERS[6],
        }
    }

    /// What today's code answers.
    #[must_use]
    pub fn answer(&self) -> Answer {
        match self {
            Self::Autoscale(asked) => scaling::ask(asked).0,
            Self::Restart(asked) => restarting::ask(asked),
            Self::Health(asked) => probing::ask(asked),
            Self::Eject(asked) => ejecting::ask(asked),
            Self::Rollout(asked) => releasing::ask(asked).0,
            Self::Terminate(asked) => ending::ask(asked),
            Self::Failover(asked) => failing::ask(asked),
        }
    }

    /// How today's code comes to its answer, and what would change it.
    #[must_use]
    pub fn account(&self) -> Account {
        match self {
            Self::Autoscale(asked) => scaling::account(asked),
            Self::Restart(asked) => restarting::account(asked),
            Self::Health(asked) => probing::account(asked),
            Self::Eject(asked) => ejecting::account(asked),
            Self::Rollout(asked) => releasing::account(asked),
            Self::Terminate(asked) => ending::account(asked),
            Self::Failover(asked) => failing::account(asked),
        }
    }

    /// The same question under the policy that `system` has for `subject` (a service, or a replica `web-3`). None: it has
    /// no such service, or no such policy for it; stores keep theirs.
    #[must_use]
    pub fn under(self, system: &System, subject: &str) -> Option<Self> {
        let service = service_of(system, subject)?;
        Some(match self {
            Self::Autoscale(mut asked) => {
                asked.policy = scaling_on_a_machine(service)?;
                Self::Autoscale(asked)
            }
            Self::Restart(mut asked) => {
                asked.policy.restart = service.restart;
                Self::Restart(asked)
            }
            Self::Health(mut asked) => {
                asked.policy = service.probes.clone();
                Self::Health(asked)
            }
            Self::Eject(mut asked) => {
                asked.policy = service.resilience.clone();
                Self::Eject(asked)
            }
            Self::Rollout(mut asked) => {
                let (own, readiness) = (&service.rollout, service.probes.readiness.as_ref());
                asked.policy = rollout::Policy::of(own, readiness, asked.policy.replicas);
                Self::Rollout(asked)
            }
            Self::Terminate(mut asked) => {
                (asked.policy.grace, asked.policy.hook) = (service.termination_grace, service.pre_stop.is_some());
                Self::Terminate(asked)
            }
            Self::Failover(_) => return None,
        })
    }
}

/// What a service's file says about its autoscaling, as one machine acts on it. None: it has none.
#[must_use]
pub fn scaling_on_a_machine(service: &Service) -> Option<Autoscaling> {
    service.autoscaling.as_ref().map(|own| own.on_a_machine(service.port.is_some()))
}

/// The service of that name, or of the replica of that name.
fn service_of<'a>(system: &'a System, subject: &str) -> Option<&'a Service> {
    let of_replica = || system.services.get(ReplicaId::owner_in(subject)?);
    system.services.get(subject).or_else(of_replica)
}

/// The answer that was given by `autoscale`.
#[must_use]
pub fn scaled(seen: &autoscale::Seen, decision: &autoscale::Decision) -> Answer {
    scaling::answer(seen, decision)
}

/// The answer that was given by `restart`.
#[must_use]
pub fn restarted(seen: &restart::Seen, decision: &restart::Decision) -> Answer {
    restarting::answer(seen, decision)
}

/// The answer that was given by `health`.
#[must_use]
pub fn probed(decision: &health::Decision) -> Answer {
    probing::answer(decision)
}

/// The answer that was given by `route::weigh`.
#[must_use]
pub fn weighed(seen: &route::Seen, weighed: &[route::Weighed]) -> Answer {
    ejecting::answer(seen, weighed)
}

/// A replica that is left out from now on, or no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Which.
    pub replica: ReplicaId,
    /// It is left out from now on; false: it is tried again.
    pub out: bool,
    /// Why, for a person.
    pub why: String,
}

/// Who is left out from now on, or no longer, by what was asked of `route::weigh`. Empty for other questions.
#[must_use]
pub fn ejections(question: &Question) -> Vec<Turn> {
    match question {
        Question::Eject(asked) => ejecting::turns(asked),
        _ => Vec::new(),
    }
}

/// The answer that was given by `rollout`.
#[must_use]
pub fn released(decision: &rollout::Decision) -> Answer {
    releasing::answer(decision)
}

/// The answer that was given by `failover`.
#[must_use]
pub fn failed_over(decision: &failover::Decision) -> Answer {
    failing::answer(decision)
}

/// The answer that was given by `termination`.
#[must_use]
pub fn ended(decision: &termination::Decision) -> Answer {
    ending::answer(decision)
}

/// A line about what would have been otherwise, if `other` is another act than `answer`'s.
fn line(answer: &Answer, what: &str, other: &Answer) -> Option<String> {
    (answer.act != other.act).then(|| format!("{what}: {}", other.act))
}
