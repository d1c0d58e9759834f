//! A client's connection as the worker watches it: what it waits for and since when, so that one sweep a quarter of a second
//! closes those that are too slow or idle for too long, without a timer for each.
//!
//! Invariant: whatever happens to a connection, it is counted open until its socket is closed.

mod awaited;

use crate::{settings::Settings, shared::Shared, worker};
use futures_util::task::AtomicWaker;
use http::HeaderValue;
use plimsoll_control::route::{
    room::{self, Awaits, Waiting},
    upload,
};
use plimsoll_model::Millis;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::poll_fn,
    io,
    net::IpAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The length of a tick: how often a worker sweeps.
pub(crate) const TICK_MS: u64 = 250;
/// How long a connection may stay open without a request.
const IDLE_TICKS: u32 = 75 * 4;
/// Whoever is told that it is too slow is closed at the latest so much later.
const LATE_TICKS: u32 = 2 * 4;

thread_local! {
    static TICK: Cell<u32> = const { Cell::new(0) };
    static OPEN: RefCell<BTreeMap<u64, Arc<Watch>>> = const { RefCell::new(BTreeMap::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
    /// The tick at which room was sought in vain: it is not sought again in the same one.
    static FULL_AT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// What every request on a connection needs to know of it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: usize,
    pub(crate) listener: Arc<str>,
    pub(crate) peer: IpAddr,
    /// The same as a header's value.
    pub(crate) peer_value: HeaderValue,
    /// Over TLS.
    pub(crate) secure: bool,
    pub(crate) watch: Arc<Watch>,
}

impl Connection {
    /// Another request may follow the one that is being served. If not, the client is told so with the answer.
    pub(crate) fn goes_on(&self) -> bool {
        self.watch.verdict() == Verdict::Go && !self.shared.draining.load(Relaxed)
    }
}

/// What a sweep asks of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Go,
    /// Finish what is in flight, then close.
    Finish,
    /// Close now.
    Close,
}

/// The state of a connection that the sweep looks at. Written by one worker only.
#[derive(Debug)]
pub(crate) struct Watch {
    number: u64,
    listener: Arc<str>,
    /// Requests that are not answered to the end.
    busy: AtomicU32,
    /// Those of them whose answer has not begun: that is waited for, however quiet it is.
    awaited: AtomicU32,
    /// A head has begun and is not complete.
    in_head: AtomicBool,
    /// More than one request at a time: bytes between requests are not the head of one.
    multiplexed: AtomicBool,
    /// The tick at which the head began.
    head_since: AtomicU32,
    /// Ticks that a head may take.
    head_ticks: u32,
    /// The tick of the last byte.
    active: AtomicU32,
    /// Ticks without a byte after which a busy connection is given up.
    idle_ticks: AtomicU32,
    verdict: AtomicU8,
    waker: AtomicWaker,
    /// The end of an answer without a length must not look like its right end: reset instead of closing.
    reset: AtomicBool,
    /// Whoever serves it tells a client that is too slow so, and closes.
    orderly: AtomicBool,
    /// The client is too slow.
    late: AtomicBool,
    /// The client is waited for, in the midst of a body.
    awaits_body: AtomicBool,
    /// For how many ticks that was so with this body, and how many bytes of it came.
    waited: AtomicU32,
    body_bytes: AtomicU64,
}

impl Watch {
    /// Begins to watch a connection of this worker, on which a head may take so long. It is forgotten when its [`Watched`] is
    /// dropped.
    pub(crate) fn begin(listener: Arc<str>, head_timeout: Duration) -> Arc<Self> {
        let number = NEXT.with(|next| {
            next.set(next.get() + 1);
            next.get()
        });
        let now = TICK.get();
        let watch = Arc::new(Self {
            number,
            listener,
            busy: AtomicU32::new(0),
            awaited: AtomicU32::new(0),
            in_head: AtomicBool::new(true),
            multiplexed: AtomicBool::new(false),
            head_since: AtomicU32::new(now),
            head_ticks: u32::try_from(head_timeout.as_millis() / u128::from(TICK_MS)).unwrap_or(u32::MAX),
            active: AtomicU32::new(now),
            idle_ticks: AtomicU32::new(IDLE_TICKS),
            verdict: AtomicU8::new(0),
            waker: AtomicWaker::new(),
            reset: AtomicBool::new(false),
            orderly: AtomicBool::new(false),
            late: AtomicBool::new(false),
            awaits_body: AtomicBool::new(false),
            waited: AtomicU32::new(0),
            body_bytes: AtomicU64::new(0),
        });
        OPEN.with_borrow_mut(|open| open.insert(number, Arc::clone(&watch)));
        watch
    }

    pub(crate) fn set_multiplexed(&self) {
        self.multiplexed.store(true, Relaxed);
    }

    /// From now on [`Watch::is_late`] is looked at.
    pub(crate) fn set_orderly(&self) {
        self.orderly.store(true, Relaxed);
    }

    /// The client takes too long to send the head, or the body, of a request.
    pub(crate) fn is_late(&self) -> bool {
        self.late.load(Relaxed)
    }

    /// Bytes behind a request are the begin of the next head.
    pub(crate) fn head_begins(&self) {
        self.in_head.store(true, Relaxed);
        self.head_since.store(TICK.get(), Relaxed);
    }

    /// The body of a request begins.
    pub(crate) fn body_begins(&self) {
        self.waited.store(0, Relaxed);
        self.body_bytes.store(0, Relaxed);
    }

    /// Whether the client is waited for in the midst of a body, of which so many bytes came.
    pub(crate) fn awaits_body(&self, awaits: bool, bytes: u64) {
        self.awaits_body.store(awaits, Relaxed);
        self.body_bytes.store(bytes, Relaxed);
    }

    /// The head of a request is complete.
    pub(crate) fn request_begins(&self) {
        self.in_head.store(false, Relaxed);
        self.late.store(false, Relaxed);
        self.busy.store(self.busy.load(Relaxed) + 1, Relaxed);
    }

    /// A request was answered, or given up.
    pub(crate) fn request_ends(&self) {
        self.busy.store(self.busy.load(Relaxed).saturating_sub(1), Relaxed);
        self.active.store(TICK.get(), Relaxed);
    }

    /// How long nothing may happen on it while a request is in flight.
    pub(crate) fn allow_idle(&self, ms: u64) {
        self.idle_ticks.store(u32::try_from(ms / TICK_MS).unwrap_or(u32::MAX).max(1), Relaxed);
    }

    pub(crate) fn reset_at_end(&self) {
        self.reset.store(true, Relaxed);
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match self.verdict.load(Relaxed) {
            0 => Verdict::Go,
            1 => Verdict::Finish,
            _ => Verdict::Close,
        }
    }

    /// Has `context`'s task woken when a verdict is given.
    pub(crate) fn wake_on_verdict(&self, context: &Context<'_>) {
        self.waker.register(context.waker());
    }

    fn give(&self, verdict: u8) {
        if self.verdict.fetch_max(verdict, Relaxed) < verdict {
            self.waker.wake();
        }
    }

    fn note_read(&self) {
        let now = TICK.get();
        self.active.store(now, Relaxed);
        if self.busy.load(Relaxed) == 0 && !self.in_head.load(Relaxed) && !self.multiplexed.load(Relaxed) {
            self.in_head.store(true, Relaxed);
            self.head_since.store(now, Relaxed);
        }
    }

    /// The outcome of `work`; `None` if the connection shall be closed before there is one.
    pub(crate) async fn unless_closed<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut registered = false;
        poll_fn(|context| {
            if !registered {
                // A task's waker stays the same for its whole life.
                self.wake_on_verdict(context);
                registered = true;
            }
            if self.verdict() == Verdict::Close {
                return Poll::Ready(None);
            }
            work.as_mut().poll(context).map(Some)
        })
        .await
    }

    /// What it waits for and for how long, if no request is in flight on it.
    fn waiting(self: &Arc<Self>, now: u32) -> Option<Waiting<Arc<Self>>> {
        if self.busy.load(Relaxed) > 0 || self.multiplexed.load(Relaxed) || self.verdict() != Verdict::Go {
            return None;
        }
        let (awaits, since) = if self.in_head.load(Relaxed) {
            (Awaits::Head, self.head_since.load(Relaxed))
        } else {
            (Awaits::Request, self.active.load(Relaxed))
        };
        // The tick in which it began to wait is not over for all that is known, or was over at once.
        let waited = Millis(u64::from(now.wrapping_sub(since).saturating_sub(1)) * TICK_MS);
        Some(Waiting { who: Arc::clone(self), awaits, waited })
    }

    fn tell_late(&self) {
        if !self.late.swap(true, Relaxed) {
            self.waker.wake();
        }
    }

    fn sweep(&self, now: u32, body: &upload::Policy) {
        let since = |tick: &AtomicU32| now.wrapping_sub(tick.load(Relaxed));
        if self.busy.load(Relaxed) > 0 {
            if self.awaits_body.load(Relaxed) {
                let ticks = self.waited.load(Relaxed).saturating_add(1);
                self.waited.store(ticks, Relaxed);
                let waited = Millis(u64::from(ticks) * TICK_MS);
                if upload::is_too_slow(body, &upload::Seen { waited, bytes: self.body_bytes.load(Relaxed) }) {
                    self.tell_late();
                }
            }
            if since(&self.active) > self.idle_ticks.load(Relaxed) && self.awaited.load(Relaxed) == 0 {
                self.give(2);
            }
        } else if self.in_head.load(Relaxed) {
            if since(&self.head_since) > self.head_ticks {
                self.tell_late();
                if !self.orderly.load(Relaxed) || since(&self.head_since) > self.head_ticks.saturating_add(LATE_TICKS) {
                    self.give(2);
                }
            }
        } else if since(&self.active) > IDLE_TICKS {
            // One tick is enough to close politely; whoever does not leave then is put out.
            self.give(if since(&self.active) > IDLE_TICKS + 8 { 2 } else { 1 });
        }
    }
}

/// The ticks of this worker so far.
pub(crate) fn tick() -> u32 {
    TICK.get()
}

/// One tick: looks at all connections of this worker.
pub(crate) fn sweep(settings: &Settings) {
    let now = TICK.get().wrapping_add(1);
    TICK.set(now);
    let body = settings.upload();
    OPEN.with_borrow(|open| open.values().for_each(|watch| watch.sweep(now, &body)));
}

/// Has connections of this worker that only wait leave, as [`room`] says; how many do.
///
/// They are closed once their tasks have run, a moment later.
pub(crate) fn make_room() -> usize {
    let now = TICK.get();
    if FULL_AT.get() == Some(now) {
        return 0;
    }
    let waiting = OPEN.with_borrow(|open| open.values().filter_map(|watch| watch.waiting(now)).collect());
    let leave = room::who_leaves(&room::Policy::default(), waiting);
    for one in &leave {
        one.who.give(2);
    }
    if leave.is_empty() {
        FULL_AT.set(Some(now));
    }
    leave.len()
}

/// Asks the connections of a listener, or of all, to finish.
pub(crate) fn finish(listener: Option<&str>) {
    OPEN.with_borrow(|open| {
        open.values()
            .filter(|watch| listener.is_none_or(|name| *watch.listener == *name))
            .for_each(|watch| watch.give(1));
    });
}

/// Asks the connections that carry several requests at once to finish: their protocol tells the client (GOAWAY), so that
/// no request meets a closed connection.
pub(crate) fn go_away() {
    OPEN.with_borrow(|open| {
        open.values().filter(|watch| watch.multiplexed.load(Relaxed)).for_each(|watch| watch.give(1));
    });
}

/// Counts a connection open, and has it watched, until it is dropped.
#[derive(Debug)]
pub(crate) struct Presence {
    watch: Arc<Watch>,
    open: worker::Open,
}

impl Presence {
    pub(crate) fn new(watch: Arc<Watch>, open: worker::Open) -> Self {
        Self { watch, open }
    }

    /// The connection that is present.
    pub(crate) fn over<S: MayReset>(self, inner: S) -> Watched<S> {
        Watched { inner, presence: self }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let number = self.watch.number;
        // The worker's thread may be ending already.
        let _ = OPEN.try_with(|open| open.borrow_mut().remove(&number));
        self.open.close();
    }
}

/// A socket, or TLS over one, whose bytes are noticed.
#[derive(Debug)]
pub(crate) struct Watched<S: MayReset> {
    inner: S,
    presence: Presence,
}

impl<S: MayReset> Drop for Watched<S> {
    fn drop(&mut self) {
        if self.presence.watch.reset.load(Relaxed) {
            self.inner.reset_on_close();
        }
    }
}

impl<S: AsyncRead + Unpin + MayReset> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        if polled.is_ready() && buffer.filled().len() > before {
            self.presence.watch.note_read();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin + MayReset> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(context, bytes);
        if polled.is_ready() {
            self.presence.watch.active.store(TICK.get(), Relaxed);
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        if polled.is_ready() {
            self.presence.watch.active.store(TICK.get(), Relaxed);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.presence.watch.reset.load(Relaxed) {
            self.inner.reset_on_close();
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// A socket that can be told to end with a reset.
pub(crate) trait MayReset {
    /// From now on closing it resets the connection.
    fn reset_on_close(&self);
}

impl MayReset for tokio::net::TcpStream {
    fn reset_on_close(&self) {
        // If that fails the connection is closed politely, which is all that can be done.
        let _ = rustix::net::sockopt::set_socket_linger(self, Some(std::time::Duration::ZERO));
    }
}

impl MayReset for tokio_rustls::server::TlsStream<tokio::net::TcpStream> {
    fn reset_on_close(&self) {
        self.get_ref().0.reset_on_close();
    }
}
