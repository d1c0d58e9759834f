//! The pacer: releases each request when it's due, whatever became of those before it.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::ticker::Ticker;
use crate::worker::Worker;

/// Requests due within this time are released together, so that the timer costs little: 5,000 wake-ups a second at most.
const TOGETHER: Duration = Duration::from_micros(200);
/// How often the pacer looks for a stop and for queued requests whose time has run out.
const LOOK: Duration = Duration::from_millis(20);

/// Releases requests until none is due any more and all are finished, or the run is aborted.
///
/// # Errors
/// When the kernel has no timer for it (too many open files).
pub(crate) async fn run(worker: &Rc<Worker>, ticker: &mut Ticker) -> io::Result<()> {
    loop {
        if worker.live.is_aborted() {
            return Ok(());
        }
        if worker.live.is_stopped() {
            worker.schedule.borrow_mut().stop();
        }
        let now = worker.elapsed();
        release_due(worker, now);
        worker.sweep();
        let next = worker.schedule.borrow().peek();
        if next.is_none() && worker.outstanding() == 0 {
            return Ok(());
        }
        let delay = next.map_or(LOOK, |at| at.saturating_sub(now)).clamp(TOGETHER, LOOK);
        tokio::select! {
            biased;
            () = worker.nudge.notified() => {}
            ticked = ticker.wait(delay) => ticked?,
        }
    }
}

fn release_due(worker: &Rc<Worker>, now: Duration) {
    loop {
        let due = {
            let mut schedule = worker.schedule.borrow_mut();
            if schedule.peek().is_none_or(|at| at > now) {
                return;
            }
            schedule.pop()
        };
        if let Some(arrival) = due {
            worker.release(arrival, now);
        }
    }
}
