//! What one worker writes down while it runs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::failure::{Cause, Failure};
use crate::latencies::Latencies;

/// How an asked request ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The request's number in the run.
    pub(crate) number: u64,
    /// Which template it was made from.
    pub(crate) template: usize,
    /// Its intended start, from the end of the warm-up; `None` during the warm-up.
    pub(crate) at: Option<Duration>,
    /// From its intended start to the end of its answer, or to giving it up.
    pub(crate) latency: Duration,
    /// From the moment that it was handed to a connection; `None` when it never was.
    pub(crate) service: Option<Duration>,
    /// What was answered; `None` without a whole answer.
    pub(crate) status: Option<u16>,
    /// Why it failed; `None`: it was answered rightly.
    pub(crate) failure: Option<Cause>,
}

/// Figures of one second (or one step) of intended starts.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    pub(crate) asked: u64,
    pub(crate) failed: u64,
    pub(crate) latency: Latencies,
}

/// Figures of one request template.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) asked: u64,
    pub(crate) failed: u64,
    pub(crate) latency: Latencies,
}

/// What one worker has seen. The figures of several are added up.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) by_template: Vec<Tally>,
    pub(crate) service: Latencies,
    pub(crate) by_status: BTreeMap<u16, u64>,
    pub(crate) by_cause: BTreeMap<String, u64>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) series: BTreeMap<u64, Moment>,
    pub(crate) warm_up_asked: u64,
    pub(crate) warm_up_failed: u64,
    pub(crate) late: u64,
    pub(crate) late_most: Duration,
    pub(crate) waited_for_connection: u64,
    pub(crate) connections: u64,
    pub(crate) reconnects: u64,
    pub(crate) cpu: Duration,
    pub(crate) last_end: Duration,
    step: Duration,
    failures_max: usize,
}

impl Record {
    /// Nothing seen yet.
    pub(crate) fn new(templates: usize, step: Duration, failures_max: usize) -> Record {
        Record {
            by_template: vec![Tally::default(); templates],
            service: Latencies::new(),
            by_status: BTreeMap::new(),
            by_cause: BTreeMap::new(),
            failures: Vec::new(),
            sent: 0,
            answered: 0,
            series: BTreeMap::new(),
            warm_up_asked: 0,
            warm_up_failed: 0,
            late: 0,
            late_most: Duration::ZERO,
            waited_for_connection: 0,
            connections: 0,
            reconnects: 0,
            cpu: Duration::ZERO,
            last_end: Duration::ZERO,
            step,
            failures_max,
        }
    }

    /// Writes down how a request ended. `describe` names the request, and is called only if the failure is listed.
    pub(crate) fn finish(&mut self, outcome: Outcome, describe: impl FnOnce() -> String) {
        let Some(at) = outcome.at else {
            self.warm_up_asked += 1;
            self.warm_up_failed += u64::from(outcome.failure.is_some());
            return;
        };
        self.sent += u64::from(outcome.service.is_some());
        self.answered += u64::from(outcome.status.is_some());
        self.last_end = self.last_end.max(at + outcome.latency);
        if let Some(status) = outcome.status {
            *self.by_status.entry(status).or_default() += 1;
        }
        let failed = outcome.failure.is_some();
        let second = u64::try_from(at.as_nanos() / self.step.as_nanos().max(1)).unwrap_or(u64::MAX);
        let empty = || Moment { asked: 0, failed: 0, latency: Latencies::coarse() };
        let moment = self.series.entry(second).or_insert_with(empty);
        moment.asked += 1;
        moment.failed += u64::from(failed);
        let tally = &mut self.by_template[outcome.template];
        tally.asked += 1;
        tally.failed += u64::from(failed);
        if let Some(cause) = outcome.failure {
            *self.by_cause.entry(cause.to_string()).or_default() += 1;
            if self.failures.len() < self.failures_max {
                let (after, number, request) = (outcome.latency, outcome.number, describe());
                self.failures.push(Failure { at, after, number, request, cause });
            }
            return;
        }
        moment.latency.record(outcome.latency);
        tally.latency.record(outcome.latency);
        if let Some(service) = outcome.service {
            self.service.record(service);
        }
    }

    /// Adds what another worker has seen.
    pub(crate) fn add(&mut self, other: Record) {
        for (mine, theirs) in self.by_template.iter_mut().zip(&other.by_template) {
            mine.asked += theirs.asked;
            mine.failed += theirs.failed;
            mine.latency.merge(&theirs.latency);
        }
        self.service.merge(&other.service);
        for (status, count) in other.by_status {
            *self.by_status.entry(status).or_default() += count;
        }
        for (cause, count) in other.by_cause {
            *self.by_cause.entry(cause).or_default() += count;
        }
        for (second, moment) in other.series {
            let empty = || Moment { asked: 0, failed: 0, latency: Latencies::coarse() };
            let mine = self.series.entry(second).or_insert_with(empty);
            mine.asked += moment.asked;
            mine.failed += moment.failed;
            mine.latency.merge(&moment.latency);
        }
        self.failures.extend(other.failures);
        self.failures.truncate(self.failures_max);
        self.sent += other.sent;
        self.answered += other.answered;
        self.warm_up_asked += other.warm_up_asked;
        self.warm_up_failed += other.warm_up_failed;
        self.late += other.late;
        self.late_most = self.late_most.max(other.late_most);
        self.waited_for_connection += other.waited_for_connection;
        self.connections += other.connections;
        self.reconnects += other.reconnects;
        self.cpu += other.cpu;
        self.last_end = self.last_end.max(other.last_end);
    }
}
