//! One lane: takes requests one after the other and sends each on its connection.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::failure::Cause;
use crate::link::{Exchange, Link};
use crate::text::Fill;
use crate::worker::{Job, Parking, Worker};

/// Serves requests until the worker's thread ends.
pub(crate) async fn run(worker: Rc<Worker>, number: usize, mut link: Option<Link>) {
    let parking = Rc::new(Parking::default());
    loop {
        let job = next(&worker, &parking, &mut link).await;
        let mut sent_at = None;
        let deadline = worker.deadline(&job);
        let ended = if Instant::now() >= deadline {
            Err(Cause::NotSent)
        } else {
            let attempt = attempt(&worker, number, &mut link, &job, &mut sent_at);
            let ended = tokio::time::timeout_at(deadline.into(), attempt).await.unwrap_or(Err(Cause::TimedOut));
            if ended.is_err() {
                // An answer that comes after all would be taken for the next request's.
                link = None;
            }
            ended
        };
        let service = sent_at.as_ref().map(Instant::elapsed);
        worker.finish(job, service, ended);
    }
}

/// Waits for a request, and notices meanwhile when the server closes the idle connection.
async fn next(worker: &Rc<Worker>, parking: &Rc<Parking>, link: &mut Option<Link>) -> Job {
    poll_fn(|context| {
        if let Some(open) = link
            && open.poll_closed(context).is_ready()
        {
            *link = None;
            worker.record.borrow_mut().reconnects += 1;
        }
        match worker.poll_job(parking, context) {
            Poll::Ready(job) => Poll::Ready(job),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Sends one request, on a new connection if need be.
async fn attempt(
    worker: &Worker,
    lane: usize,
    link: &mut Option<Link>,
    job: &Job,
    sent_at: &mut Option<Instant>,
) -> Result<u16, Cause> {
    let fill = Fill::new(worker.setup.seed, job.number);
    let request = worker.setup.prepared[job.template].request(fill);
    let mut request = request.ok_or_else(|| Cause::Protocol { why: "HTTP allows no such request".to_owned() })?;
    loop {
        let used = link.is_some();
        let open = match link {
            Some(open) => open,
            None => link.insert(connect(worker, lane).await?),
        };
        if sent_at.replace(Instant::now()).is_none() && job.due >= worker.setup.warm_up {
            worker.live.sent();
        }
        match open.exchange(request).await {
            Exchange::Answered(status) => return Ok(status),
            Exchange::Failed(cause) => return Err(cause),
            Exchange::Unsent(whole) if used => {
                request = *whole;
                *link = None;
                worker.record.borrow_mut().reconnects += 1;
            }
            // A new connection that is closed at once is the server's answer.
            Exchange::Unsent(_) => return Err(Cause::Closed),
        }
    }
}

/// Opens the lane's connection.
pub(crate) async fn connect(worker: &Worker, lane: usize) -> Result<Link, Cause> {
    let (link, opened) = match &worker.shared {
        None => (Link::open(&worker.setup.connector).await?, true),
        Some(shared) => shared.open(&worker.setup.connector, lane).await?,
    };
    worker.record.borrow_mut().connections += u64::from(opened);
    Ok(link)
}

/// Opens `count` connections before the run, a few at a time, and starts a lane on each. Those that can't be opened in
/// time are left for their first request, which then tells why.
pub(crate) async fn open_first(worker: &Rc<Worker>, count: usize, timeout: Duration) {
    const AT_A_TIME: usize = 64;
    let deadline = tokio::time::Instant::now() + timeout;
    for first in (0..count).step_by(AT_A_TIME) {
        let mut opening = tokio::task::JoinSet::new();
        for lane in first..count.min(first + AT_A_TIME) {
            let worker = worker.clone();
            opening.spawn_local(async move {
                tokio::time::timeout_at(deadline, connect(&worker, lane)).await.ok().and_then(Result::ok)
            });
        }
        while let Some(opened) = opening.join_next().await {
            worker.add_lane(opened.ok().flatten());
        }
    }
}
