//! Autoscalers at work: what replicas use and what gateways saw goes to `control::autoscale`, its number to the rollout.
//!
//! Invariant: the number of replicas of a service with an autoscaler is its last answer, and nobody else's.

use super::{
    Engine,
    deciding::Words,
    figures::is_of,
    measuring::{described, uses_processor, uses_requests},
    turning::Wake,
};
use crate::marks::Marks;
use plimsoll_control::account::{self, Autoscale, Question};
use plimsoll_control::autoscale::{
    self, Act, Decision, Memory, Policy, Reason, condition::Status, manual::Manual, prediction,
    service::MEMORY_VERSION, traffic,
};
use plimsoll_journal::entry::Entry;
use plimsoll_model::{Instant, Millis, Service, autoscaling::Autoscaling};
use plimsoll_wire::gateway::ReplicaFigures;
use std::rc::Rc;

/// At least so often what traffic was like is written down while there is any.
const NOTE_EVERY: Millis = Millis::from_secs(15);

/// What the file says, as far as this machine can act on it.
pub(super) struct Here {
    pub(super) written: Autoscaling,
    pub(super) policy: Policy,
}

/// One autoscaler, between two decisions.
pub(crate) struct Scaler {
    pub(super) memory: Memory,
    /// What gateways saw and was not decided about.
    pub(super) samples: Vec<traffic::Sample>,
    pub(super) marks: Marks,
    /// When to decide though nothing is seen.
    due: Instant,
    noted_at: Instant,
    /// How it stands, for a person.
    said: String,
    /// Requests that replicas were given, where a metric asks for them.
    pub(super) requests: Marks,
    /// Requests to services, or by the ingress, of which a metric is.
    pub(super) objects: Marks,
    /// What the file says, and what that comes to here: cron expressions are not read anew at every look.
    policy: Option<(Autoscaling, Rc<Here>)>,
    /// What load asked for in former weeks.
    demand: prediction::Memory,
    /// What load asked for at the last look.
    needed: Option<u32>,
}

impl Scaler {
    /// As it is remembered; a memory of another version begins anew.
    fn remembered(memory: Option<&Memory>, demand: Option<&prediction::Memory>) -> Self {
        let memory = memory.filter(|memory| memory.version == MEMORY_VERSION).cloned().unwrap_or_default();
        Self {
            memory,
            samples: Vec::new(),
            marks: Marks::default(),
            due: Instant(0),
            noted_at: Instant(0),
            said: String::new(),
            requests: Marks::default(),
            objects: Marks::default(),
            policy: None,
            demand: demand.cloned().unwrap_or_default(),
            needed: None,
        }
    }

    /// The policy of the file, made anew only when the file says something else.
    fn policy(&mut self, service: &Service) -> Option<Rc<Here>> {
        let own = service.autoscaling.as_ref()?;
        Some(match &self.policy {
            Some((former, here)) if former == own => here.clone(),
            _ => {
                let written = account::scaling_on_a_machine(service)?;
                let here = Rc::new(Here { policy: Policy::from(&written), written });
                self.policy = Some((own.clone(), here.clone()));
                here
            }
        })
    }
}

impl Engine {
    /// Asks every autoscaler that something was seen for, or whose time has come.
    pub(super) fn scale_services(&mut self, now: Instant, wake: &mut Wake) {
        let Some(accepted) = &self.record.remembered.accepted else { return };
        if self.record.remembered.ending.is_some() {
            return;
        }
        let services = &accepted.system.services;
        let scaled = |name: &str| services.get(name).is_some_and(|service| service.autoscaling.is_some());
        self.scalers.retain(|name, _| scaled(name));
        let is_due =
            |name: &str| self.scalers.get(name).is_none_or(|scaler| scaler.due <= now || !scaler.samples.is_empty());
        let due: Vec<String> = services.keys().filter(|name| scaled(name) && is_due(name)).cloned().collect();
        for name in due {
            self.scale_service(&name, now);
        }
        for scaler in self.scalers.values() {
            wake.at(scaler.due);
        }
    }

    /// Asks one autoscaler, and writes down what it says.
    fn scale_service(&mut self, name: &str, now: Instant) {
        let Some(service) = self.accepted_service(name) else { return };
        let Some(own) = &service.autoscaling else { return };
        let mut scaler = self.scalers.remove(name).unwrap_or_else(|| self.remembered_scaler(name));
        let Some(here) = scaler.policy(&service) else { return };
        let policy = &here.policy;
        let current = self.wanted_replicas(name, &service);
        let foreseen = self.foresee(&mut scaler, name, own, now);
        let mut seen = self.seen_by(&mut scaler, (name, &service), &here, now);
        seen.predicted = foreseen.as_ref().map_or(0, |foreseen| foreseen.floor);
        let before = scaler.memory.clone();
        let decision = autoscale::decide(policy, &mut scaler.memory, &seen);
        if own.prediction.is_some() {
            scaler.needed = scaler.needed.max(decision.needed);
        }
        let marks = [
            uses_processor(policy).then_some(scaler.marks.due),
            uses_requests(policy).then_some(scaler.requests.due),
            described(&here.written).next().map(|_| scaler.objects.due),
            foreseen.map(|foreseen| foreseen.again_at),
        ];
        let due = decision.again_at.into_iter().chain(marks.into_iter().flatten()).min();
        scaler.due = due.unwrap_or(now.after(NOTE_EVERY));
        let wanted = if let Act::ScaleTo(wanted) = decision.act { wanted } else { current };
        scaler.said = standing(&decision, &scaler.memory, (wanted, now));
        let asked = Autoscale { policy: here.written.clone(), memory: before, seen };
        self.keep_look(name, &asked, (&decision, &scaler.memory));
        let busy = asked.seen.traffic.samples.iter().any(|sample| sample.arrived > 0 || sample.in_flight > 0);
        let notes = decision.hpa.is_some() || (busy && scaler.noted_at.after(NOTE_EVERY) <= now);
        if wanted != current || notes || !self.record.remembered.autoscaled.contains_key(name) {
            scaler.noted_at = now;
            let memory = Box::new(scaler.memory.clone());
            self.record.note(Entry::Autoscaled { service: name.into(), replicas: wanted, memory });
        }
        self.scalers.insert(name.into(), scaler);
        if wanted != current {
            self.tell_scaling(name, &decision, asked);
        }
    }

    fn remembered_scaler(&self, name: &str) -> Scaler {
        let remembered = &self.record.remembered;
        let memory = remembered.autoscaled.get(name).map(|known| &known.memory);
        Scaler::remembered(memory, remembered.demand.get(name))
    }

    /// What former weeks let expect, where the file asks for it; a span that is over is written down.
    fn foresee(
        &mut self,
        scaler: &mut Scaler,
        name: &str,
        own: &Autoscaling,
        now: Instant,
    ) -> Option<prediction::Decision> {
        let policy = own.prediction.as_ref()?;
        let seen = prediction::Seen { at: now, needed: scaler.needed.take() };
        let decision = prediction::decide(policy, &mut scaler.demand, &seen);
        if let Some(slot) = decision.over {
            self.record.note(Entry::Demand { service: name.into(), slot });
        }
        Some(decision)
    }

    /// Tells of a new number, with the arithmetic that led to it.
    fn tell_scaling(&mut self, name: &str, decision: &Decision, asked: Autoscale) {
        let message = format!("by {}: {}", words(decision.reason), decision.steps.join("; "));
        let answer = account::scaled(&asked.seen, decision);
        let words = Words { subject: name, reason: "Scaled", message: &message, warning: false };
        self.tell_decision(&words, &Question::Autoscale(Box::new(asked)), answer);
    }

    /// Keeps what a gateway saw since its last answer, for the autoscalers that go by traffic.
    pub(super) fn sample_traffic(&mut self, gateway: &str, now: Instant) {
        if gateway != plimsoll_control::upgrade::gateway_name(self.current_gateway()) {
            // One that an upgrade replaces gets no new requests: what it still has in flight is added below.
            return;
        }
        let Some(accepted) = &self.record.remembered.accepted else { return };
        let Some((figures, former, span)) = self.gateways.last_span(gateway) else { return };
        for (name, scaler) in &mut self.scalers {
            let scaling = accepted.system.services.get(name).and_then(|service| service.autoscaling.as_ref());
            if scaling.is_none_or(|own| own.requests_per_second.is_none() && own.concurrency.is_none()) {
                continue;
            }
            let (mut arrived, mut in_flight) = (0, 0);
            for (replica, now) in figures.replicas.iter().filter(|(replica, _)| is_of(replica, name)) {
                let then = former.replicas.get(replica);
                arrived += now.asked().saturating_sub(then.map_or(0, ReplicaFigures::asked));
                in_flight += now.in_flight + then.map_or(now.in_flight, |then| then.in_flight);
            }
            let held = figures.held.get(name).copied().unwrap_or(0);
            // The mean of both ends of the span, in thousandths.
            let in_flight = in_flight * 500 + (held + self.gateways.in_flight_elsewhere(gateway, name)) * 1000;
            scaler.samples.push(traffic::Sample { at: now, span, in_flight, arrived });
        }
    }

    /// Whether an autoscaler waits for what gateways see.
    pub(super) fn scales_by_traffic(&self) -> bool {
        let Some(accepted) = &self.record.remembered.accepted else { return false };
        let by_traffic = |service: &Service| {
            let own = service.autoscaling.as_ref();
            own.is_some_and(|own| own.requests_per_second.is_some() || own.concurrency.is_some())
        };
        accepted.system.services.values().any(by_traffic)
    }

    /// All autoscalers decide anew: their bounds may be others now, and what a person set is over.
    pub(super) fn rethink_scaling(&mut self) {
        let mut ended = Vec::new();
        for (name, scaler) in &mut self.scalers {
            scaler.due = Instant(0);
            if scaler.memory.manual.take().is_some() {
                ended.push(name.clone());
            }
        }
        for name in ended {
            // Else an engine that comes after would hold to what is over.
            if let Some(service) = self.accepted_service(&name)
                && let Some(memory) = self.scalers.get(&name).map(|scaler| Box::new(scaler.memory.clone()))
            {
                let replicas = self.wanted_replicas(&name, &service);
                self.record.note(Entry::Autoscaled { service: name.clone(), replicas, memory });
            }
            self.tell(&name, "Scaled", "the file says again between which numbers it is scaled", false);
        }
    }

    /// A person wants so many replicas of a service that an autoscaler owns: its bounds move for a time.
    pub(super) fn scale_by_hand(&mut self, name: &str, replicas: u32, service: &Service) -> Result<String, String> {
        let Some(own) = &service.autoscaling else { return Err(format!("{name} has no autoscaling")) };
        let now = self.clock.now();
        let current = self.wanted_replicas(name, service);
        let remembered = self.record.remembered.autoscaled.get(name).map(|known| &known.memory);
        let known = self.scalers.get(name).map(|scaler| &scaler.memory).or(remembered);
        let hold = own.manual_for;
        let mut memory = known.cloned().unwrap_or_default();
        let bounds = (own.min_replicas, own.max_replicas);
        let manual = Manual::scale(replicas, current, bounds, now.after(hold));
        let (min, max) = (manual.min_replicas, manual.max_replicas);
        memory.manual = Some(Manual { by: "a person".into(), ..manual });
        let noted = Entry::Autoscaled { service: name.into(), replicas: current, memory: Box::new(memory.clone()) };
        self.record.commit(noted).map_err(|error| plimsoll_journal::chain(&error))?;
        let fresh = self.remembered_scaler(name);
        let scaler = self.scalers.entry(name.into()).or_insert(fresh);
        scaler.memory = memory;
        scaler.due = Instant(0);
        let message = format!(
            "autoscaling keeps {name} between {min} and {max} replicas (the file says {} to {}), for {hold} or \
             until the next `plimsoll up` with a changed file",
            bounds.0, bounds.1
        );
        self.tell(name, "ScaledByHand", &message, false);
        Ok(message)
    }

    /// How a service's autoscaler stands, for a person; `None` when it has none.
    ///
    /// One whose bounds are the same number has nothing to say.
    pub(super) fn scaling_said(&self, name: &str) -> Option<String> {
        let accepted = self.record.remembered.accepted.as_ref()?;
        let own = accepted.system.services.get(name)?.autoscaling.as_ref()?;
        if own.min_replicas == own.max_replicas {
            return None;
        }
        self.scalers.get(name).map(|scaler| scaler.said.clone()).filter(|said| !said.is_empty())
    }
}

/// How an autoscaler stands.
fn standing(decision: &Decision, memory: &Memory, (wanted, now): (u32, Instant)) -> String {
    let (min, max) = decision.bounds;
    let mut said = format!("{wanted} of {min} to {max}, by {}", words(decision.reason));
    if let Some(manual) = &memory.manual {
        let left = Millis::from_secs(manual.until.since(now).0.div_ceil(60_000) * 60);
        said.push_str(&format!("; bounds set by hand, for another {left}"));
    }
    for condition in &memory.hpa.conditions {
        let holds = if condition.status == Status::True { "" } else { "not " };
        said.push_str(&format!("; {holds}{:?} ({})", condition.kind, condition.reason));
        if condition.status == Status::False && !condition.message.is_empty() {
            said.push_str(&format!(": {}", condition.message));
        }
    }
    said
}

fn words(reason: Reason) -> String {
    match reason {
        Reason::Unreadable => "nothing: the number can't be read".into(),
        Reason::SwitchedOff => "a person, who switched it off".into(),
        Reason::Bounds => "its bounds".into(),
        Reason::Manual => "bounds set by hand".into(),
        Reason::Schedule => "a schedule".into(),
        Reason::Prediction => "what former weeks needed".into(),
        Reason::Metrics => "metrics".into(),
        Reason::Traffic(mood) => format!("traffic ({mood:?})"),
        Reason::Settled => "nothing: no source asks for another number".into(),
    }
}
