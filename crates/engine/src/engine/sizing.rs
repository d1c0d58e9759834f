//! What replicas use goes to `control::rightsize`, once a minute; what it recommends is shown, and changes nothing.
//!
//! Invariant: each replica is looked at once a minute, and what is known of a service is written down every ten minutes,
//! however many replicas there are.

use super::{Engine, turning::Wake};
use crate::{marks::Marks, usage};
use plimsoll_api::status::{SizeStatus, SizesStatus};
use plimsoll_control::rightsize::{self, Allowed, Memory, Policy, Sample, Size};
use plimsoll_journal::entry::Entry;
use plimsoll_model::{Instant, Millis, Service, autoscaling::Vertical};
use std::collections::BTreeMap;

/// How often replicas are looked at: as often as the Vertical Pod Autoscaler does.
const LOOK_EVERY: Millis = Millis::from_secs(60);
/// How often what is known is written down.
const NOTE_EVERY: Millis = Millis::from_secs(600);

/// What is known of what replicas use.
#[derive(Default)]
pub(crate) struct Sizers {
    /// When replicas are looked at next.
    due: Instant,
    /// When what is known is written down next.
    note_at: Instant,
    /// Of each service.
    services: BTreeMap<String, Memory>,
    /// Processor time, from look to look.
    marks: Marks,
}

impl Sizers {
    /// As it is remembered; a memory of another version begins anew.
    pub(super) fn remembered(known: &BTreeMap<String, Memory>) -> Self {
        let current = known.iter().filter(|(_, memory)| memory.version == rightsize::MEMORY_VERSION);
        let services = current.map(|(name, memory)| (name.clone(), memory.clone())).collect();
        Self { services, ..Self::default() }
    }
}

impl Engine {
    /// Looks at what replicas use, when it is time.
    pub(super) fn size_services(&mut self, now: Instant, wake: &mut Wake) {
        let Some(accepted) = &self.record.remembered.accepted else { return };
        if self.record.remembered.ending.is_some() || accepted.system.services.is_empty() {
            return;
        }
        if now < self.sizers.due {
            return wake.at(self.sizers.due);
        }
        let mut sizers = std::mem::take(&mut self.sizers);
        sizers.due = now.after(LOOK_EVERY);
        let services = &accepted.system.services;
        sizers.services.retain(|name, _| services.contains_key(name));
        let used: Vec<_> = self
            .replicas
            .values()
            .filter_map(|replica| Some((replica, usage::of(replica.process.as_ref()?))))
            .collect();
        if used.is_empty() {
            // The first process that starts wakes the loop anyway.
            sizers.due = Instant(0);
            self.sizers = sizers;
            return;
        }
        let times = used.iter().filter_map(|(replica, used)| Some((replica.process_id(), used.cpu_us?))).collect();
        sizers.marks.mark(now, &times);
        for (name, service) in services {
            let samples =
                used.iter().filter(|(replica, _)| replica.id.service == *name).map(|(replica, used)| Sample {
                    replica: replica.id.to_string(),
                    cpu: sizers.marks.milli(&replica.process_id()),
                    memory: used.memory,
                });
            let cpu_requested = service.resources.cpu_request.map_or(0, |cpu| cpu.0);
            let seen = rightsize::Seen { at: now, samples: samples.collect(), cpu_requested };
            rightsize::decide(&policy(service), sizers.services.entry(name.clone()).or_default(), &seen);
        }
        if sizers.note_at <= now {
            // Not at the first look: an engine that comes back knows nothing new.
            if sizers.note_at > Instant(0) {
                for (name, memory) in &sizers.services {
                    self.record.note(Entry::Sized { service: name.clone(), memory: Box::new(memory.clone()) });
                }
            }
            sizers.note_at = now.after(NOTE_EVERY);
        }
        wake.at(sizers.due);
        self.sizers = sizers;
    }

    /// What is recommended for a service beside what it requests; `None`: nothing is known yet.
    pub(super) fn sizes(&self, name: &str, service: &Service) -> Option<SizesStatus> {
        let decision = rightsize::recommend(&policy(service), self.sizers.services.get(name)?);
        let beside =
            |size: Size, requested| SizeStatus { requested, lower: size.lower, target: size.target, upper: size.upper };
        let controls = |resource: &str| service.vertical.as_ref().is_none_or(|own| own.controls(resource));
        let (own, seconds) = (&service.resources, decision.span);
        let cpu = decision.cpu.filter(|_| controls("cpu"));
        let memory = decision.memory.filter(|_| controls("memory"));
        if cpu.is_none() && memory.is_none() {
            return None;
        }
        Some(SizesStatus {
            cpu: cpu.map(|size| beside(size, own.cpu_request.or(own.cpu_limit).map(|cpu| cpu.0))),
            memory: memory.map(|size| beside(size, own.memory_request.or(own.memory_limit).map(|bytes| bytes.0))),
            samples: decision.samples,
            span: seconds,
        })
    }
}

/// The usual policy, within what the file allows.
fn policy(service: &Service) -> Policy {
    let usual = Policy::default();
    let Some(Vertical { cpu_min, cpu_max, memory_min, memory_max, .. }) = &service.vertical else { return usual };
    let cpu_allowed = Allowed { min: cpu_min.map(|cpu| cpu.0), max: cpu_max.map(|cpu| cpu.0) };
    let memory_allowed = Allowed { min: memory_min.map(|bytes| bytes.0), max: memory_max.map(|bytes| bytes.0) };
    Policy { cpu_allowed, memory_allowed, ..usual }
}
