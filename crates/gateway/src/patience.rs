//! How long a request may take: until its answer begins, and in all.

use crate::upstream::Failure;
use plimsoll_model::route::Limits;
use std::time::Duration;
use tokio::time::{self, Instant};

/// How long to wait for an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Its head has to be there until then, all tries together …
    pub(crate) deadline: Instant,
    /// … but at least so long after the request's body has ended.
    pub(crate) answer: Duration,
    /// All of it has to be there until then, whatever happens. `None`: there is no limit.
    pub(crate) end: Option<Instant>,
}

impl Patience {
    /// With a request whose head was there at that moment.
    pub(crate) fn new(started: std::time::Instant, limits: &Limits) -> Self {
        let started = Instant::from_std(started);
        // One that is too far away to be told is none.
        let end = limits.total.and_then(|total| started.checked_add(total.as_duration()));
        let mut this = Self { deadline: started, answer: limits.response.as_duration(), end };
        this.begin_anew(started);
        this
    }

    /// Waiting for a replica is not waiting for its answer: that begins now.
    pub(crate) fn begin_anew(&mut self, now: Instant) {
        let deadline = now + self.answer;
        self.deadline = self.end.map_or(deadline, |end| end.min(deadline));
    }

    /// The outcome of `work`, if it is there before the end.
    ///
    /// # Errors
    /// [`Failure::Over`].
    pub(crate) async fn until_end<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        match self.end {
            None => Ok(work.await),
            Some(end) => time::timeout_at(end, work).await.map_err(|_| Failure::Over),
        }
    }
}
