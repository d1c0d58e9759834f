//! A run that is going on, and the threads that it goes on in.

use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Barrier, oneshot};
use tokio::task::LocalSet;

use crate::arrivals::{Schedule, Share};
use crate::connector::Connector;
use crate::lane;
use crate::link::Shared;
use crate::pacer;
use crate::plan::{Plan, PlanError};
use crate::prepared::Prepared;
use crate::record::Record;
use crate::report::{Frame, Mark, Report};
use crate::target::Protocol;
use crate::ticker::Ticker;
use crate::worker::{Setup, Worker};

/// Counters that are read while the run goes on.
#[derive(Debug, Default)]
pub(crate) struct Live {
    begun: OnceLock<Instant>,
    stopped_at: OnceLock<Instant>,
    aborted: AtomicBool,
    asked: AtomicU64,
    sent: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    finished: AtomicU64,
}

impl Live {
    pub(crate) fn asked(&self) {
        self.asked.fetch_add(1, Relaxed);
    }

    pub(crate) fn sent(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    pub(crate) fn finished(&self, answered: bool, failed: bool) {
        self.answered.fetch_add(u64::from(answered), Relaxed);
        self.failed.fetch_add(u64::from(failed), Relaxed);
        self.finished.fetch_add(1, Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped_at.get().is_some()
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.load(Relaxed)
    }
}

/// How far a run has come. The warm-up's requests are not counted. Each counter is exact, but they are read one after
/// the other, so they may differ from each other by what happened in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Time since the end of the warm-up; `None` before it.
    pub elapsed: Option<Duration>,
    /// Requests that came due.
    pub asked: u64,
    /// Of these, handed to a connection.
    pub sent: u64,
    /// Of these, answered wholly, with whatever status.
    pub answered: u64,
    /// Answered with an expected status in time.
    pub right: u64,
    /// Ended without that.
    pub failed: u64,
}

/// A run that is going on. Dropping it ends the run at once, without a report.
#[derive(Debug)]
pub struct Running {
    live: Arc<Live>,
    marks: Mutex<Vec<Mark>>,
    records: Vec<oneshot::Receiver<io::Result<Record>>>,
    names: Vec<String>,
    seed: u64,
    step: Duration,
    warm_up: Duration,
    duration: Duration,
}

impl Plan {
    /// Starts the run in threads of its own and returns at once. Resolving the target's name may block.
    ///
    /// # Errors
    /// `PlanError`: the plan can't be run as it is (fix it), or the machine gives no thread (retry later).
    pub fn start(&self) -> Result<Running, PlanError> {
        self.check()?;
        let prepared: Vec<Prepared> =
            self.requests.iter().map(|request| Prepared::new(request, &self.target)).collect::<Result<_, _>>()?;
        let names = prepared.iter().map(|prepared| prepared.name.clone()).collect();
        let weights = self.requests.iter().scan(0, |sum, request| {
            *sum += u64::from(request.weight);
            Some(*sum)
        });
        let setup = Arc::new(Setup {
            weights: weights.collect(),
            equal: self.requests.iter().all(|request| request.weight == 1),
            connector: Connector::new(&self.target, self.clients)?,
            prepared,
            seed: self.seed,
            first_number: self.first_number,
            timeout: self.timeout,
            warm_up: self.warm_up,
            in_turn: self.clients > 0,
        });
        allow_files(u64::from(self.connections_max) + 64);
        let live = Arc::new(Live::default());
        // An hour of seconds; longer runs have longer steps, so that the series stays small.
        let step = (self.duration / 3_600).max(Duration::from_secs(1));
        let barrier = Arc::new(Barrier::new(usize::try_from(self.workers).unwrap_or(1)));
        let mut records = Vec::new();
        for index in 0..u64::from(self.workers) {
            let part = Part {
                plan: self.clone(),
                share: Share { index, workers: u64::from(self.workers) },
                setup: setup.clone(),
                live: live.clone(),
                barrier: barrier.clone(),
                step,
            };
            // Made here, so that a worker has nothing left to fail at before the barrier.
            let runtime = Builder::new_current_thread().enable_all().build().map_err(PlanError::Workers)?;
            let (send, receive) = oneshot::channel();
            let body = move || send.send(part.run(&runtime)).unwrap_or(());
            std::thread::Builder::new().name(format!("load-{index}")).spawn(body).map_err(PlanError::Workers)?;
            records.push(receive);
        }
        let (seed, warm_up, duration) = (self.seed, self.warm_up, self.duration);
        Ok(Running { live, marks: Mutex::new(Vec::new()), records, names, seed, step, warm_up, duration })
    }

    /// Runs the plan to its end.
    ///
    /// # Errors
    /// As `start`, and `Workers` when the machine gave a worker no timer.
    pub async fn run(&self) -> Result<Report, PlanError> {
        self.start()?.finish().await
    }
}

impl Running {
    /// How far the run has come.
    pub fn progress(&self) -> Progress {
        let live = &self.live;
        let (failed, finished) = (live.failed.load(Relaxed), live.finished.load(Relaxed));
        Progress {
            elapsed: self.elapsed(),
            asked: live.asked.load(Relaxed),
            sent: live.sent.load(Relaxed),
            answered: live.answered.load(Relaxed),
            right: finished.saturating_sub(failed),
            failed,
        }
    }

    /// Writes `label` into the report with the present moment, and returns that moment (0 during the warm-up).
    pub fn mark(&self, label: impl Into<String>) -> Duration {
        let at = self.elapsed().unwrap_or_default();
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).push(Mark { at, label: label.into() });
        at
    }

    /// Lets no more requests come due; those that have are still waited for. Says nothing if the run is over.
    pub fn stop(&self) {
        self.live.stopped_at.get_or_init(Instant::now);
    }

    /// Waits for the end of the run.
    ///
    /// # Errors
    /// `Workers` when the machine gave a worker no timer (too many open files).
    pub async fn finish(mut self) -> Result<Report, PlanError> {
        let mut all: Option<Record> = None;
        for receive in std::mem::take(&mut self.records) {
            let lost = |_| PlanError::Workers(io::Error::other("a worker's thread died"));
            let record = receive.await.map_err(lost)?.map_err(PlanError::Workers)?;
            match &mut all {
                None => all = Some(record),
                Some(all) => all.add(record),
            }
        }
        let record = all.unwrap_or_else(|| Record::new(self.names.len(), self.step, 0));
        let began = self.live.begun.get().map(|begun| *begun + self.warm_up);
        let stopped = began.zip(self.live.stopped_at.get()).map(|(from, to)| to.saturating_duration_since(from));
        let frame = Frame {
            names: std::mem::take(&mut self.names),
            seed: self.seed,
            step: self.step,
            duration: stopped.map_or(self.duration, |stopped| stopped.min(self.duration)),
            marks: std::mem::take(&mut self.marks.lock().unwrap_or_else(PoisonError::into_inner)),
        };
        Ok(Report::new(record, frame))
    }

    fn elapsed(&self) -> Option<Duration> {
        self.live.begun.get().and_then(|begun| begun.elapsed().checked_sub(self.warm_up))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.live.aborted.store(true, Relaxed);
    }
}

/// What one thread does.
struct Part {
    plan: Plan,
    share: Share,
    setup: Arc<Setup>,
    live: Arc<Live>,
    barrier: Arc<Barrier>,
    step: Duration,
}

impl Part {
    fn run(self, runtime: &Runtime) -> io::Result<Record> {
        let local = LocalSet::new();
        let (plan, share) = (&self.plan, self.share);
        let of = |all: u32| usize::try_from(share.of(u64::from(all))).unwrap_or(usize::MAX);
        let connections = of(plan.connections_max).max(1);
        let lanes = match plan.target.protocol {
            Protocol::Http1 => (connections, None),
            Protocol::Http2 { streams } => {
                let streams = usize::try_from(streams).unwrap_or(usize::MAX);
                (connections.saturating_mul(streams), Some(Shared::new(connections, streams)))
            }
        };
        let schedule = Schedule::new(&plan.arrivals, plan.warm_up, plan.duration, share);
        let record = Record::new(self.setup.prepared.len(), self.step, plan.failures_listed_max);
        let worker = Rc::new(Worker::new(self.setup.clone(), self.live.clone(), schedule, record, lanes));
        let first = of(plan.connections_first.min(plan.connections_max)).min(connections);
        let ended = local.block_on(runtime, async {
            let ticker = Ticker::try_new();
            lane::open_first(&worker, first, plan.timeout).await;
            self.barrier.wait().await;
            worker.begin(*self.live.begun.get_or_init(Instant::now));
            pacer::run(&worker, &mut ticker?).await
        });
        ended?;
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let mut seen = worker.record.replace(Record::new(0, self.step, 0));
        seen.cpu = Duration::try_from(cpu).unwrap_or_default();
        Ok(seen)
    }
}

/// Raises the soft limit of open files to `wanted` where the hard limit allows it. Where it doesn't, connections that
/// can't be opened are failures, and say why.
fn allow_files(wanted: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Some(now) = limit.current
        && now < wanted
    {
        let raised = limit.maximum.map_or(wanted, |most| most.min(wanted));
        // Not being allowed to is no error here: see above.
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }).unwrap_or(());
    }
}
