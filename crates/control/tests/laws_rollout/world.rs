//! A small world that does what a release decides, 100 ms at a time, and checks every decision.

use plimsoll_control::analysis::Counts;
use plimsoll_control::reconcile::{Phase, ReplicaSeen, SetWanted};
use plimsoll_control::rollout::{Command, Decision, Event, Memory, Policy, Prepared, Seen, Wish, decide};
use plimsoll_model::rollout::{Analysis, Inconclusive, Rollout, Strategy as How};
use plimsoll_model::{Instant, Millis, Ratio, ReplicaId, RevisionId};
use std::collections::BTreeMap;

pub(super) fn revision(name: &str) -> RevisionId {
    RevisionId(name.into())
}

/// What a revision is like.
#[derive(Clone, Copy)]
pub(super) struct Nature {
    /// Milliseconds until it is ready; None: never.
    pub(super) start_ms: Option<u64>,
    /// Errors in 100 requests.
    pub(super) errors: u64,
    /// How long its answers take, in microseconds.
    pub(super) takes_us: u64,
}

pub(super) const WELL: Nature = Nature { start_ms: Some(300), errors: 0, takes_us: 20_000 };

/// A world that does what is decided, 100 ms at a time.
pub(super) struct World {
    pub(super) policy: Policy,
    pub(super) memory: Memory,
    pub(super) at: Instant,
    pub(super) wanted: RevisionId,
    /// What is wanted is no new version.
    pub(super) at_once: bool,
    /// A `before` command that has ended.
    pub(super) prepared: Option<Prepared>,
    pub(super) replicas: Vec<ReplicaSeen>,
    pub(super) serial: u64,
    pub(super) natures: BTreeMap<RevisionId, Nature>,
    /// Requests in each 100 ms.
    pub(super) traffic: u64,
    /// How many of 100 synthetic requests fail on every version; None: those that are wanted are not made.
    pub(super) synthetic_errors: Option<u64>,
    /// So many synthetic requests of each version are answered in the next 100 ms, though none are wanted any more.
    pub(super) stray: u64,
    pub(super) commands: Vec<Command>,
    /// What replicas that were stopped still answered, by revision.
    pub(super) leftover: BTreeMap<RevisionId, u64>,
    pub(super) events: Vec<(Instant, Event)>,
    pub(super) last: Decision,
}

impl World {
    pub(super) fn new(strategy: How, replicas: u32) -> Self {
        let rollout = Rollout { strategy, bake: Millis(0), ..Rollout::default() };
        let mut world = Self {
            policy: Policy { replicas, rollout, watch: Millis(500) },
            memory: Memory::default(),
            at: Instant(1_800_000_000_000_000),
            wanted: revision("one"),
            at_once: false,
            prepared: None,
            replicas: vec![],
            serial: 0,
            natures: BTreeMap::new(),
            traffic: 100,
            synthetic_errors: Some(0),
            stray: 0,
            commands: vec![],
            leftover: BTreeMap::new(),
            events: vec![],
            last: Decision::default(),
        };
        world.run_s(10);
        assert_eq!(world.memory.stable, Some(revision("one")), "the first version comes up");
        world.events.clear();
        world
    }

    pub(super) fn analysed(mut self, inconclusive: Inconclusive) -> Self {
        let limits = Analysis { error_rate_max: Some(Ratio(10_000)), inconclusive, ..Analysis::default() };
        self.policy.rollout.analysis = Some(limits);
        self
    }

    pub(super) fn release(&mut self, name: &str, nature: Nature) {
        self.natures.insert(revision(name), nature);
        self.wanted = revision(name);
    }

    pub(super) fn nature(&self, revision: &RevisionId) -> Nature {
        self.natures.get(revision).copied().unwrap_or(WELL)
    }

    pub(super) fn wish(&mut self, name: &str, wish: Wish) {
        self.commands.push(Command { revision: revision(name), wish, by: "ann".into(), why: "test".into() });
    }

    pub(super) fn run_s(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.tick();
        }
    }

    pub(super) fn tick(&mut self) {
        self.at = self.at.after(Millis(100));
        self.live();
        let seen = self.seen();
        let decision = decide(&self.policy, &mut self.memory, &seen);
        self.check(&seen, &decision);
        self.events.extend(decision.events.iter().map(|event| (self.at, event.clone())));
        self.carry_out(&decision.sets);
        self.last = decision;
    }

    /// Starting ones become ready, those that were stopped are gone.
    pub(super) fn live(&mut self) {
        self.replicas.retain(|one| one.phase != Phase::Stopping);
        let (at, natures) = (self.at, self.natures.clone());
        for one in self.replicas.iter_mut().filter(|one| one.phase == Phase::Starting) {
            let nature = natures.get(&one.revision).copied().unwrap_or(WELL);
            if nature.start_ms.is_some_and(|start| one.started_at.after(Millis(start)) <= at) {
                one.phase = Phase::Ready;
                one.ready_since = Some(at);
            }
        }
    }

    pub(super) fn seen(&mut self) -> Seen {
        let (at, wanted, replicas) = (self.at, self.wanted.clone(), self.replicas.clone());
        let commands = std::mem::take(&mut self.commands);
        let mut answers = self.answers();
        self.stray = 0;
        for (revision, requests) in std::mem::take(&mut self.leftover) {
            let counts = answers.entry(revision).or_default();
            counts.requests += requests;
            counts.latencies.add(20_000, requests);
        }
        Seen {
            at,
            wanted,
            replicas,
            spans: vec![answers],
            commands,
            at_once: self.at_once,
            prepared: self.prepared.take(),
        }
    }

    /// The traffic of the last 100 ms, by the shares that were decided.
    pub(super) fn answers(&self) -> BTreeMap<RevisionId, Counts> {
        let mut answers = BTreeMap::new();
        let ready = |revision: &RevisionId| self.count(|one| one.revision == *revision && one.phase == Phase::Ready);
        let all = self.count(|one| one.phase == Phase::Ready).max(1);
        for set in &self.last.sets {
            let by_replicas = u64::from(ready(&set.revision)) * 1_000_000 / u64::from(all);
            let named =
                self.last.shares.iter().find(|share| share.revision == set.revision).map_or(0, |one| one.share.0);
            let share = if self.last.shares.is_empty() { by_replicas } else { named };
            let requests = self.traffic * share / 1_000_000;
            let mut counts = Counts { requests, ..Counts::default() };
            counts.errors = (requests * self.nature(&set.revision).errors).div_ceil(100).min(requests);
            counts.latencies.add(self.nature(&set.revision).takes_us, requests);
            answers.insert(set.revision.clone(), counts);
        }
        for revision in self.last.synthetic.iter().filter(|_| self.synthetic_errors.is_some()) {
            let rate = self.policy.rollout.analysis.as_ref().unwrap().synthetic.as_ref().unwrap().requests_per_second;
            let requests = u64::from(rate) / 10;
            let percent = self.nature(revision).errors.max(self.synthetic_errors.unwrap_or(0));
            let before = self.at.0 / 100_000 % 1_000_000 * requests;
            let errors = (before + requests) * percent / 100 - before * percent / 100;
            self.answer_synthetic(answers.entry(revision.clone()).or_default(), revision, (requests, errors));
        }
        if self.stray > 0 {
            for (revision, counts) in &mut answers {
                self.answer_synthetic(counts, revision, (self.stray, 0));
            }
        }
        answers
    }

    /// Counts so many answers to synthetic requests, of which so many are errors.
    fn answer_synthetic(&self, counts: &mut Counts, revision: &RevisionId, (requests, errors): (u64, u64)) {
        let takes_us = self.nature(revision).takes_us;
        counts.requests += requests;
        counts.errors += errors;
        counts.latencies.add(takes_us, requests);
        counts.synthetic.requests += requests;
        counts.synthetic.errors += errors;
        counts.synthetic.latencies.add(takes_us, requests);
    }

    pub(super) fn count(&self, is: impl Fn(&ReplicaSeen) -> bool) -> u32 {
        u32::try_from(self.replicas.iter().filter(|one| is(one)).count()).unwrap()
    }

    pub(super) fn carry_out(&mut self, sets: &[SetWanted]) {
        let sizes: BTreeMap<&RevisionId, u32> = sets.iter().map(|set| (&set.revision, set.replicas)).collect();
        let mut kept: BTreeMap<RevisionId, u32> = BTreeMap::new();
        // Those that are ready stay first.
        self.replicas.sort_by_key(|one| (one.phase != Phase::Ready, one.id.serial));
        for one in self.replicas.iter_mut().filter(|one| one.phase != Phase::Stopping) {
            let kept = kept.entry(one.revision.clone()).or_default();
            if *kept < sizes.get(&one.revision).copied().unwrap_or(0) {
                *kept += 1;
            } else {
                // It answers what it has in flight, well.
                *self.leftover.entry(one.revision.clone()).or_default() += 2;
                one.phase = Phase::Stopping;
                one.ready_since = None;
            }
        }
        for (revision, size) in sizes {
            for _ in kept.get(revision).copied().unwrap_or(0)..size {
                self.serial += 1;
                self.replicas.push(ReplicaSeen {
                    id: ReplicaId::new("web", self.serial),
                    revision: revision.clone(),
                    phase: Phase::Starting,
                    ready_since: None,
                    started_at: self.at,
                    restarts: 0,
                });
            }
        }
    }

    /// What holds after every decision.
    pub(super) fn check(&self, seen: &Seen, decision: &Decision) {
        let total: u64 = decision.shares.iter().map(|share| share.share.0).sum();
        assert!(decision.shares.is_empty() || total == 1_000_000, "{decision:?}");
        let ready = |revision: &RevisionId| self.count(|one| one.revision == *revision && one.phase == Phase::Ready);
        for share in &decision.shares {
            let somebody = decision.shares.iter().any(|other| ready(&other.revision) > 0);
            assert!(share.share.0 == 0 || ready(&share.revision) > 0 || !somebody, "a share for nobody: {decision:?}");
        }
        if !decision.synthetic.is_empty() {
            assert!(self.policy.rollout.analysis.as_ref().is_some_and(|one| one.synthetic.is_some()), "{decision:?}");
            let both = [self.memory.stable.clone().unwrap(), self.memory.target.clone().unwrap()];
            assert_eq!(decision.synthetic, both, "both versions or none");
            assert!(both.iter().all(|revision| ready(revision) > 0), "nobody is there: {decision:?}");
            assert!(self.memory.paused.is_none(), "a person holds it");
        }
        // Written down, read back and asked again with nothing new seen, it says the same and tells nothing.
        let text = serde_json::to_string(&self.memory).unwrap();
        let mut memory: Memory = serde_json::from_str(&text).unwrap();
        assert_eq!(memory, self.memory);
        let quiet = Seen { spans: vec![], commands: vec![], prepared: None, ..seen.clone() };
        let again = decide(&self.policy, &mut memory, &quiet);
        assert_eq!((&again.sets, &again.shares), (&decision.sets, &decision.shares));
        assert_eq!(again.synthetic, decision.synthetic);
        assert!(again.events.is_empty(), "told twice: {:?}", again.events);
        assert_eq!(memory, self.memory);
    }

    pub(super) fn share(&self, name: &str) -> u64 {
        self.last.shares.iter().find(|share| share.revision == revision(name)).map_or(0, |share| share.share.0)
    }

    pub(super) fn promoted(&self) -> bool {
        self.events.iter().any(|(_, event)| matches!(event, Event::Promoted { .. }))
    }

    pub(super) fn rolled_back(&self) -> Option<&str> {
        self.events.iter().find_map(|(_, event)| match event {
            Event::RolledBack { why, .. } => Some(why.as_str()),
            _ => None,
        })
    }

    /// Tells how the command that is asked for ended, if one is.
    pub(super) fn prepare(&mut self, failed: Option<&str>) {
        let revision = self.last.prepare.clone().unwrap();
        self.prepared = Some(Prepared { revision, failed: failed.map(str::to_owned) });
    }

    #[track_caller]
    pub(super) fn runs_only(&self, name: &str) {
        assert_eq!(self.count(|one| one.revision == revision(name)), self.policy.replicas, "{:?}", self.last);
        assert_eq!(self.count(|_| true), self.policy.replicas, "{:?}", self.last);
    }
}
