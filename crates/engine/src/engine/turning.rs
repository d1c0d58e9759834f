//! One turn: ask `control` about everything that may have changed, and do what it says.

use super::{Engine, deciding::Words, figures::Urgency};
use crate::{
    look::look,
    probe::{self, Attempt},
    replica::Stage,
};
use plimsoll_control::{
    account::{self, Health, Question, Terminate},
    health,
    reconcile::{self, Act, ServiceWanted, Wanted},
    termination,
};
use plimsoll_model::{Instant, ReplicaId, Service, probe::Handler};
use std::{collections::BTreeMap, rc::Rc};

/// The earliest moment of those that were named.
#[derive(Default)]
pub(super) struct Wake(Option<Instant>);

impl Wake {
    pub(super) fn at(&mut self, moment: impl Into<Option<Instant>>) {
        if let Some(moment) = moment.into() {
            self.0 = Some(self.0.map_or(moment, |known| known.min(moment)));
        }
    }
}

impl Engine {
    /// Decides and acts; tells when to do so again if nothing comes before.
    pub(crate) fn turn(&mut self) -> Option<Instant> {
        let now = self.clock.now();
        let mut wake = Wake::default();
        for id in self.replicas.keys().cloned().collect::<Vec<_>>() {
            self.consider(&id, now, &mut wake);
        }
        if self.is_settled_enough(now, &mut wake) {
            self.scale_services(now, &mut wake);
            self.size_services(now, &mut wake);
            self.reconcile(now, &mut wake);
            self.bind_listeners(now, &mut wake);
            self.publish();
            self.tell_held();
            self.consider_upgrade(now, &mut wake);
        }
        self.watch_disk(now, &mut wake);
        self.consider_ending();
        self.answer_arrivals();
        self.gateways.pace(self.urgency());
        wake.0
    }

    /// How urgently what gateways see is waited for.
    fn urgency(&self) -> Urgency {
        if self.replicas.values().any(|replica| replica.unrouted_in.is_some()) || self.hands_over() {
            Urgency::Drain
        } else if self.scales_by_traffic() {
            Urgency::Traffic
        } else if self.releases_by_traffic() {
            Urgency::Release
        } else {
            Urgency::Calm
        }
    }

    /// After a restart of the engine nothing is decided before each adopted replica was looked at once.
    fn is_settled_enough(&mut self, now: Instant, wake: &mut Wake) -> bool {
        let Some(until) = self.settle_until else { return true };
        let open = self.replicas.values().any(|replica| match replica.stage {
            Stage::Launching => true,
            Stage::Running => replica.ready_since.is_none() && replica.probed.is_empty() && has_probe(&replica.service),
            _ => false,
        });
        if open && now < until {
            wake.at(until);
            return false;
        }
        self.settle_until = None;
        true
    }

    /// Decides about one replica.
    fn consider(&mut self, id: &ReplicaId, now: Instant, wake: &mut Wake) {
        let Some(replica) = self.replicas.get(id) else { return };
        match replica.stage {
            Stage::Running => self.consider_health(id, now, wake),
            Stage::BackOff { until } if until <= now => self.launch(id),
            Stage::BackOff { until } => wake.at(until),
            Stage::Restarting(_) | Stage::Stopping(_) => self.consider_termination(id, now, wake),
            Stage::Launching | Stage::Done => {}
        }
    }

    fn consider_health(&mut self, id: &ReplicaId, now: Instant, wake: &mut Wake) {
        let Some(replica) = self.replicas.get_mut(id) else { return };
        let probes = &replica.service.probes;
        let wants_look = replica.health.wants_look(probes, replica.started_at, now);
        let pid = replica.process.as_ref().map(|process| process.pid).filter(|_| wants_look);
        let seen = health::Seen {
            at: now,
            started_at: replica.started_at,
            outcomes: std::mem::take(&mut replica.outcomes),
            under_way: replica.under_way.clone(),
            deleting: false,
            look: pid.and_then(|pid| look(pid, now)),
        };
        let former = replica.health.clone();
        let decision = health::decide(&replica.service.probes, &mut replica.health, &seen);
        wake.at(decision.again_at);
        let before = replica.ready_since.is_some();
        let is_news = decision.ready != before || decision.act != health::Act::Keep;
        let policy = &replica.service.probes;
        let question = is_news.then(|| Health { policy: policy.clone(), memory: former, seen });
        let question = question.map(|asked| Question::Health(Box::new(asked)));
        replica.ready_since = decision.ready_since;
        replica.reason.clone_from(&decision.reason);
        if decision.ready != before
            && let Some(question) = &question
        {
            self.tell_readiness(id, now, &decision, question);
        }
        if let health::Act::Restart { why, probe } = &decision.act {
            let message = format!("restarting it: {why}{}", self.met(id, *probe));
            let words = Words { subject: &id.to_string(), reason: "Unhealthy", message: &message, warning: true };
            if let Some(question) = &question {
                self.tell_decision(&words, question, account::probed(&decision));
            }
            self.begin_end(id, now, false);
            return self.consider_termination(id, now, wake);
        }
        for kind in decision.attempt {
            self.attempt(id, kind);
        }
    }

    fn met(&self, id: &ReplicaId, probe: health::ProbeKind) -> String {
        let met = self.replicas.get(id).and_then(|replica| replica.probed.get(&probe));
        met.map(|met| format!(" ({met})")).unwrap_or_default()
    }

    fn tell_readiness(&mut self, id: &ReplicaId, now: Instant, decision: &health::Decision, question: &Question) {
        let met = self.met(id, health::ProbeKind::Readiness);
        let Some(replica) = self.replicas.get_mut(id) else { return };
        let (ready, first) = (decision.ready, !replica.was_ready);
        replica.readiness_at = now;
        if ready {
            replica.was_ready = true;
            replica.start_took.get_or_insert(now.since(replica.started_at));
        }
        let took = now.since(replica.started_at);
        let message = match (ready, first) {
            (true, true) => format!("ready {}ms after its start", took.0),
            (true, false) => format!("ready again: {}", decision.reason),
            (false, _) => format!("{}{met}", decision.reason),
        };
        let reason = if ready { "Ready" } else { "Unready" };
        let words = Words { subject: &id.to_string(), reason, message: &message, warning: !ready };
        self.tell_decision(&words, question, account::probed(decision));
    }

    /// Makes one attempt of a probe.
    fn attempt(&mut self, id: &ReplicaId, kind: health::ProbeKind) {
        let Some(replica) = self.replicas.get(id) else { return };
        let probes = &replica.service.probes;
        let probe = match kind {
            health::ProbeKind::Startup => &probes.startup,
            health::ProbeKind::Liveness => &probes.liveness,
            health::ProbeKind::Readiness => &probes.readiness,
        };
        let Some(probe) = probe.clone() else { return };
        let command = match &probe.handler {
            Handler::Exec { command } => self.beside(id, "probe", command).ok(),
            _ => None,
        };
        let Some(replica) = self.replicas.get_mut(id) else { return };
        replica.under_way.push(kind);
        let attempt = Attempt { process: replica.process_id(), kind, probe, port: replica.port, command };
        tokio::task::spawn_local(probe::make(attempt, self.oneshots.clone(), self.inputs.clone()));
    }

    fn consider_termination(&mut self, id: &ReplicaId, now: Instant, wake: &mut Wake) {
        let in_flight = self.gateways.in_flight(id);
        let Some(replica) = self.replicas.get_mut(id) else { return };
        let unrouted = replica.unrouted_in.is_some_and(|edition| self.gateways.serve(edition));
        let process = replica.process_id();
        let Some(ending) = replica.ending() else { return };
        let seen = termination::Seen { at: now, unrouted, in_flight, hook_done: ending.hook_done };
        let asked = Terminate { policy: ending.policy, memory: ending.memory, seen };
        let decision = termination::decide(&ending.policy, &mut ending.memory, &seen);
        wake.at(decision.again_at);
        replica.reason.clone_from(&decision.reason);
        match decision.act {
            termination::Act::Wait => {}
            termination::Act::Hook => self.run_hook(id),
            termination::Act::Terminate => {
                self.tell(&id.to_string(), "Terminating", &decision.reason, false);
                self.signal_process(process, 15, false);
                self.consider_termination(id, now, wake);
            }
            termination::Act::Kill => {
                let words =
                    Words { subject: &id.to_string(), reason: "Killing", message: &decision.reason, warning: true };
                self.tell_decision(&words, &Question::Terminate(asked), account::ended(&decision));
                self.signal_process(process, 9, true);
            }
        }
    }

    /// Decides which replicas are to be, and starts and stops them.
    fn reconcile(&mut self, now: Instant, wake: &mut Wake) {
        let wanted = self.wanted(now, wake);
        let seen = reconcile::Seen {
            at: now,
            stores: self.stores.iter().map(|(name, store)| (name.clone(), store.ready)).collect(),
            replicas: self.replicas.values().map(|replica| replica.seen()).collect(),
            ordered: Vec::new(),
            begun: self.record.remembered.begun.clone(),
        };
        let decision = reconcile::decide(&wanted, &seen);
        wake.at(decision.again_at);
        self.tell_waiting(decision.waiting.into_iter().map(|waiting| (waiting.service, waiting.on)).collect());
        for act in decision.acts {
            match act {
                Act::Start { service, revision, count } => self.create(&service, &revision, count, now),
                Act::Stop { replica, reason } => self.stop(&replica, &reason, now, wake),
            }
        }
    }

    fn tell_waiting(&mut self, waiting: BTreeMap<String, Vec<String>>) {
        for (service, on) in &waiting {
            if self.waiting.get(service) != Some(on) {
                self.tell(service, "Waiting", &format!("waiting for {}", on.join(", ")), false);
            }
        }
        self.waiting = waiting;
    }

    /// What is wanted: of an ending system, nothing.
    fn wanted(&mut self, now: Instant, wake: &mut Wake) -> Wanted {
        let mut wanted = Wanted::default();
        let Some(accepted) = self.record.remembered.accepted.clone() else { return wanted };
        let ending = self.record.remembered.ending.is_some();
        self.forget_releases();
        let goals = if ending { BTreeMap::new() } else { self.goals(now, wake) };
        for (name, service) in &accepted.system.services {
            let sets = if ending { Vec::new() } else { self.sets((name, service), goals.get(name), now, wake) };
            let uses = service.uses.iter().map(|link| link.to.clone()).collect();
            let min_ready = service.rollout.min_ready;
            wanted.services.insert(name.clone(), ServiceWanted { sets, uses, min_ready });
        }
        wanted
    }

    /// How many replicas a service is to have: what its autoscaler said, or else a person, or the file.
    pub(super) fn wanted_replicas(&self, name: &str, service: &Service) -> u32 {
        let remembered = &self.record.remembered;
        match &service.autoscaling {
            Some(own) => remembered.autoscaled.get(name).map_or(own.at_first(), |known| known.replicas),
            None => remembered.scaled.get(name).copied().unwrap_or(service.replicas),
        }
    }

    pub(super) fn replicas_of(&self, service: &str) -> impl Iterator<Item = &crate::replica::Replica> {
        self.replicas.range(ReplicaId::new(service, 0)..=ReplicaId::new(service, u64::MAX)).map(|(_, replica)| replica)
    }

    /// The accepted service of that name, as it is now.
    pub(super) fn accepted_service(&self, name: &str) -> Option<Rc<Service>> {
        self.record.remembered.accepted.as_ref()?.system.services.get(name).cloned().map(Rc::new)
    }
}

fn has_probe(service: &Service) -> bool {
    let probes = &service.probes;
    probes.startup.is_some() || probes.readiness.is_some()
}
