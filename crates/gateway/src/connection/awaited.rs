//! Requests whose answer has not begun: while one is waited for, its connection is not idle, however quiet it is. How long that
//! may be is the business of the time-outs for answers.

use super::{TICK, Watch};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// One that is waited for, until it is dropped.
#[derive(Debug)]
pub(crate) struct Awaited(Arc<Watch>);

impl Watch {
    /// The answer to a request is waited for from now on.
    pub(crate) fn awaits_answer(self: &Arc<Self>) -> Awaited {
        self.awaited.store(self.awaited.load(Relaxed) + 1, Relaxed);
        Awaited(Arc::clone(self))
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.awaited.store(self.0.awaited.load(Relaxed).saturating_sub(1), Relaxed);
        self.0.active.store(TICK.get(), Relaxed);
    }
}
