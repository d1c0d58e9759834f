//! Waits for a replica when none can take a request: bounded in number and time, and woken by the event, never by polling.

use crate::{
    belonging::Belonging,
    choose::{Choice, Tried, choose},
    live::ServiceLive,
    problem::Problem,
    shared::Shared,
    table::Backend,
};
use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tokio::time;

/// A request that waits.
struct Held<'a>(&'a ServiceLive);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Relaxed);
    }
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
) -> Result<Arc<Backend>, Problem> {
    let live = Arc::clone(&now.live);
    let before = live.held.fetch_add(1, Relaxed);
    let held = Held(&live);
    if before >= now.limits.held_max {
        let detail = format!("no replica of `{service}` is ready, and {before} requests wait for one already");
        return Err(Problem::shed("hold-full", detail));
    }
    let until = time::Instant::now() + now.limits.hold.as_duration();
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
            return Ok(Arc::clone(backend));
        }
        if time::timeout_at(until, ready).await.is_err() {
            let waited = now.limits.hold;
            return Err(Problem::shed("no-replica", format!("no replica of `{service}` became ready within {waited}")));
        }
    }
}
