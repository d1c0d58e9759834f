//! Waits for a replica when none can take a request, as [`control::route::hold`](plimsoll_control::route::hold()) says, and is
//! woken by the event, never by polling.

use crate::{
    belonging::Belonging,
    choose::{Choice, Tried, choose},
    live::ServiceLive,
    problem::Problem,
    shared::Shared,
    table::Backend,
};
use plimsoll_control::route::{self, Hold};
use plimsoll_model::Millis;
use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::time::{self, Instant};

/// A request that waits.
struct Held<'a>(&'a ServiceLive);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Relaxed);
    }
}

/// How long a request has waited for replicas, and for how much longer it may.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wait {
    /// Altogether, so far.
    pub(crate) waited: Duration,
    /// When its answer is due, if a replica had it already.
    pub(crate) due: Option<Instant>,
}

/// The service as it is once one of its replicas that was not tried can take the request.
///
/// # Errors
/// Too many wait already, nobody came in time, or the service is no longer in the table: 503 with Retry-After.
pub(crate) async fn hold(
    shared: &Shared,
    service: &str,
    now: &Backend,
    (tried, belonging): (&Tried, &Belonging),
    wait: &mut Wait,
) -> Result<Arc<Backend>, Problem> {
    let live = Arc::clone(&now.live);
    let before = live.held.fetch_add(1, Relaxed);
    let held = Held(&live);
    let begun = Instant::now();
    let until = match route::hold(&now.limits, &wait.seen(before, begun)) {
        Hold::For(most) => begun + most.as_duration(),
        Hold::Full => {
            let detail = format!("no replica of `{service}` is ready, and {before} requests wait for one already");
            return Err(Problem::shed("hold-full", detail));
        }
        Hold::Over => return Err(nobody(service, now)),
    };
    loop {
        // Made before looking, so that nothing that happens in between is missed.
        let mut ready = pin!(live.ready.notified());
        ready.as_mut().enable();
        let table = shared.table.load_full();
        let Some(backend) = table.services.get(service) else {
            return Err(Problem::shed("no-service", format!("`{service}` is not served any more")));
        };
        if choose(backend, tried, belonging) != Choice::Nobody {
            drop(held);
            wait.waited += begun.elapsed();
            return Ok(Arc::clone(backend));
        }
        if time::timeout_at(until, ready).await.is_err() {
            return Err(nobody(service, now));
        }
    }
}

fn nobody(service: &str, now: &Backend) -> Problem {
    Problem::shed("no-replica", format!("no replica of `{service}` became ready within {}", now.limits.hold))
}

impl Wait {
    fn seen(&self, held: u32, now: Instant) -> route::hold::Seen {
        let left = self.due.map(|due| millis(due.saturating_duration_since(now)));
        route::hold::Seen { held, waited: millis(self.waited), left }
    }
}

fn millis(time: Duration) -> Millis {
    Millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
