//! One service or store in rates.

use super::POINTS;
use crate::{
    plan::{Plan, SECOND},
    queue::Queue,
    world::instant,
};
use plimsoll_control::autoscale::{
    self, Act, Memory, Seen,
    policy::Metric,
    seen::{self, Answer, Container, Phase, Pod, Reading, Sample, Usage},
    traffic,
};
use plimsoll_model::Millis;
use std::collections::{BTreeMap, VecDeque};

/// How much later than its process can answer a replica is found ready, by early probes: at most a quarter of its age.
const FOUND: f64 = 1.125;

/// The better of two replicas is chosen, by what each has to do: a request waits less than in a queue of its own replica,
/// and more than in one for two. This share of the former comes nearest to what worlds of events tell (see the tests).
const ALONE: f64 = 1.0 / 3.0;

/// One service or store.
#[derive(Debug)]
pub(super) struct Station {
    workers: f64,
    pub(super) wanted: u32,
    pub(super) ready: u32,
    /// Seconds at which so many become ready.
    coming: VecDeque<(f64, u32)>,
    waiting: f64,
    /// The share of arrivals that got in.
    pub(super) kept: f64,
    /// Seconds of work that were done in the last step.
    pub(super) worked_s: f64,
    pub(super) busy_s: f64,
    pub(super) mean_s: f64,
    /// By point of the distribution of times: what waiting adds, in seconds; and for which queue that was reckoned.
    waits: [f64; POINTS.len()],
    reckoned: (f64, f64, u32),
    /// What everybody waits for, in seconds.
    fixed: f64,
    memory: Option<Memory>,
    /// Processor use of each replica in thousandths, second by second.
    marks: VecDeque<i64>,
    in_flight: f64,
}

impl Station {
    pub(super) fn new(plan: &Plan, station: usize) -> Self {
        let own = &plan.stations[station];
        let wanted = match own.service.as_ref().map(|service| (service, service.autoscaling.as_ref())) {
            Some((_, Some(scaling))) => scaling.at_first(),
            Some((service, None)) => service.replicas,
            None => 1,
        };
        let is_store = own.service.is_none();
        let start = own.start_ns as f64 / 1e9 * FOUND;
        Self {
            workers: f64::from(own.workers),
            wanted,
            ready: if is_store { wanted } else { 0 },
            coming: if is_store { VecDeque::new() } else { VecDeque::from([(start, wanted)]) },
            waiting: 0.0,
            kept: 1.0,
            worked_s: 0.0,
            busy_s: 0.0,
            mean_s: 0.0,
            waits: [0.0; POINTS.len()],
            reckoned: (-1.0, 0.0, 0),
            fixed: 0.0,
            memory: own.scaling.as_ref().map(|_| Memory::default()),
            marks: VecDeque::new(),
            in_flight: 0.0,
        }
    }

    /// Some replicas are gone, and started again at once; how many.
    pub(super) fn crash(&mut self, count: u32, second: u64, start_ns: u64) -> u32 {
        let count = count.min(self.ready);
        self.ready -= count;
        self.coming.push_back((second as f64 + start_ns as f64 / 1e9 * FOUND, count));
        count
    }

    /// Workers of all replicas that are ready.
    pub(super) fn there(&self) -> f64 {
        f64::from(self.ready) * self.workers
    }

    /// One second with so many arrivals, which bring so many seconds of work; whether its autoscaler changed something.
    pub(super) fn step(&mut self, plan: &Plan, (station, second): (usize, u64), (arrivals, work): (f64, f64)) -> bool {
        while self.coming.front().is_some_and(|(at, _)| *at <= second as f64) {
            self.ready += self.coming.pop_front().map_or(0, |(_, count)| count);
        }
        let own = &plan.stations[station];
        let mean = if arrivals > 0.0 { work / arrivals } else { own.time.mean_ns() / 1e9 };
        let there = self.there();
        let capacity = if mean > 0.0 { there / mean } else { f64::INFINITY };
        let todo = self.waiting + arrivals;
        let done = todo.min(capacity);
        let room = f64::from(self.ready.max(1)) * own.queue as f64;
        self.waiting = (todo - done).min(room);
        let lost = todo - done - self.waiting;
        self.kept = if todo > 0.0 { 1.0 - lost / todo } else { 1.0 };
        self.worked_s = done * mean;
        let busy = self.worked_s * own.cpu.fraction();
        self.busy_s += busy;
        self.marks.push_back((busy / f64::from(self.ready.max(1)) * 1000.0) as i64);
        let keep = (plan.metrics.window.0.saturating_add(plan.metrics.delay.0) / 1000).max(1) as usize;
        while self.marks.len() > keep {
            self.marks.pop_front();
        }
        self.queue((done, mean, capacity));
        self.in_flight = done * self.mean_s + self.waiting;
        self.scale(plan, station, (second, arrivals))
    }

    /// How long one waits now: between a queue for each replica and one for two of them.
    fn queue(&mut self, (done, mean, capacity): (f64, f64, f64)) {
        let of = |replicas: u32| {
            let workers = (self.workers * f64::from(replicas)) as u32;
            let most = 0.995 * f64::from(workers) / mean.max(1e-9);
            let arrivals = done * f64::from(replicas) / f64::from(self.ready.max(1));
            Queue { arrivals: arrivals.min(most), work: mean, workers }
        };
        let (queue, pair) = (of(1), of(self.ready.clamp(1, 2)));
        let between = |alone: f64, both: f64| ALONE * alone + (1.0 - ALONE) * both;
        self.fixed = if capacity > 0.0 { self.waiting / capacity } else { self.waiting };
        self.mean_s = mean + between(queue.mean_wait(), pair.mean_wait()) + self.fixed;
        let (arrivals, work, workers) = self.reckoned;
        let same = |now: f64, then: f64| (now - then).abs() <= 1e-3 * then.abs();
        if same(queue.arrivals, arrivals) && same(queue.work, work) && queue.workers == workers {
            return;
        }
        self.reckoned = (queue.arrivals, queue.work, queue.workers);
        for (wait, (p, _)) in self.waits.iter_mut().zip(POINTS) {
            // For exponential times of work this is exact; for others their own percentile takes its place.
            let took = between(queue.percentile(p), pair.percentile(p));
            *wait = (took - Queue::exponential(mean, p)).max(0.0);
        }
    }

    /// What waiting adds at a point of the distribution of times, in seconds.
    pub(super) fn wait(&self, point: usize) -> f64 {
        self.fixed + self.waits[point]
    }

    /// Asks the autoscaler, as a world of events does; whether it changed something.
    fn scale(&mut self, plan: &Plan, station: usize, (second, arrivals): (u64, f64)) -> bool {
        let own = &plan.stations[station];
        let (Some(policy), Some(mut memory)) = (&own.scaling, self.memory.take()) else { return false };
        let at = instant((second + 1) * SECOND);
        let looks = policy.hpa.is_some() && memory.hpa_at.is_none_or(|due| due <= at);
        let mut scaled = false;
        if looks || policy.traffic.is_some() {
            let seen = self.seen(plan, (station, looks), (at, arrivals), policy);
            if let Act::ScaleTo(wanted) = autoscale::decide(policy, &mut memory, &seen).act {
                self.scale_to(wanted, second as f64 + 1.0 + own.start_ns as f64 / 1e9 * FOUND);
                scaled = true;
            }
        }
        self.memory = Some(memory);
        scaled
    }

    fn scale_to(&mut self, wanted: u32, ready_at: f64) {
        let before = std::mem::replace(&mut self.wanted, wanted);
        if wanted > before {
            return self.coming.push_back((ready_at, wanted - before));
        }
        // Those that are not ready yet go first.
        let mut gone = before - wanted;
        while gone > 0 {
            let Some((_, count)) = self.coming.back_mut() else { break };
            let here = gone.min(*count);
            *count -= here;
            gone -= here;
            if *count == 0 {
                self.coming.pop_back();
            }
        }
        self.ready = self.ready.saturating_sub(gone);
    }

    fn seen(
        &self,
        plan: &Plan,
        (station, looks): (usize, bool),
        (at, arrivals): (plimsoll_model::Instant, f64),
        policy: &autoscale::Policy,
    ) -> Seen {
        let own = &plan.stations[station];
        let metrics = policy.hpa.as_ref().filter(|_| looks).map(|hpa| hpa.metrics_or_default().into_owned());
        let mut requests = BTreeMap::new();
        requests.insert("cpu".to_owned(), own.cpu_request.0 as i64);
        requests.insert("memory".to_owned(), own.memory_request.0.saturating_mul(1000) as i64);
        requests.retain(|_, asked| *asked > 0);
        let pod = |number: u32| {
            let ready = number < self.ready;
            Pod {
                name: format!("{}-{}", own.name, number + 1),
                started_at: Some(instant(0)),
                ready: Some(seen::Ready {
                    status: if ready { Answer::True } else { Answer::False },
                    since: if ready { instant(0) } else { at },
                }),
                phase: if ready { Phase::Running } else { Phase::Pending },
                containers: vec![Container { name: own.name.clone(), requests: requests.clone() }],
                ..Pod::default()
            }
        };
        let pods = if looks { (0..self.wanted).map(pod).collect() } else { Vec::new() };
        let delay = (plan.metrics.delay.0 / 1000) as usize;
        let seen_marks = self.marks.len().saturating_sub(delay);
        let cpu = self.marks.iter().take(seen_marks).sum::<i64>() / (seen_marks as i64).max(1);
        let sample = |number: u32, value: i64| Sample {
            pod: format!("{}-{}", own.name, number + 1),
            at,
            window: Millis(seen_marks as u64 * 1000),
            usage: Usage::Whole(value),
        };
        let reading = |metric: &Metric| match metric {
            Metric::Resource { resource } if resource.name == "cpu" && seen_marks > 0 => {
                Reading::Pods((0..self.ready).map(|number| sample(number, cpu)).collect())
            }
            Metric::Resource { resource } if resource.name == "memory" => {
                let half = (own.memory_request.0 / 2 * 1000) as i64;
                Reading::Pods((0..self.ready).map(|number| sample(number, half)).collect())
            }
            _ => Reading::Failed("the simulation tells nothing of this metric".into()),
        };
        let traffic = traffic::Sample {
            at,
            span: Millis(1000),
            in_flight: (self.in_flight * 1000.0) as u64,
            arrived: arrivals as u64,
        };
        Seen {
            hpa: seen::Seen {
                at,
                spec_replicas: i32::try_from(self.wanted).ok(),
                status_replicas: i32::try_from(self.wanted).unwrap_or(i32::MAX),
                selector: seen::Selector::Clear,
                pods,
                readings: metrics.unwrap_or_default().iter().map(reading).collect(),
                explain: false,
            },
            traffic: traffic::Seen { samples: vec![traffic], ready: self.ready, waiting: self.waiting as u32 },
            predicted: 0,
        }
    }
}
