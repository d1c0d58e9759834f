//! Sends a request to a replica, and to another one when that is safe and may help, as `control::route` says: whether it is
//! shed, waits or is tried again is decided there. How a request is carried is an [`Errand`]'s business.
//!
//! Invariant: a replica that was tried is never tried again (a kept connection that its replica had closed is no try).
//! Invariant: a request that may have been acted on is sent again only if its method is idempotent and its body can be sent
//! again.

use crate::{
    belonging::{Belonging, set_cookie},
    choose::{Choice, Tried, choose},
    hold::{Wait, hold},
    live::bump,
    mirror::mirror,
    outgoing::Outgoing,
    patience::Patience,
    problem::Problem,
    table::{Backend, Endpoint},
    upstream::Failure,
    visit::{Flight, Visit},
};
use http::StatusCode;
pub(crate) use plimsoll_control::route::again::{REPEATABLE_MAX, is_idempotent};
use plimsoll_control::route::{Again, Failed, again};
use std::{convert::identity, sync::Arc, time::Instant};
use tokio::time;

/// A request that is to be carried to a replica.
pub(crate) trait Errand: Send {
    /// What comes back.
    type Answer: Send;

    /// Whether it can be sent again after it was sent.
    fn can_repeat(&self) -> bool;

    /// Whether it is still here as a whole.
    fn is_whole(&self) -> bool;

    /// Whether it only reads, and is as a whole in its head.
    fn is_copyable(&self) -> bool;

    /// A copy of it, if it is copyable.
    fn copy(&self) -> Option<Outgoing>;

    fn status(answer: &Self::Answer) -> u16;

    /// One try on one replica. A kept connection that was closed meanwhile is replaced by a new one to the same replica.
    fn attempt(
        &mut self,
        backend: &Backend,
        endpoint: &Endpoint,
        patience: Patience,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;

    /// Waits for something else, as long as the client is there; `None` if it went away.
    fn wait<T: Send>(&mut self, work: impl Future<Output = T> + Send) -> impl Future<Output = Option<T>> + Send;
}

/// An answer, and the request's place in flight.
pub(crate) struct Answered<A> {
    pub(crate) answer: A,
    pub(crate) flight: Flight,
    /// The values of cookies that the client has to be told.
    pub(crate) cookies: [Option<String>; 2],
    /// When the head of the answer was there.
    pub(crate) at: Instant,
}

/// Sends a request to replicas of `backend` until one answers, or nothing more may be tried.
///
/// # Errors
/// What the client is told instead of an answer.
pub(crate) async fn forward<E: Errand>(
    visit: &mut Visit,
    mut backend: Arc<Backend>,
    errand: &mut E,
    belonging: &Belonging,
) -> Result<Answered<E::Answer>, Problem> {
    let connection = Arc::clone(&visit.connection);
    bump(&backend.live.requests[connection.worker].0, 1);
    let _awaited = connection.watch.awaits_answer();
    let mut patience = Patience::new(visit.started, &backend.limits);
    visit.end = patience.end;
    let mut tried = Tried::default();
    let mut sent = 0;
    let mut last: Option<Problem> = None;
    let mut wait = Wait::default();
    let mut now = visit.started;
    loop {
        let place = match choose(&backend, &tried, belonging) {
            Choice::Take(place) => place,
            Choice::Full => return Err(shed(visit, &backend)),
            // Those that were tried are dead or refuse: whoever comes next may serve it.
            Choice::Nobody => {
                wait.due = (sent > 0).then_some(patience.deadline);
                let waiting = held(visit, &backend, (&tried, belonging), errand, (&mut wait, last.as_ref()));
                backend = patience.until_end(waiting).await.map_err(|_| over(&backend))??;
                now = Instant::now();
                if sent == 0 {
                    patience.begin_anew(time::Instant::from_std(now));
                }
                continue;
            }
        };
        let endpoint = &backend.endpoints[place];
        if backend.canary.is_some() && !endpoint.canary && visit.tries == 0 {
            mirror(&connection, &backend, errand);
        }
        tried.add(endpoint.pool);
        visit.tries += 1;
        visit.replica = Some(Arc::clone(&endpoint.live));
        let flight = Flight::begin(&endpoint.live, &backend.live, connection.worker, now);
        let attempted = patience.until_end(errand.attempt(&backend, endpoint, patience)).await.and_then(identity);
        now = Instant::now();
        match attempted {
            Ok(answer) => {
                let failing = flight.head_came(E::status(&answer), now);
                sent += 1;
                if failing && may_try_again(visit, &backend, errand, (&tried, belonging), (Failed::Failing, sent)) {
                    last = Some(thrown_away(E::status(&answer), endpoint));
                    continue;
                }
                let replica = tell_replica(&backend, endpoint, (belonging, connection.secure));
                return Ok(Answered { answer, flight, cookies: [replica, belonging.cookie.clone()], at: now });
            }
            Err(failure) => {
                let problem = problem_of(&failure, endpoint, &backend);
                let failed = failure.failed();
                if failed == Failed::Elsewhere {
                    return Err(problem);
                }
                if flight.failed() >= u32::from(backend.resilience.eject_after) {
                    connection.shared.nudge.notify_one();
                }
                sent += u32::from(failed != Failed::Unsent);
                if !may_try_again(visit, &backend, errand, (&tried, belonging), (failed, sent)) {
                    return Err(problem);
                }
                last = Some(problem);
            }
        }
    }
}

/// Waits for a replica that was not tried. `last`: what went wrong so far.
async fn held<E: Errand>(
    visit: &Visit,
    backend: &Backend,
    (tried, belonging): (&Tried, &Belonging),
    errand: &mut E,
    (wait, last): (&mut Wait, Option<&Problem>),
) -> Result<Arc<Backend>, Problem> {
    let service = visit.route.as_ref().map_or("", |route| route.service.as_str());
    let waiting = Box::pin(errand.wait(hold(&visit.connection.shared, service, backend, (tried, belonging), wait)));
    match waiting.await {
        None => Err(problem_of_client(&Failure::Gone)),
        Some(Ok(backend)) => Ok(backend),
        // One that only could not be connected to may come again as well.
        Some(Err(problem)) => Err(last.filter(|last| last.kind != "refused").cloned().unwrap_or(problem)),
    }
}

/// The cookie for a client that is on another replica than its cookie says, where clients stay on theirs.
fn tell_replica(backend: &Backend, endpoint: &Endpoint, (known, secure): (&Belonging, bool)) -> Option<String> {
    let name = backend.sticky.as_ref()?;
    (known.replica.as_ref() != Some(&endpoint.cookie)).then(|| set_cookie(name, &endpoint.cookie, secure))
}

/// Whether a request that failed in this way, and was sent so often, is tried on another replica.
fn may_try_again<E: Errand>(
    visit: &Visit,
    backend: &Backend,
    errand: &E,
    (tried, belonging): (&Tried, &Belonging),
    (failed, sent): (Failed, u32),
) -> bool {
    let seen = again::Seen {
        failed,
        tried: tried.count(),
        sent,
        repeatable: errand.can_repeat(),
        whole: errand.is_whole(),
        other: failed == Failed::Failing && matches!(choose(backend, tried, belonging), Choice::Take(_)),
    };
    match again(&backend.resilience, &seen) {
        Again::No => false,
        Again::Free => true,
        Again::Allowed => {
            let may = backend.live.take_retry();
            if may {
                visit.count_retry();
            }
            may
        }
    }
}

/// What is told of an answer that was given up for a better one, if none comes.
fn thrown_away(status: u16, endpoint: &Endpoint) -> Problem {
    let detail = format!("{} answered {status}, and no other replica could be asked", endpoint.live.id);
    Problem::new(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), "failing", detail)
}

fn shed(visit: &Visit, backend: &Backend) -> Problem {
    let service = visit.route.as_ref().map_or("", |route| route.service.as_str());
    let most = backend.in_flight_max();
    Problem::shed("overload", format!("`{service}` has {most} requests in flight, as many as it may"))
}

fn problem_of(failure: &Failure, endpoint: &Endpoint, backend: &Backend) -> Problem {
    let replica = &endpoint.live.id;
    let bad = |kind, detail| Problem::new(StatusCode::BAD_GATEWAY, kind, detail);
    match failure {
        Failure::Refused(error) => bad("refused", format!("{replica} can't be connected to: {error}")),
        Failure::Closed => bad("closed", format!("{replica} closed the connection before it answered")),
        Failure::Nonsense(error) => bad("nonsense", format!("{replica} answered what is not HTTP: {error}")),
        Failure::TimedOut => {
            let longest = backend.limits.total.map_or(backend.limits.response, |all| all.min(backend.limits.response));
            let detail = format!("{replica} did not answer within {longest}");
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail)
        }
        Failure::Body => {
            let detail =
                format!("the request's body was not whole, or longer than {} bytes", backend.limits.body_bytes_max);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body", detail).closing()
        }
        Failure::Over => over(backend),
        Failure::Exhausted => Problem::shed("descriptors", "the gateway has no file descriptors left"),
        Failure::Gone | Failure::Slow | Failure::Framing(_) => problem_of_client(failure),
    }
}

/// The time that a request may take in all is over, and nobody is known to be at fault.
fn over(backend: &Backend) -> Problem {
    let total = backend.limits.total.unwrap_or_default();
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "total-timeout", format!("it was not answered within {total} in all"))
}

/// What is told of a request whose client is at fault.
pub(crate) fn problem_of_client(failure: &Failure) -> Problem {
    match failure {
        Failure::Slow => {
            let detail = "the request's body comes too slowly";
            Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", detail).closing()
        }
        Failure::Framing(what) => {
            Problem::bad_request("body", format!("the request's body is not framed right: {what}"))
        }
        // Nobody is there to be told.
        _ => Problem::new(StatusCode::BAD_REQUEST, Problem::GONE, "the client went away").closing(),
    }
}
