//! One turn of the engine's loop: rollouts and replicas of the whole system are decided about, and acted upon.

use super::{
    Event, Word, World, nanosecond,
    state::{Replica, Stage, Version},
};
use plimsoll_control::{
    reconcile::{self, Phase, ReplicaSeen, ServiceWanted, Wanted},
    rollout, table,
};
use plimsoll_model::RevisionId;

impl World {
    /// Has a turn come at that nanosecond, if none comes before.
    pub(super) fn turn_at(&mut self, ns: u64) {
        let now = self.wheel.now();
        let at = ns.max(now);
        if at == now {
            if !self.turning {
                self.turning = true;
                self.wheel.push(now, Event::Turn);
            }
        } else if at < self.turn_due {
            self.turn_due = at;
            self.wheel.push(at, Event::Turn);
        }
    }

    /// Decides about the whole system.
    pub(super) fn turn(&mut self) {
        let now = self.wheel.now();
        self.turning = false;
        if self.turn_due <= now {
            self.turn_due = u64::MAX;
        }
        let mut wanted = Wanted::default();
        let mut again = u64::MAX;
        for station in 0..self.plan.services() {
            again = again.min(self.roll(station));
            let Some(service) = &self.plan.stations[station].service else { continue };
            let own = ServiceWanted {
                sets: self.stations[station].sets.clone(),
                uses: service.uses.iter().map(|link| link.to.clone()).collect(),
                min_ready: service.rollout.min_ready,
            };
            wanted.services.insert(self.plan.stations[station].name.clone(), own);
        }
        let seen = self.seen();
        let decision = reconcile::decide(&wanted, &seen);
        if let Some(at) = decision.again_at {
            again = again.min(nanosecond(at));
        }
        for act in decision.acts {
            self.act(act);
        }
        if again < u64::MAX {
            self.turn_at(again);
        }
    }

    fn seen(&self) -> reconcile::Seen {
        let stores = (self.plan.services()..self.plan.stations.len()).map(|station| {
            let up = self.stations[station].members.iter().any(|index| self.replicas[*index as usize].alive);
            (self.plan.stations[station].name.clone(), up)
        });
        let stations = 0..self.plan.services();
        let replicas = stations.clone().flat_map(|station| &self.stations[station].members);
        reconcile::Seen {
            at: self.instant(),
            stores: stores.collect(),
            replicas: replicas.map(|index| self.replica_seen(*index)).collect(),
            ordered: Vec::new(),
            begun: stations
                .filter(|station| self.stations[*station].begun)
                .map(|station| self.plan.stations[station].name.clone())
                .collect(),
        }
    }

    fn replica_seen(&self, index: u32) -> ReplicaSeen {
        let replica = &self.replicas[index as usize];
        ReplicaSeen {
            id: replica.id.clone(),
            revision: self.stations[replica.station].versions[replica.version].id.clone(),
            phase: phase(replica),
            ready_since: replica.ready_since.filter(|_| replica.stage == Stage::Running),
            started_at: replica.started_at,
            restarts: replica.restarts,
        }
    }

    fn act(&mut self, act: reconcile::Act) {
        match act {
            reconcile::Act::Start { service, revision, count } => {
                let Some(station) = self.plan.stations.iter().position(|one| one.name == service) else { return };
                let version = self.version(station, &revision);
                for _ in 0..count {
                    self.create(station, version);
                }
            }
            reconcile::Act::Stop { replica, .. } => {
                let found = self.replicas.iter().rposition(|one| one.id == replica && one.stage != Stage::Gone);
                if let Some(index) = found {
                    self.begin_end(index as u32, false);
                }
            }
        }
    }

    fn version(&self, station: usize, revision: &RevisionId) -> usize {
        self.stations[station].versions.iter().position(|one| one.id == *revision).unwrap_or(0)
    }

    /// Decides how the rollout of a service goes on; when it is to be asked again.
    fn roll(&mut self, station: usize) -> u64 {
        let now = self.wheel.now();
        let own = &self.stations[station];
        let replicas: Vec<ReplicaSeen> = own.members.iter().map(|index| self.replica_seen(*index)).collect();
        let Some(service) = &self.plan.stations[station].service else { return u64::MAX };
        let policy = rollout::Policy::of(&service.rollout, service.probes.readiness.as_ref(), own.replicas);
        let own = &mut self.stations[station];
        let wanted = own.versions[own.wanted].id.clone();
        // A `before` command is imagined to end well, in no time.
        let prepared = rollout::Prepared { revision: wanted.clone(), failed: None };
        let seen = rollout::Seen {
            at: super::instant(now),
            wanted,
            prepared: Some(prepared),
            replicas,
            spans: std::mem::take(&mut own.spans),
            ..rollout::Seen::default()
        };
        let decision = rollout::decide(&policy, &mut own.rollout, &seen);
        own.sets.clone_from(&decision.sets);
        let shares = decision.shares.clone();
        let total = decision.sets.iter().map(|set| set.replicas).sum();
        let wanted = own.replicas;
        self.checkers.sets((now, station), total, (wanted, &policy.rollout.strategy));
        for event in &decision.events {
            self.tell_release(station, event);
        }
        if self.stations[station].shares != shares || !shares.is_empty() {
            self.stations[station].shares = shares;
            self.give_weights(station);
        }
        let asks = policy.rollout.analysis.as_ref().and_then(|analysis| analysis.synthetic.as_ref());
        if let Some(asks) = asks {
            self.ask_synthetic(station, &decision.synthetic, asks.requests_per_second);
        }
        decision.again_at.map_or(u64::MAX, nanosecond)
    }

    fn tell_release(&mut self, station: usize, event: &rollout::Event) {
        let now = self.wheel.now();
        let word = match event {
            rollout::Event::Began { .. } => 0,
            rollout::Event::Reached { .. } => 1,
            rollout::Event::Paused { .. } => 2,
            rollout::Event::Resumed { .. } => 3,
            rollout::Event::Promoted { .. } => 4,
            rollout::Event::RolledBack { .. } => 5,
            rollout::Event::Withdrawn { .. } => 6,
            rollout::Event::Forgiven { .. } => 7,
            rollout::Event::DeadlineExceeded => 8,
            rollout::Event::Progressing => 9,
            rollout::Event::Prepared { .. } => 10,
            rollout::Event::Asked { .. } => 11,
        };
        self.note(Word::Released, station as u32, word);
        self.figures.services[station].releases.push((now, event.clone()));
    }

    /// Each version's share of the traffic, spread over its replicas that serve.
    fn give_weights(&mut self, station: usize) {
        let own = &self.stations[station];
        let replica = |index: &u32| {
            let replica = &self.replicas[*index as usize];
            table::Replica {
                id: replica.id.clone(),
                revision: own.versions[replica.version].id.clone(),
                port: 0,
                serving: replica.serves(),
                process: String::new(),
            }
        };
        let there: Vec<table::Replica> = own.members.iter().map(replica).collect();
        let weights = table::weights(&own.shares, &there);
        let mut changed = false;
        for (index, one) in own.members.iter().zip(&there) {
            let weight = weights.get(&one.revision).copied().unwrap_or(1000);
            changed |= std::mem::replace(&mut self.replicas[*index as usize].weight, weight) != weight;
        }
        if changed {
            self.view(station);
        }
    }

    /// A new version is asked for.
    pub(super) fn release(&mut self, index: usize) {
        let (station, release) = self.plan.releases[index].clone();
        let own = &mut self.stations[station];
        let id = RevisionId(format!("v{}", own.versions.len() + 1));
        own.versions.push(Version { id, errors: release.errors.0, times_milli: release.times_milli });
        own.wanted = own.versions.len() - 1;
        self.turn_at(self.wheel.now());
    }

    /// What versions answered since the last time goes to the releases that are judged by it.
    pub(super) fn tell_spans(&mut self) {
        self.wheel.push(self.wheel.now() + super::SPAN_EVERY, Event::Span);
        for station in 0..self.plan.services() {
            let own = &mut self.stations[station];
            if own.rollout.stage == rollout::Stage::Settled && own.rollout.target.is_none() {
                own.span.clear();
                continue;
            }
            let versions = own.versions.len();
            let span = std::mem::take(&mut own.span);
            own.span = (0..versions).map(|version| (version, Default::default())).collect();
            let named = span.into_iter().map(|(version, counts)| (own.versions[version].id.clone(), counts));
            own.spans.push(named.collect());
            self.turn_at(self.wheel.now());
        }
    }
}

fn phase(replica: &Replica) -> Phase {
    match replica.stage {
        Stage::Pending => Phase::Starting,
        Stage::Running if replica.ready_since.is_some() => Phase::Ready,
        Stage::Running if replica.was_ready => Phase::Unready,
        Stage::Running => Phase::Starting,
        Stage::Restarting => Phase::Unready,
        Stage::BackOff => Phase::BackOff,
        Stage::Stopping => Phase::Stopping,
        Stage::Gone => Phase::Done,
    }
}
