//! How fast a client sends a body that hyper reads for us. Bodies of HTTP/1.1 towards HTTP/1.1 are watched by
//! [`crate::connection`] instead.
//!
//! Invariant: only time in which the client is waited for counts.

use plimsoll_control::route::upload::{self, Policy};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// The pace of one body.
#[derive(Debug)]
pub(crate) struct Pace {
    policy: Policy,
    bytes: u64,
    /// Altogether, before this wait.
    waited: Duration,
    /// The wait that is under way: since when, and until when at most.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Pace {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, bytes: 0, waited: Duration::ZERO, waiting: None }
    }

    /// So many bytes came.
    pub(crate) fn came(&mut self, bytes: u64) {
        self.bytes += bytes;
        if let Some((since, _)) = self.waiting.take() {
            self.waited += since.elapsed();
        }
    }

    /// Nothing is there yet. Ready when it has been waited for too long.
    pub(crate) fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (_, sleep) = self.waiting.get_or_insert_with(|| {
            let since = Instant::now();
            let patience = Duration::from_millis(upload::patience(&self.policy, self.bytes).0);
            (since, Box::pin(sleep_until(since + patience.saturating_sub(self.waited))))
        });
        sleep.as_mut().poll(context)
    }
}
