//! One timer for all waits of a connection. It is set again only when it has run off: a request that is answered in time costs
//! nothing.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is used again and again.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready once it is `due`. The task may be woken earlier, for what was due before.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, due: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(due)));
        loop {
            if sleep.deadline() > due {
                sleep.as_mut().reset(due);
            }
            ready!(sleep.as_mut().poll(context));
            if sleep.deadline() == due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, time::Duration};

    #[tokio::test]
    async fn it_rings_for_what_is_due_in_any_order() {
        let mut alarm = Alarm::default();
        let far = Instant::now() + Duration::from_secs(600);
        let waiting = poll_fn(|context| Poll::Ready(alarm.poll(context, far))).await;
        assert_eq!(waiting, Poll::Pending);
        for wait in [5, 1, 5, 0] {
            let due = Instant::now() + Duration::from_millis(wait);
            poll_fn(|context| alarm.poll(context, due)).await;
            assert!(Instant::now() >= due);
        }
    }
}
