//! Autoscalers at work: what they are told is what the engine tells them, as late as the scenario says.

use super::{
    Event, SAMPLE_EVERY, Word, World, instant, nanosecond,
    state::{Replica, Stage},
};
use crate::plan::{MS, StationPlan, ns};
use plimsoll_control::autoscale::{
    self, Act, Seen,
    policy::Metric,
    seen::{self, Answer, Container, Phase, Pod, Reading, Sample, Usage},
    traffic,
};
use plimsoll_model::{Instant, Millis};
use std::collections::BTreeMap;

impl World {
    /// Marks how much processor time each replica has used.
    pub(super) fn scrape(&mut self) {
        let metrics = self.plan.metrics;
        self.wheel.push(self.wheel.now() + ns(metrics.every).max(MS), Event::Scrape);
        let at = self.instant();
        let keep = Millis(metrics.window.0.saturating_add(metrics.delay.0));
        for replica in self.replicas.iter_mut().filter(|one| one.alive && one.stage == Stage::Running) {
            replica.marks.push_back((at, replica.cpu_ns));
            while replica.marks.get(1).is_some_and(|(second, _)| second.after(keep) <= at) {
                replica.marks.pop_front();
            }
        }
    }

    /// What the gateway saw since the last time goes to the autoscalers that go by it.
    pub(super) fn sample_traffic(&mut self) {
        let now = self.wheel.now();
        self.wheel.push(now + SAMPLE_EVERY, Event::Sample);
        for station in 0..self.plan.services() {
            let by_traffic = self.plan.stations[station].scaling.as_ref().is_some_and(|own| own.traffic.is_some());
            if !by_traffic {
                continue;
            }
            let own = &mut self.stations[station];
            let (requests, in_flight, held) = (own.requests, u64::from(own.in_flight), own.held.len() as u64);
            let Some(scaler) = &mut own.scaler else { continue };
            let (before, then) = std::mem::replace(&mut scaler.sampled, (requests, in_flight));
            scaler.samples.push(traffic::Sample {
                at: instant(now),
                span: super::millis(SAMPLE_EVERY),
                in_flight: (in_flight + then) * 500 + held * 1000,
                arrived: requests - before,
            });
            self.wheel.push(now, Event::Scale { station: station as u16 });
        }
    }

    /// Asks one autoscaler, and does what it says.
    pub(super) fn scale(&mut self, station: usize) {
        let now = self.wheel.now();
        let Some(mut scaler) = self.stations[station].scaler.take() else { return };
        let Some(policy) = &self.plan.stations[station].scaling else { return };
        let looks = policy.hpa.is_some() && scaler.memory.hpa_at.is_none_or(|due| due <= instant(now));
        let samples = std::mem::take(&mut scaler.samples);
        let seen = self.seen_by_scaler(station, (policy, looks), samples);
        let decision = autoscale::decide(policy, &mut scaler.memory, &seen);
        let bounds = decision.bounds;
        if let Some(at) = decision.again_at {
            let due = nanosecond(at).max(now);
            if due > now && (scaler.due <= now || due < scaler.due) {
                scaler.due = due;
                self.wheel.push(due, Event::Scale { station: station as u16 });
            }
        }
        let own = &mut self.stations[station];
        own.scaler = Some(scaler);
        if let Act::ScaleTo(replicas) = decision.act {
            self.checkers.scaled((now, station), replicas, bounds);
            own.replicas = replicas;
            self.figures.services[station].scalings += 1;
            self.note(Word::Scaled, station as u32, replicas);
            self.turn_at(now);
        }
    }

    fn seen_by_scaler(
        &self,
        station: usize,
        (policy, looks): (&autoscale::Policy, bool),
        samples: Vec<traffic::Sample>,
    ) -> Seen {
        let own = &self.stations[station];
        let at = self.instant();
        let members = own.members.iter().map(|index| &self.replicas[*index as usize]);
        let metrics = policy.hpa.as_ref().filter(|_| looks).map(|hpa| hpa.metrics_or_default().into_owned());
        let readings = metrics.unwrap_or_default().iter().map(|metric| self.reading(metric, station)).collect();
        let plan = &self.plan.stations[station];
        let (mut pods, mut there, mut ready) = (Vec::new(), 0, 0_u32);
        for replica in members {
            there += i32::from(replica.stage != Stage::Stopping);
            ready += u32::from(replica.serves());
            if looks {
                pods.push(pod(replica, plan));
            }
        }
        Seen {
            hpa: seen::Seen {
                at,
                spec_replicas: i32::try_from(own.replicas).ok(),
                status_replicas: there,
                selector: seen::Selector::Clear,
                pods,
                readings,
                explain: false,
            },
            traffic: traffic::Seen { samples, ready, waiting: u32::try_from(own.held.len()).unwrap_or(u32::MAX) },
            // No former weeks are imagined.
            predicted: 0,
        }
    }

    /// What is known of one metric, as late as the scenario says.
    fn reading(&self, metric: &Metric, station: usize) -> Reading {
        let Metric::Resource { resource } = metric else {
            return Reading::Failed("the simulation tells nothing of this metric".into());
        };
        let members = self.stations[station].members.iter().map(|index| &self.replicas[*index as usize]);
        let alive = members.filter(|replica| replica.alive);
        match resource.name.as_str() {
            "cpu" => Reading::Pods(alive.filter_map(|replica| self.processor(replica)).collect()),
            // Memory is imagined as what is asked for: it never moves anything by itself.
            "memory" => Reading::Pods(alive.map(|replica| self.memory(replica)).collect()),
            other => Reading::Failed(format!("the simulation tells nothing of {other}")),
        }
    }

    fn processor(&self, replica: &Replica) -> Option<Sample> {
        let until = self.instant();
        let delay = self.plan.metrics.delay;
        let (from, before) = replica.marks.front()?;
        let (at, after) = replica.marks.iter().rev().find(|(at, _)| at.after(delay) <= until)?;
        let window = at.since(*from);
        if window < Millis(1000) {
            return None;
        }
        let milli = (after - before) / (window.0.saturating_mul(MS / 1000));
        Some(Sample { pod: replica.id.to_string(), at: *at, window, usage: Usage::Whole(milli as i64) })
    }

    fn memory(&self, replica: &Replica) -> Sample {
        let asked = self.plan.stations[replica.station].memory_request.0;
        let usage = Usage::Whole(i64::try_from((asked / 2).saturating_mul(1000)).unwrap_or(i64::MAX));
        Sample { pod: replica.id.to_string(), at: self.instant(), window: Millis(0), usage }
    }
}

/// A replica as the autoscaler sees it.
fn pod(replica: &Replica, plan: &StationPlan) -> Pod {
    let mut requests = BTreeMap::new();
    if plan.cpu_request.0 > 0 {
        requests.insert("cpu".to_owned(), plan.cpu_request.0 as i64);
    }
    if plan.memory_request.0 > 0 {
        requests
            .insert("memory".to_owned(), i64::try_from(plan.memory_request.0.saturating_mul(1000)).unwrap_or(i64::MAX));
    }
    let phase = match replica.stage {
        Stage::Pending => Phase::Pending,
        Stage::Gone => Phase::Succeeded,
        _ => Phase::Running,
    };
    let status = if replica.serves() { Answer::True } else { Answer::False };
    let since: Instant = replica.ready_since.unwrap_or(replica.readiness_at);
    Pod {
        name: replica.id.to_string(),
        phase,
        deleting: replica.stage == Stage::Stopping,
        started_at: Some(replica.created_at),
        ready: Some(seen::Ready { status, since }),
        containers: vec![Container { name: replica.id.service.clone(), requests }],
        requests: BTreeMap::new(),
    }
}
