//! One request of a client, from its head to the end of the answer.

use super::{
    body::Framing,
    client::{Client, More},
    date,
    delivery::Delivery,
    field,
    link::{self, Link},
    prepare::{Prepared, Refused, Wish},
    pump::{Pump, Stuck},
    reply::Reply,
    tunnel::tunnel,
};
use crate::{
    forward::{Answered, forward, problem_of_client},
    problem::Problem,
    visit::Visit,
};
use std::{future::poll_fn, task::Poll, time::Instant};
use tokio::io::{AsyncRead, AsyncWrite};

/// So much of a request's body that nobody wants is read, so that the connection can go on.
const UNWANTED_MAX: u64 = 64 * 1024;

/// How a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// With the next request.
    Next,
    /// It ends.
    End,
    /// It ends, and the client may be sending still.
    Linger,
}

/// Serves a request.
pub(super) async fn serve<S>(client: &mut Client<S>, prepared: Prepared) -> After
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let Prepared { mut visit, backend, head, wish, belonging, told, idempotent } = prepared;
    let bytes_max = backend.limits.body_bytes_max;
    let mut delivery = match Delivery::new(client, head, wish, idempotent, bytes_max).await {
        Ok(delivery) => delivery,
        Err(failure) => {
            let problem = problem_of_client(&failure);
            return refuse(client, Refused { visit, problem, told, wish }, true).await;
        }
    };
    match forward(&mut visit, backend, &mut delivery, &belonging).await {
        Ok(answered) if answered.answer.status == 101 => tunnel(delivery, visit, answered, &told).await,
        Ok(answered) => answer(delivery, visit, answered, &Terms { wish, told }).await,
        Err(problem) => {
            let unread = !delivery.has_come();
            refuse(client, Refused { visit, problem, told, wish }, unread).await
        }
    }
}

/// What holds for an answer beside what the replica says.
struct Terms {
    wish: Wish,
    told: Vec<u8>,
}

/// Passes an answer on.
async fn answer<S>(
    mut delivery: Delivery<'_, S>,
    mut visit: Box<Visit>,
    answered: Answered<Reply>,
    terms: &Terms,
) -> After
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let Answered { mut answer, flight, cookies, at } = answered;
    let Some((mut link, pool)) = delivery.link.take() else { return After::End };
    visit.status = answer.status;
    let wish = terms.wish;
    let chunked = !wish.is_old && matches!(answer.framing, Framing::Chunked | Framing::UntilClose);
    let endless = wish.is_old && matches!(answer.framing, Framing::Chunked | Framing::UntilClose);
    let keep = wish.keep_alive && !endless && !delivery.is_cut && visit.connection.goes_on();
    for cookie in cookies.iter().flatten() {
        field::write(&mut answer.head, "set-cookie", cookie.as_bytes());
    }
    finish_head(&mut answer, &visit, at, &terms.told);
    if !keep {
        field::write(&mut answer.head, "connection", b"close");
    } else if wish.is_old {
        field::write(&mut answer.head, "connection", b"keep-alive");
    }
    write_framing(&mut answer, chunked);
    let framing = answer.framing;
    let mut download = Pump::new(answer.head, framing, chunked).with_trailers(wish.trailers);
    let mut waited = false;
    let result = poll_fn(|context| {
        let polled = poll_answer(context, &mut delivery, &mut link, &mut download);
        waited |= polled.is_pending();
        if polled.is_pending() && visit.end.is_some_and(|end| delivery.is_over(context, end)) {
            return Poll::Ready(Err(Stuck::Late));
        }
        polled
    })
    .await;
    let now = if waited { Instant::now() } else { at };
    visit.sent = download.carried;
    visit.ended = Some(now);
    match result {
        Ok(()) => {
            flight.ended(now);
            visit.complete = true;
            let whole = delivery.is_sent && !delivery.is_cut;
            if answer.reusable && whole {
                link::put(pool, link);
            }
            match (keep, delivery.has_come()) {
                (true, true) => After::Next,
                (_, false) => After::Linger,
                (false, true) => After::End,
            }
        }
        Err(Stuck::Cut | Stuck::Malformed(_)) => {
            // The client must not take what it has for the whole.
            flight.failed();
            visit.reason = Some("truncated");
            if endless {
                // The end of the connection is the end of such a body, unless it is a reset.
                visit.connection.watch.reset_at_end();
            }
            After::End
        }
        Err(Stuck::Late) => {
            // Who is to blame for that is not known: it may be the client that reads slowly.
            visit.reason = Some("total-timeout");
            visit.connection.watch.reset_at_end();
            After::End
        }
        Err(Stuck::TooLong | Stuck::Unwanted) => After::End,
    }
}

/// Sends on both ways. Ready once the answer is out.
fn poll_answer<S>(
    context: &mut std::task::Context<'_>,
    delivery: &mut Delivery<'_, S>,
    link: &mut Link,
    download: &mut Pump,
) -> Poll<Result<(), Stuck>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    if let Poll::Ready(Err(_)) = delivery.poll_upload(context, link) {
        // An answer has begun: nothing else can be told any more.
        return Poll::Ready(Err(Stuck::Unwanted));
    }
    let polled = download.poll(context, &mut link.stream, &mut link.buffer, &mut delivery.client.stream);
    if polled.is_pending() && delivery.is_sent && delivery.client.poll_gone(context).is_ready() {
        return Poll::Ready(Err(Stuck::Unwanted));
    }
    polled
}

/// Lines that the gateway adds to each answer.
pub(super) fn finish_head(answer: &mut Reply, visit: &Visit, at: Instant, told: &[u8]) {
    if !answer.has_date {
        date::write(&mut answer.head, second(visit, at));
    }
    field::write(&mut answer.head, "x-request-id", visit.request_id.as_bytes());
    answer.head.extend_from_slice(told);
}

/// How the body goes on, and the end of the head.
fn write_framing(answer: &mut Reply, chunked: bool) {
    match (answer.framing, answer.length_told) {
        (Framing::Length(length), _) | (Framing::Nothing, Some(length)) => {
            field::write_number(&mut answer.head, "content-length", length);
        }
        _ if chunked => field::write(&mut answer.head, "transfer-encoding", b"chunked"),
        _ => {}
    }
    answer.head.extend_from_slice(b"\r\n");
}

/// That moment, in seconds since 1970.
fn second(visit: &Visit, at: Instant) -> u64 {
    visit.connection.shared.instant(at).0 / 1_000_000
}

/// Tells a client why its request is not served. `unread`: its body did not come as a whole.
pub(super) async fn refuse<S>(client: &mut Client<S>, refused: Refused, unread: bool) -> After
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let Refused { mut visit, problem, told, wish } = refused;
    visit.reason = Some(problem.kind);
    if problem.kind == Problem::GONE {
        return After::End;
    }
    visit.status = problem.status.as_u16();
    if problem.shed {
        visit.count_shed();
    }
    let unwanted = match wish.framing {
        Framing::Length(length) if unread => length,
        Framing::Chunked if unread => u64::MAX,
        _ => 0,
    };
    let goes_on = !problem.close
        && wish.keep_alive
        && (unwanted == 0 || (unwanted <= UNWANTED_MAX && !wish.expects_continue && visit.tries == 0))
        && visit.connection.goes_on();
    let now = Instant::now();
    let second = second(&visit, now);
    let instance = visit.request_id.to_str().unwrap_or("-").to_owned();
    let more = More { fields: &told, to_head: wish.to_head, close: !goes_on, second };
    match client.tell(&problem, &instance, &more).await {
        Ok(sent) => (visit.sent, visit.complete) = (sent, true),
        Err(_) => return After::End,
    }
    visit.ended = Some(now);
    match () {
        () if goes_on && unwanted > 0 => skip(client, wish.framing).await,
        () if goes_on => After::Next,
        () => After::Linger,
    }
}

/// Reads a body that nobody wants.
async fn skip<S: AsyncRead + Unpin>(client: &mut Client<S>, framing: Framing) -> After {
    client.watch.body_begins();
    let mut body = Pump::new(Vec::new(), framing, false);
    let mut nobody = tokio::io::sink();
    let read = poll_fn(|context| {
        if client.watch.is_late() {
            return Poll::Ready(Err(Stuck::Cut));
        }
        let polled = body.poll(context, &mut client.stream, &mut client.buffer, &mut nobody);
        client.watch.awaits_body(polled.is_pending(), body.carried);
        polled
    });
    if Box::pin(read).await.is_ok() { After::Next } else { After::End }
}
