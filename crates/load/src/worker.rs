//! One worker: a thread's share of the run. Requests that are due queue here, and lanes take them.
//!
//! Invariant: every request that was released is finished exactly once, at the latest `timeout` after its intended start
//! (plus whatever the machine is late).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::arrivals::{Arrival, Schedule};
use crate::connector::Connector;
use crate::draw::Draw;
use crate::failure::Cause;
use crate::lane;
use crate::link::{Link, Shared};
use crate::prepared::Prepared;
use crate::record::{Outcome, Record};
use crate::report::LATE_AFTER;
use crate::running::Live;
use crate::text::Fill;

/// What is the same for all workers of a run.
pub(crate) struct Setup {
    pub(crate) prepared: Vec<Prepared>,
    /// For each template, the sum of the weights up to and including it.
    pub(crate) weights: Vec<u64>,
    /// All weights are 1.
    pub(crate) equal: bool,
    pub(crate) connector: Connector,
    pub(crate) seed: u64,
    pub(crate) first_number: u64,
    pub(crate) timeout: Duration,
    pub(crate) warm_up: Duration,
    /// Use connections in turn.
    pub(crate) in_turn: bool,
}

/// A released request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub(crate) number: u64,
    pub(crate) template: usize,
    /// Its intended start, from the beginning of the run.
    pub(crate) due: Duration,
}

/// Where an idle lane waits.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    parked: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// One worker's state; lives on one thread.
pub(crate) struct Worker {
    pub(crate) setup: Arc<Setup>,
    pub(crate) live: Arc<Live>,
    /// HTTP/2 connections; `None` for HTTP/1.1.
    pub(crate) shared: Option<Shared>,
    pub(crate) schedule: RefCell<Schedule>,
    pub(crate) record: RefCell<Record>,
    /// Tells the pacer that something is due sooner, or that nothing is left.
    pub(crate) nudge: Notify,
    begun: Cell<Instant>,
    queue: RefCell<VecDeque<Job>>,
    idle: RefCell<VecDeque<Rc<Parking>>>,
    lanes: Cell<usize>,
    lanes_max: usize,
    outstanding: Cell<u64>,
}

impl Worker {
    pub(crate) fn new(
        setup: Arc<Setup>,
        live: Arc<Live>,
        schedule: Schedule,
        record: Record,
        lanes: (usize, Option<Shared>),
    ) -> Worker {
        Worker {
            setup,
            live,
            shared: lanes.1,
            schedule: RefCell::new(schedule),
            record: RefCell::new(record),
            nudge: Notify::new(),
            begun: Cell::new(Instant::now()),
            queue: RefCell::new(VecDeque::new()),
            idle: RefCell::new(VecDeque::new()),
            lanes: Cell::new(0),
            lanes_max: lanes.0,
            outstanding: Cell::new(0),
        }
    }

    /// The run begins now.
    pub(crate) fn begin(&self, at: Instant) {
        self.begun.set(at);
    }

    /// How long the run has been going on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.get().elapsed()
    }

    /// The instant when `job` is given up.
    pub(crate) fn deadline(&self, job: &Job) -> Instant {
        self.begun.get() + job.due + self.setup.timeout
    }

    /// How many released requests are not finished.
    pub(crate) fn outstanding(&self) -> u64 {
        self.outstanding.get()
    }

    /// Starts a lane, with a connection if there already is one.
    pub(crate) fn add_lane(self: &Rc<Self>, link: Option<Link>) {
        let number = self.lanes.get();
        self.lanes.set(number + 1);
        tokio::task::spawn_local(lane::run(self.clone(), number, link));
    }

    /// Releases a request that is due.
    pub(crate) fn release(self: &Rc<Self>, arrival: Arrival, now: Duration) {
        let late = now.saturating_sub(arrival.at);
        if late > LATE_AFTER {
            let mut record = self.record.borrow_mut();
            record.late += 1;
            record.late_most = record.late_most.max(late);
        }
        let number = self.setup.first_number.wrapping_add(arrival.number);
        let job = Job { number, template: self.choose(number), due: arrival.at };
        self.outstanding.set(self.outstanding.get() + 1);
        if arrival.at >= self.setup.warm_up {
            self.live.asked();
        }
        self.queue.borrow_mut().push_back(job);
        let mut idle = self.idle.borrow_mut();
        // The one used last is warm; but if clients are told apart, each gets its turn.
        let parked = if self.setup.in_turn { idle.pop_front() } else { idle.pop_back() };
        drop(idle);
        if let Some(parking) = parked {
            parking.parked.set(false);
            parking.waker.borrow_mut().take().inspect(Waker::wake_by_ref);
        } else if self.lanes.get() < self.lanes_max {
            self.add_lane(None);
        } else {
            self.record.borrow_mut().waited_for_connection += 1;
        }
    }

    /// Gives a lane its next request, or parks it.
    pub(crate) fn poll_job(&self, parking: &Rc<Parking>, context: &mut Context<'_>) -> Poll<Job> {
        if let Some(job) = self.queue.borrow_mut().pop_front() {
            // Woken by its connection's end, and not for this job: who is busy is not to be woken for the next one.
            if parking.parked.replace(false) {
                self.idle.borrow_mut().retain(|one| !Rc::ptr_eq(one, parking));
            }
            return Poll::Ready(job);
        }
        let mut waker = parking.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        if !parking.parked.replace(true) {
            self.idle.borrow_mut().push_back(parking.clone());
        }
        Poll::Pending
    }

    /// Gives up queued requests whose time has run out while every lane was busy.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        loop {
            let expired = self.queue.borrow().front().copied().filter(|job| self.deadline(job) <= now);
            let Some(job) = expired else { return };
            self.queue.borrow_mut().pop_front();
            self.finish(job, None, Err(Cause::NotSent));
        }
    }

    /// Writes down how a request ended: the status that came in time, or why none did.
    pub(crate) fn finish(&self, job: Job, service: Option<Duration>, ended: Result<u16, Cause>) {
        let now = self.elapsed();
        let prepared = &self.setup.prepared[job.template];
        let status = ended.as_ref().ok().copied();
        let failure = match ended {
            Ok(status) if prepared.expect.has(status) => None,
            Ok(status) => Some(Cause::Status { status }),
            Err(cause) => Some(cause),
        };
        let at = job.due.checked_sub(self.setup.warm_up);
        if at.is_some() {
            self.live.finished(status.is_some(), failure.is_some());
        }
        let latency = now.saturating_sub(job.due);
        let outcome = Outcome { number: job.number, template: job.template, at, latency, service, status, failure };
        self.record.borrow_mut().finish(outcome, || {
            format!("{} {}", prepared.method, prepared.path(Fill::new(self.setup.seed, job.number)))
        });
        self.outstanding.set(self.outstanding.get() - 1);
        let mut schedule = self.schedule.borrow_mut();
        if schedule.is_closed() {
            schedule.returned(now);
            self.nudge.notify_one();
        } else if self.outstanding.get() == 0 {
            self.nudge.notify_one();
        }
    }

    /// In turn where all weights are 1, so that as many numbers as there are templates have each of them once; else by
    /// weight, drawn.
    fn choose(&self, number: u64) -> usize {
        match self.setup.weights.as_slice() {
            [] | [_] => 0,
            weights if self.setup.equal => usize::try_from(number % weights.len() as u64).unwrap_or(0),
            weights => {
                let total = weights.last().copied().unwrap_or(1);
                let drawn = Draw::of_request(self.setup.seed ^ 0x57EA_D7E5, number).below(total);
                weights.partition_point(|sum| *sum <= drawn)
            }
        }
    }
}
