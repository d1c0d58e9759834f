//! A world of one service: it carries acts out, and its replicas start, get ready, crash and end by chance. At each turn it
//! holds the decisions against their bounds.

use plimsoll_control::reconcile::{
    Act, Ordered, Phase, ReplicaSeen, Seen, ServiceWanted, SetWanted, Wanted, decide, recreate,
    rolling::{self, RollingPolicy, Sets},
};
use plimsoll_model::{Instant, Millis, ReplicaId, RevisionId};
use std::collections::BTreeMap;

pub(crate) fn revision(number: u32) -> RevisionId {
    RevisionId(format!("r{number}"))
}

pub(crate) fn set(number: u32, replicas: u32) -> SetWanted {
    SetWanted { revision: revision(number), replicas }
}

/// Numbers by chance (splitmix64), the same ones for the same seed.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// One service and its replicas.
pub(crate) struct World {
    pub(crate) policy: RollingPolicy,
    pub(crate) new: RevisionId,
    pub(crate) recreates: bool,
    /// A revision that never gets ready.
    pub(crate) broken: Option<RevisionId>,
    pub(crate) sets: Sets,
    pub(crate) replicas: Vec<ReplicaSeen>,
    pub(crate) now: Instant,
    serial: u64,
}

impl World {
    pub(crate) fn new(policy: RollingPolicy) -> Self {
        Self {
            policy,
            new: revision(1),
            recreates: false,
            broken: None,
            sets: Sets::default(),
            replicas: vec![],
            now: Instant(1_000_000_000),
            serial: 0,
        }
    }

    pub(crate) fn add_ready(&mut self, number: u32, count: u32) {
        for _ in 0..count {
            self.add(revision(number));
            let one = self.replicas.last_mut().unwrap();
            (one.phase, one.ready_since) = (Phase::Ready, Some(Instant(0)));
        }
    }

    fn add(&mut self, revision: RevisionId) {
        self.serial += 1;
        self.replicas.push(ReplicaSeen {
            id: ReplicaId::new("web", self.serial),
            revision,
            phase: Phase::Starting,
            ready_since: None,
            started_at: self.now,
            restarts: 0,
        });
    }

    /// How many replicas of each revision stay.
    pub(crate) fn sizes(&self) -> BTreeMap<RevisionId, u32> {
        let mut sizes = BTreeMap::new();
        for one in self.replicas.iter().filter(|one| one.phase != Phase::Stopping) {
            *sizes.entry(one.revision.clone()).or_default() += 1;
        }
        sizes
    }

    fn staying(&self) -> u32 {
        self.sizes().values().sum()
    }

    fn available(&self) -> u32 {
        let available = self.replicas.iter().filter(|one| one.available(self.policy.min_ready, self.now));
        u32::try_from(available.count()).unwrap()
    }

    fn look(&self, former: &Sets) -> Sets {
        let sets = if self.recreates { recreate::sets } else { rolling::sets };
        sets(&self.policy, &self.new, former, &self.replicas, self.now)
    }

    /// Decides, holds the decision against its bounds, and carries it out. Whether there was anything to do.
    pub(crate) fn turn(&mut self) -> bool {
        let (stayed, available) = (self.staying(), self.available());
        let sets = self.look(&self.sets);
        assert_eq!(self.look(&sets), sets, "looking again changes nothing");
        assert!(sets.again_at.is_none_or(|then| then > self.now));
        // A scaling in the midst of a rollout is spread by size, available or not: Kubernetes' meaning.
        let is_spread = sets.laid_for != self.sets.laid_for && self.sets.sets.len() > 1;
        self.sets = sets;
        let wanted = ServiceWanted { sets: self.sets.sets.clone(), uses: vec![], min_ready: self.policy.min_ready };
        let wanted = Wanted { services: [("web".to_owned(), wanted)].into() };
        let seen = Seen { at: self.now, replicas: self.replicas.clone(), ..Seen::default() };
        let acts = decide(&wanted, &seen).acts;
        for act in &acts {
            match act {
                Act::Stop { replica, .. } => {
                    let one = self.replicas.iter_mut().find(|one| one.id == *replica).unwrap();
                    (one.phase, one.ready_since) = (Phase::Stopping, None);
                }
                Act::Start { revision, count, .. } => (0..*count).for_each(|_| self.add(revision.clone())),
            }
        }
        let allowed = self.policy.replicas + self.policy.surge();
        assert!(self.staying() <= allowed.max(stayed), "more than {allowed} replicas by our act");
        let starts = acts.iter().any(|act| matches!(act, Act::Start { .. }));
        assert!(!starts || self.staying() <= allowed);
        if !self.recreates && !is_spread {
            let least = self.policy.available_min().min(available);
            assert!(self.available() >= least, "fewer than {least} of {available} available by our act");
        }
        !acts.is_empty()
    }

    /// Time goes by; replicas go on, and crash if they may.
    pub(crate) fn live(&mut self, chance: &mut Chance, may_crash: bool) {
        self.now = self.now.after(Millis(chance.below(1500) + 1));
        let now = self.now;
        for one in &mut self.replicas {
            let luck = chance.below(10);
            let is_broken = self.broken.as_ref() == Some(&one.revision);
            let next = match (one.phase, luck) {
                (Phase::Starting, 0) if may_crash => Phase::BackOff,
                (Phase::Starting | Phase::Unready, 1..=6) if !is_broken => Phase::Ready,
                (Phase::Starting, 9) if is_broken => Phase::BackOff,
                (Phase::Ready, 0) if may_crash => Phase::Unready,
                (Phase::Ready, 1) if may_crash => Phase::BackOff,
                (Phase::BackOff, 0..=6) => Phase::Starting,
                (phase, _) => phase,
            };
            if next != one.phase {
                one.restarts += u32::from(next == Phase::BackOff);
                one.started_at = if next == Phase::Starting { now } else { one.started_at };
                one.ready_since = (next == Phase::Ready).then_some(now);
                one.phase = next;
            }
        }
        // Some that are being stopped are gone; and a process may vanish with its replica.
        let (gone, lost) = (chance.below(3) > 0, may_crash && chance.below(8) == 0);
        self.replicas.retain(|one| !(gone && one.phase == Phase::Stopping));
        if lost && !self.replicas.is_empty() {
            let victim = usize::try_from(chance.below(self.replicas.len() as u64)).unwrap();
            self.replicas.remove(victim);
        }
    }

    /// Nothing crashes any more: it arrives, and then there is nothing to do.
    pub(crate) fn settle(&mut self, chance: &mut Chance) {
        for _ in 0..2000 {
            let is_idle = !self.turn();
            if is_idle && self.sets.complete {
                return;
            }
            self.live(chance, false);
        }
        panic!("it does not arrive: {:?} of {:?}, {:?}", self.sets, self.policy, self.replicas);
    }
}

/// The acts are ordered and not yet observed.
pub(crate) fn order(seen: &mut Seen, acts: &[Act]) {
    let mut serial = 1000;
    for act in acts {
        match act {
            Act::Stop { replica, .. } => seen.ordered.push(Ordered::Stop { replica: replica.clone() }),
            Act::Start { service, revision, count } => {
                for _ in 0..*count {
                    serial += 1;
                    let replica = ReplicaId::new(service.as_str(), serial);
                    seen.ordered.push(Ordered::Start { replica, revision: revision.clone() });
                }
            }
        }
    }
}

/// All that was ordered has been observed.
pub(crate) fn observe(seen: &mut Seen) {
    for order in &seen.ordered {
        match order {
            Ordered::Stop { replica } => {
                for one in seen.replicas.iter_mut().filter(|one| one.id == *replica) {
                    (one.phase, one.ready_since) = (Phase::Stopping, None);
                }
            }
            Ordered::Start { replica, revision } => seen.replicas.push(ReplicaSeen {
                id: replica.clone(),
                revision: revision.clone(),
                phase: Phase::Starting,
                ready_since: None,
                started_at: seen.at,
                restarts: 0,
            }),
        }
    }
}
