//! Releases at work: what runs and what gateways saw goes to `control::rollout`, its sets to the reconciler, its shares to
//! the routes.
//!
//! Invariant: where a version runs already, what happens in the release of the next one is in the journal, durably, before
//! anything is done about it.

use super::{Engine, deciding::Words, turning::Wake};
use plimsoll_control::{
    account::{self, Question},
    analysis::Counts,
    reconcile::SetWanted,
    rollout::{
        self, Command, Decision, Event, Memory, Policy, Prepared, Seen,
        together::{self, Goal, ServiceSeen},
    },
    table::Split,
};
use plimsoll_journal::entry::{Entry, Row};
use plimsoll_model::{Instant, Millis, RevisionId, Service};
use std::{borrow::Cow, collections::BTreeMap};

/// What was measured in an analysis is written down at least so often.
const NOTE_EVERY: Millis = Millis::from_secs(5);
/// A disk that refuses is tried again after so long.
const DISK_AGAIN: Millis = Millis::from_secs(1);

/// The release of one service, between two decisions.
pub(crate) struct Release {
    pub(super) memory: Memory,
    /// What gateways saw and was not decided about.
    pub(super) spans: Vec<BTreeMap<RevisionId, Counts>>,
    /// What was decided last.
    pub(super) last: Decision,
    /// The revision whose `before` command runs.
    pub(super) preparing: Option<RevisionId>,
    /// A `before` command that has ended.
    pub(super) prepared: Option<Prepared>,
    noted: Memory,
    noted_at: Instant,
}

impl Release {
    fn remembered(memory: Memory) -> Self {
        Self {
            noted: memory.clone(),
            memory,
            spans: Vec::new(),
            last: Decision::default(),
            preparing: None,
            prepared: None,
            noted_at: Instant(0),
        }
    }
}

impl Engine {
    /// What each service's release is to aim at: decided for all of them together.
    pub(super) fn goals(&mut self, now: Instant, wake: &mut Wake) -> BTreeMap<String, Goal> {
        let seen = self.seen_together();
        let mut memory = self.record.remembered.together.clone();
        let decision = together::decide(&mut memory, &seen);
        if memory != self.record.remembered.together {
            if let Err(error) = self.record.commit(Entry::Together(Box::new(memory))) {
                self.record.trouble = Some(plimsoll_journal::chain(&error));
                wake.at(now.after(DISK_AGAIN));
                return BTreeMap::new();
            }
            // One that goes may have others follow.
            wake.at(now);
        }
        if let Some(undone) = &decision.undone {
            let message =
                format!("everything that changed with {} goes back: it was sent back: {}", undone.service, undone.why);
            self.tell("system", "RolledBack", &message, true);
        }
        let said = decision.goals.iter().filter_map(|(name, goal)| Some((name.clone(), goal.why.clone()?)));
        self.goals_said = said.collect();
        decision.goals
    }

    /// What is known of all services' releases.
    pub(super) fn seen_together(&self) -> together::Seen {
        let mut seen = together::Seen::default();
        let Some(accepted) = &self.record.remembered.accepted else { return seen };
        for (name, service) in &accepted.system.services {
            let Some(wanted) = self.revisions.get(name).cloned() else { continue };
            let known = self.releases.get(name).map(|release| Cow::Borrowed(&release.memory));
            let memory = known.unwrap_or_else(|| Cow::Owned(self.release_memory(name)));
            let sent_back = memory.quarantine.iter().find(|one| one.revision == wanted).map(|one| one.why.clone());
            let one = ServiceSeen {
                renewed: self.record.remembered.renewed.contains(&wanted),
                stable: memory.stable.clone(),
                under_way: memory.is_under_way(),
                uses: service.uses.iter().map(|link| link.to.clone()).collect(),
                bound: memory.contracted,
                sent_back,
                wanted,
            };
            seen.services.insert(name.clone(), one);
        }
        seen
    }

    /// What a service's release remembers.
    pub(super) fn release_memory(&self, name: &str) -> Memory {
        if let Some(release) = self.releases.get(name) {
            return release.memory.clone();
        }
        let remembered = &self.record.remembered;
        let known = remembered.releases.get(name).filter(|memory| memory.version == rollout::MEMORY_VERSION);
        known.cloned().unwrap_or_else(|| remembered.sets.get(name).map(Memory::seeded).unwrap_or_default())
    }

    /// How many of which version a service is to have now.
    pub(super) fn sets(
        &mut self,
        (name, service): (&str, &Service),
        goal: Option<&Goal>,
        now: Instant,
        wake: &mut Wake,
    ) -> Vec<SetWanted> {
        // Without a goal (the disk refused) everything stays as it was.
        let Some(goal) = goal else { return self.release_memory(name).sets.sets };
        match self.decide_release((name, service), goal, Vec::new(), now) {
            Ok(decision) => {
                wake.at(decision.again_at);
                if let Some(revision) = &decision.prepare {
                    self.prepare((name, service), revision, now);
                }
                wake.at(Some(now).filter(|_| !decision.events.is_empty()));
                decision.sets
            }
            Err(why) => {
                self.record.trouble = Some(why);
                wake.at(now.after(DISK_AGAIN));
                self.release_memory(name).sets.sets
            }
        }
    }

    /// Decides how a service's release goes on, writes it down and tells it.
    ///
    /// # Errors
    /// The disk refused: nothing has happened, and it may be asked again.
    pub(super) fn decide_release(
        &mut self,
        (name, service): (&str, &Service),
        goal: &Goal,
        commands: Vec<Command>,
        now: Instant,
    ) -> Result<Decision, String> {
        let former = self.release_memory(name);
        let mut release = self.releases.remove(name).unwrap_or_else(|| Release::remembered(former.clone()));
        let policy =
            Policy::of(&service.rollout, service.probes.readiness.as_ref(), self.wanted_replicas(name, service));
        let seen = Seen {
            at: now,
            wanted: goal.revision.clone(),
            replicas: self.replicas_of(name).map(|replica| replica.seen()).collect(),
            spans: std::mem::take(&mut release.spans),
            commands,
            at_once: goal.at_once,
            prepared: release.prepared.take(),
        };
        let mut memory = former.clone();
        let decision = rollout::decide(&policy, &mut memory, &seen);
        let written = self.write_release(name, &mut release, (&former, &memory), (&decision, &seen));
        if let Err(error) = written {
            release.spans = seen.spans;
            release.prepared = seen.prepared;
            self.releases.insert(name.into(), release);
            return Err(error);
        }
        if let Some(ended) = &seen.prepared {
            self.forget_preparation(name, &ended.revision);
        }
        let asked = account::Rollout { policy, memory: former, seen };
        self.keep_release(name, &asked, (&decision, &memory));
        release.memory = memory;
        release.last = decision.clone();
        self.releases.insert(name.into(), release);
        self.tell_release(name, &decision, asked);
        Ok(decision)
    }

    /// Writes a release down: durably, when something happened in it and a version runs already.
    fn write_release(
        &mut self,
        name: &str,
        release: &mut Release,
        (former, memory): (&Memory, &Memory),
        (decision, seen): (&Decision, &Seen),
    ) -> Result<(), String> {
        let due = memory.analysis != release.noted.analysis && release.noted_at.after(NOTE_EVERY) <= seen.at;
        if decision.events.is_empty() && memory.is_like(&release.noted) && !due {
            return Ok(());
        }
        let rows = self.rows(name, (former, memory), (decision, seen));
        let entry = Entry::Released { service: name.into(), memory: Box::new(memory.clone()), rows };
        if decision.events.is_empty() || former.stable.is_none() {
            self.record.note(entry);
        } else {
            self.record.commit(entry).map_err(|error| plimsoll_journal::chain(&error))?;
        }
        release.noted = memory.clone();
        release.noted_at = seen.at;
        Ok(())
    }

    /// The lines of the ledger for what happened.
    fn rows(&self, name: &str, (former, memory): (&Memory, &Memory), (decision, seen): (&Decision, &Seen)) -> Vec<Row> {
        let command = seen.commands.first();
        let told = decision.events.iter().filter(|event| {
            let is_quiet = matches!(event, Event::Began { .. } | Event::Progressing | Event::DeadlineExceeded);
            !(former.stable.is_none() && is_quiet)
        });
        let subject = former.target.as_ref().or(memory.target.as_ref()).or(former.stable.as_ref());
        let row = |(number, event): (u64, &Event)| Row {
            number,
            at: seen.at,
            service: name.into(),
            revision: event.revision().or(subject).cloned().unwrap_or_default(),
            event: event.clone(),
            by: command.map(|command| command.by.clone()).unwrap_or_default(),
            why: command.map(|command| command.why.clone()).unwrap_or_default(),
        };
        (self.record.remembered.last_row + 1..).zip(told).map(row).collect()
    }

    /// Tells what happened, with the arithmetic that led to it. That a service came up for the first time is no release.
    fn tell_release(&mut self, name: &str, decision: &Decision, asked: account::Rollout) {
        let is_first = asked.memory.stable.is_none();
        if decision.events.is_empty() {
            return;
        }
        let answer = account::released(decision);
        let question = Question::Rollout(Box::new(asked));
        for event in &decision.events {
            if is_first && matches!(event, Event::Began { .. } | Event::Promoted { .. }) {
                continue;
            }
            let message = event.said();
            let words = Words { subject: name, reason: event.word(), message: &message, warning: event.is_warning() };
            self.tell_decision(&words, &question, answer.clone());
        }
    }

    /// Who gets what of the traffic of each service, where a release says so.
    pub(super) fn splits(&self) -> BTreeMap<String, Split> {
        let shared = self.releases.iter().filter(|(_, release)| !release.last.shares.is_empty());
        let split = |last: &Decision| Split {
            shares: last.shares.clone(),
            canary: last.canary.clone(),
            synthetic: last.synthetic.clone(),
        };
        shared.map(|(name, release)| (name.clone(), split(&release.last))).collect()
    }

    /// Forgets releases of services that are gone, and of an ended system.
    pub(super) fn forget_releases(&mut self) {
        let remembered = &self.record.remembered;
        let Some(accepted) = &remembered.accepted else { return self.releases.clear() };
        self.releases.retain(|name, _| accepted.system.services.contains_key(name));
    }

    /// Nothing is coming in, and everything runs what it is to run.
    pub(super) fn releases_rest(&self) -> bool {
        let mut seen = self.seen_together();
        // A job ends, and then it is nobody's stable version.
        seen.services.retain(|name, one| one.stable.is_some() || !self.all_done(name));
        together::is_at_rest(&self.record.remembered.together, &seen)
    }
}
