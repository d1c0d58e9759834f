//! What an autoscaler is told of its replicas, and of what its metrics are about.

use super::{
    Engine,
    scaling::{Here, Scaler},
};
use crate::{
    replica::{Replica, Stage},
    usage,
};
use plimsoll_control::autoscale::{
    Policy, Seen,
    policy::Metric,
    seen::{self, Answer, Container, Phase, Pod, Reading, Sample, Usage},
    traffic,
};
use plimsoll_model::{
    Instant, Millis, Service,
    autoscaling::{Autoscaling, Metric as Written},
    service::Resources,
};
use std::collections::BTreeMap;

/// Requests a second of each replica, among what a replica is looked at for.
const REQUESTS: &str = "requests";

impl Engine {
    /// What one autoscaler is told.
    pub(super) fn seen_by(
        &self,
        scaler: &mut Scaler,
        (name, service): (&str, &Service),
        here: &Here,
        now: Instant,
    ) -> Seen {
        let policy = &here.policy;
        let looks = policy.hpa.is_some() && scaler.memory.hpa_at.is_none_or(|due| due <= now);
        if uses_processor(policy) && (looks || scaler.marks.due <= now) {
            let used = self.replicas_of(name).filter_map(processor_time).collect();
            scaler.marks.mark(now, &used);
        }
        if uses_requests(policy) && (looks || scaler.requests.due <= now) {
            // In millionths, so that the rate comes out in thousandths of a request a second.
            let given = |replica: &Replica| (replica.process_id(), self.gateways.requests(&replica.id) * 1_000_000);
            let given = self.replicas_of(name).map(given).collect();
            scaler.requests.mark(now, &given);
        }
        if described(&here.written).next().is_some() && (looks || scaler.objects.due <= now) {
            let total = |of: &str| (of.to_owned(), self.gateways.total(of) * 1_000_000);
            scaler.objects.mark(now, &described(&here.written).map(total).collect());
        }
        let metrics = policy.hpa.as_ref().filter(|_| looks).map(|hpa| hpa.metrics_or_default().into_owned());
        let metrics = metrics.unwrap_or_default();
        let readings = metrics.iter().enumerate().map(|(place, metric)| {
            let own = here.written.metrics.get(place).and_then(described_by);
            own.map_or_else(|| self.reading(metric, name, scaler, now), |of| scaler.object(of))
        });
        let readings = readings.collect();
        let (mut pods, mut there, mut ready) = (Vec::new(), 0, 0_u32);
        for replica in self.replicas_of(name) {
            there += i32::from(!matches!(replica.stage, Stage::Stopping(_)));
            ready += u32::from(replica.serves());
            pods.push(pod(replica, &service.resources));
        }
        Seen {
            hpa: seen::Seen {
                at: now,
                spec_replicas: i32::try_from(self.wanted_replicas(name, service)).ok(),
                status_replicas: there,
                selector: seen::Selector::Clear,
                pods,
                readings,
                explain: true,
            },
            traffic: traffic::Seen {
                samples: std::mem::take(&mut scaler.samples),
                ready,
                waiting: u32::try_from(self.gateways.held(name)).unwrap_or(u32::MAX),
            },
            predicted: 0,
        }
    }

    /// What this machine tells about one metric.
    fn reading(&self, metric: &Metric, name: &str, scaler: &Scaler, now: Instant) -> Reading {
        let name_of = match metric {
            Metric::Resource { resource } => resource.name.as_str(),
            Metric::Pods { .. } => REQUESTS,
            _ => return Reading::Failed("nothing on this machine tells this metric".into()),
        };
        let sample = |replica: &Replica| match name_of {
            "cpu" => scaler.marks.sample(&replica.process_id(), &replica.id.to_string()),
            "memory" => {
                let bytes = usage::of(replica.process.as_ref()?).memory?;
                let usage = Usage::Whole(i64::try_from(bytes.saturating_mul(1000)).unwrap_or(i64::MAX));
                Some(Sample { pod: replica.id.to_string(), at: now, window: Millis(0), usage })
            }
            REQUESTS => scaler.requests.sample(&replica.process_id(), &replica.id.to_string()),
            _ => None,
        };
        Reading::Pods(self.replicas_of(name).filter_map(sample).collect())
    }
}

impl Scaler {
    /// The requests a second to what a metric is about.
    fn object(&self, of: &str) -> Reading {
        match self.objects.milli(of).map(i64::try_from) {
            Some(Ok(milli)) => Reading::Object(milli),
            _ => Reading::Failed("its requests are not counted for long enough yet".into()),
        }
    }
}

/// Whether the requests that replicas are given are to be marked.
pub(super) fn uses_requests(policy: &Policy) -> bool {
    policy.hpa.as_ref().is_some_and(|hpa| hpa.metrics.iter().any(|metric| matches!(metric, Metric::Pods { .. })))
}

/// What the metrics of objects are about: services, or (without a name) the ingress.
pub(super) fn described(written: &Autoscaling) -> impl Iterator<Item = &str> {
    written.metrics.iter().filter_map(described_by)
}

fn described_by(metric: &Written) -> Option<&str> {
    match metric {
        Written::Object { of, .. } => Some(of.name()),
        _ => None,
    }
}

/// Whether processor time is to be marked.
pub(super) fn uses_processor(policy: &Policy) -> bool {
    let by_processor = |metric: &Metric| matches!(metric, Metric::Resource { resource } if resource.name == "cpu");
    policy.hpa.as_ref().is_some_and(|hpa| hpa.metrics_or_default().iter().any(by_processor))
}

fn processor_time(replica: &Replica) -> Option<(String, u64)> {
    Some((replica.process_id(), usage::of(replica.process.as_ref()?).cpu_us?))
}

/// A replica as Kubernetes' autoscaler sees a pod.
fn pod(replica: &Replica, resources: &Resources) -> Pod {
    let narrow = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut requests = BTreeMap::new();
    if let Some(cpu) = resources.cpu_request.or(resources.cpu_limit) {
        requests.insert("cpu".to_owned(), narrow(cpu.0));
    }
    if let Some(memory) = resources.memory_request.or(resources.memory_limit) {
        requests.insert("memory".to_owned(), narrow(memory.0.saturating_mul(1000)));
    }
    let phase = match replica.stage {
        Stage::Launching => Phase::Pending,
        Stage::BackOff { .. } if replica.attempt == 0 => Phase::Pending,
        Stage::Done if replica.failed => Phase::Failed,
        Stage::Done => Phase::Succeeded,
        _ => Phase::Running,
    };
    let status = if replica.serves() { Answer::True } else { Answer::False };
    Pod {
        name: replica.id.to_string(),
        phase,
        deleting: matches!(replica.stage, Stage::Stopping(_)),
        started_at: Some(replica.created_at),
        ready: Some(seen::Ready { status, since: replica.ready_since.unwrap_or(replica.readiness_at) }),
        containers: vec![Container { name: replica.id.service.clone(), requests }],
        requests: BTreeMap::new(),
    }
}
