//! A request on its way to a replica, while its client is there.

use super::{
    body::Framing,
    client::Client,
    link::{self, Link},
    prepare::Wish,
    pump::{Pump, Stuck},
    reply::Reply,
    request,
};
use crate::{
    forward::{Errand, REPEATABLE_MAX},
    outgoing::Outgoing,
    patience::Patience,
    table::{Backend, Endpoint},
    upstream::Failure,
};
use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::Instant,
};

/// A request that is to be carried to a replica, and its body as it comes from the client.
pub(super) struct Delivery<'c, S> {
    pub(super) client: &'c mut Client<S>,
    upload: Pump,
    /// It can be sent again as it is.
    repeatable: bool,
    wish: Wish,
    /// Nothing more of it is to be sent …
    pub(super) is_sent: bool,
    /// … although not all of it came: the replica wanted no more.
    pub(super) is_cut: bool,
    /// The client was not yet told to send the body.
    to_continue: bool,
    /// The connection that the last answer came on, and its pool.
    pub(super) link: Option<(Link, u64)>,
}

impl<'c, S: AsyncRead + AsyncWrite + Unpin + Send> Delivery<'c, S> {
    /// A body that is short and may be sent twice is read now.
    ///
    /// # Errors
    /// The client does not send all of it.
    pub(super) async fn new(
        client: &'c mut Client<S>,
        head: Vec<u8>,
        wish: Wish,
        idempotent: bool,
        bytes_max: u64,
    ) -> Result<Self, Failure> {
        let is_stream = !matches!(wish.framing, Framing::Nothing | Framing::Length(0));
        let upload = Pump::new(head, wish.framing, wish.framing == Framing::Chunked).at_most(bytes_max);
        let mut this = Self {
            client,
            upload,
            repeatable: idempotent && !is_stream && !wish.upgrade,
            wish,
            is_sent: false,
            is_cut: false,
            to_continue: wish.expects_continue && is_stream,
            link: None,
        };
        if is_stream {
            this.client.watch.body_begins();
            if idempotent && matches!(wish.framing, Framing::Length(length) if length <= REPEATABLE_MAX) {
                this.read_whole().await?;
            }
        }
        Ok(this)
    }

    async fn read_whole(&mut self) -> Result<(), Failure> {
        self.ask_for_body().await?;
        let (client, upload) = (&mut *self.client, &mut self.upload);
        let read = poll_fn(|context| {
            if client.watch.is_late() {
                return Poll::Ready(Err(Failure::Slow));
            }
            let polled = upload.poll_collect(context, &mut client.stream, &mut client.buffer);
            client.watch.awaits_body(polled.is_pending(), upload.carried);
            polled.map_err(|stuck| failure_of(&stuck))
        });
        Box::pin(read).await?;
        self.repeatable = true;
        Ok(())
    }

    /// Tells a client that waits for it to send the body.
    async fn ask_for_body(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.to_continue) && self.client.buffer.is_empty() {
            let told = self.client.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
            told.map_err(|_| Failure::Gone)?;
            self.client.stream.flush().await.map_err(|_| Failure::Gone)?;
        }
        Ok(())
    }

    /// Sends on what the client sends. Ready once nothing more is to be sent.
    ///
    /// # Errors
    /// The client is at fault.
    pub(super) fn poll_upload(&mut self, context: &mut Context<'_>, link: &mut Link) -> Poll<Result<(), Failure>> {
        if self.is_sent {
            return Poll::Ready(Ok(()));
        }
        let client = &mut *self.client;
        if client.watch.is_late() {
            return Poll::Ready(Err(Failure::Slow));
        }
        let polled = self.upload.poll(context, &mut client.stream, &mut client.buffer, &mut link.stream);
        client.watch.awaits_body(polled.is_pending() && self.upload.is_waiting(), self.upload.carried);
        match ready!(polled) {
            Ok(()) => self.is_sent = true,
            // It may have answered already, and then closed.
            Err(Stuck::Unwanted) => (self.is_sent, self.is_cut) = (true, true),
            Err(stuck) => return Poll::Ready(Err(failure_of(&stuck))),
        }
        Poll::Ready(Ok(()))
    }

    /// Whether that moment has come; the task is woken when it does.
    pub(super) fn is_over(&mut self, context: &mut Context<'_>, end: Instant) -> bool {
        // The alarm alone would not do: where bytes never end, the runtime lets no timer ring in this task.
        self.client.alarm.poll(context, end).is_ready() || Instant::now() >= end
    }

    /// The body came as a whole, so that what follows is the next request.
    pub(super) fn has_come(&self) -> bool {
        self.upload.has_come()
    }

    async fn exchange(&mut self, link: &mut Link, patience: Patience) -> Result<Reply, Failure> {
        self.ask_for_body().await?;
        let mut due = patience.deadline;
        poll_fn(|context| {
            if let Poll::Ready(Err(failure)) = self.poll_upload(context, link) {
                return Poll::Ready(Err(failure));
            }
            if let Poll::Ready(reply) = link.poll_reply(context, self.wish.to_head) {
                return Poll::Ready(reply);
            }
            if self.is_sent && self.client.poll_gone(context).is_ready() {
                return Poll::Ready(Err(Failure::Gone));
            }
            while self.client.alarm.poll(context, due).is_ready() {
                if self.is_sent {
                    return Poll::Ready(Err(Failure::TimedOut));
                }
                // The client is still sending; whether it stalls is watched elsewhere.
                due = Instant::now() + patience.answer;
            }
            Poll::Pending
        })
        .await
    }

    /// Makes it ready to be sent from its begin. `false`: it can't be.
    fn begin(&mut self) -> bool {
        if !self.repeatable && !self.upload.is_untouched() {
            return false;
        }
        self.upload.rewind();
        (self.is_sent, self.is_cut) = (false, false);
        true
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Errand for Delivery<'_, S> {
    type Answer = Reply;

    fn can_repeat(&self) -> bool {
        self.repeatable
    }

    fn is_whole(&self) -> bool {
        self.repeatable || self.upload.is_untouched()
    }

    fn is_copyable(&self) -> bool {
        self.wish.reads
    }

    fn copy(&self) -> Option<Outgoing> {
        self.is_copyable().then(|| request::outgoing(self.upload.head())).flatten()
    }

    fn status(answer: &Reply) -> u16 {
        answer.status
    }

    async fn attempt(&mut self, backend: &Backend, endpoint: &Endpoint, patience: Patience) -> Result<Reply, Failure> {
        self.link = None;
        let mut kept = match (self.wish.upgrade, self.repeatable) {
            (true, _) => None,
            (false, true) => link::take(endpoint.pool),
            // What must not be sent twice is not sent to one that has just closed.
            (false, false) => link::take_quiet(endpoint.pool),
        };
        loop {
            let is_kept = kept.is_some();
            if !self.begin() {
                return Err(Failure::Closed);
            }
            let mut link = match kept.take() {
                Some(link) => link,
                None => Box::pin(Link::connect(endpoint, backend.limits.connect.as_duration())).await?,
            };
            match self.exchange(&mut link, patience).await {
                Ok(reply) if reply.status == 101 && !self.wish.upgrade => {
                    return Err(Failure::Nonsense("it switches to a protocol that nobody asked for".into()));
                }
                Ok(reply) => {
                    self.link = Some((link, endpoint.pool));
                    return Ok(reply);
                }
                // A kept connection that the replica had closed meanwhile is no try.
                Err(Failure::Closed) if is_kept && self.is_whole() => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn wait<T: Send>(&mut self, work: impl Future<Output = T> + Send) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(outcome) = work.as_mut().poll(context) {
                return Poll::Ready(Some(outcome));
            }
            self.client.poll_gone(context).map(|()| None)
        })
        .await
    }
}

/// What a body that got stuck on its way from the client comes to.
fn failure_of(stuck: &Stuck) -> Failure {
    match stuck {
        Stuck::Malformed(malformed) => Failure::Framing(malformed.0),
        Stuck::TooLong => Failure::Body,
        Stuck::Cut | Stuck::Unwanted | Stuck::Late => Failure::Gone,
    }
}
