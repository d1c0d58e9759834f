//! A worker: one thread, one runtime, its own share of the connections.
//!
//! All workers accept from the same listeners, which the keeper owns. Who wakes first would take all; so a connection is
//! handed over when another worker has markedly fewer.
//!
//! Invariant: a listener is never closed here while it is in the table; what is dropped is a duplicate of the keeper's.

mod accept;

use crate::{connection, entrance, http1, shared::Shared, synthetic, upstream};
use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{sync::mpsc, task::AbortHandle, time};

/// What is still open when a drain has taken as long as it may gets so long to end.
const CLOSING: Duration = Duration::from_secs(1);

/// How others reach a worker.
#[derive(Debug)]
pub(crate) struct Post {
    /// Its open connections.
    pub(crate) open: Arc<AtomicU64>,
    orders: mpsc::UnboundedSender<Order>,
}

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Accept from that listener.
    Listen { name: Arc<str>, listener: TcpListener },
    /// Accept no more from it, and let its connections finish.
    Forget { name: String },
    /// Serve a connection that another worker accepted; it is counted here already.
    Serve { stream: TcpStream, peer: SocketAddr, listener: Arc<str> },
    /// Accept nothing more, and serve what is open until its clients leave or were told to, for at most so long.
    Drain { longest: Duration },
    /// Accept nothing more, close what is idle, let requests finish, for at most so long.
    Retire { grace: Duration },
}

/// A worker's end of its [`Post`].
#[derive(Debug)]
pub(crate) struct Inbox(mpsc::UnboundedReceiver<Order>);

impl Post {
    pub(crate) fn new() -> (Self, Inbox) {
        let (orders, inbox) = mpsc::unbounded_channel();
        (Self { open: Arc::default(), orders }, Inbox(inbox))
    }

    /// A worker that has ended gets no orders any more.
    pub(crate) fn send(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

/// A connection that is counted open.
#[derive(Debug)]
pub(crate) struct Open(Option<Arc<AtomicU64>>);

impl Open {
    /// One that is counted already.
    pub(crate) fn counted(post: &Post) -> Self {
        Self(Some(Arc::clone(&post.open)))
    }

    pub(crate) fn close(&mut self) {
        if let Some(open) = self.0.take() {
            open.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.close();
    }
}

/// Starts worker number `number`. It ends after [`Order::Drain`] or [`Order::Retire`].
///
/// # Errors
/// No thread or no epoll instance can be had.
pub(crate) fn start(number: usize, shared: Arc<Shared>, inbox: Inbox) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name(format!("worker-{number}")).stack_size(1 << 20).spawn(move || {
        let worker =
            Worker { number, shared, accepting: BTreeMap::new(), stopped_accepting: false, drains_until: None };
        runtime.block_on(worker.run(inbox));
        // What has not finished by now is dropped with the runtime.
    })
}

struct Worker {
    number: usize,
    shared: Arc<Shared>,
    accepting: BTreeMap<String, AbortHandle>,
    stopped_accepting: bool,
    /// Nothing is accepted any more, and what is open by then is closed.
    drains_until: Option<time::Instant>,
}

impl Worker {
    async fn run(mut self, Inbox(mut orders): Inbox) {
        let mut ticks = time::interval(Duration::from_millis(connection::TICK_MS));
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Retire { grace }) => return self.retire(grace, orders).await,
                    Some(order) => self.follow(order),
                    None => return,
                },
                _ = ticks.tick() => self.sweep(),
            }
            if let Some(until) = self.drains_until {
                connection::go_away();
                if self.is_empty() || time::Instant::now() >= until {
                    return self.retire(CLOSING, orders).await;
                }
            }
        }
    }

    /// Nothing is open here, and nobody can hand anything over any more.
    fn is_empty(&self) -> bool {
        self.shared.accepting.load(SeqCst) == 0 && self.shared.posts[self.number].open.load(SeqCst) == 0
    }

    fn stop_accepting(&mut self) {
        for task in std::mem::take(&mut self.accepting).into_values() {
            task.abort();
        }
        if !std::mem::replace(&mut self.stopped_accepting, true) {
            self.shared.accepting.fetch_sub(1, SeqCst);
        }
    }

    fn follow(&mut self, order: Order) {
        match order {
            Order::Listen { .. } if self.stopped_accepting => {}
            Order::Listen { name, listener } => {
                if let Some(before) = self.accepting.get(&*name) {
                    before.abort();
                }
                let task = accept::accept(self.number, Arc::clone(&self.shared), Arc::clone(&name), listener);
                self.accepting.insert(name.to_string(), tokio::spawn(task).abort_handle());
            }
            Order::Forget { name } => {
                if let Some(task) = self.accepting.remove(&name) {
                    task.abort();
                }
                connection::finish(Some(&name));
            }
            Order::Serve { stream, peer, listener } => {
                let open = Open::counted(&self.shared.posts[self.number]);
                entrance::spawn(self.number, &self.shared, stream, entrance::Caller { peer, listener, open });
            }
            Order::Drain { longest } => {
                self.stop_accepting();
                // Said again, it does not get longer.
                let until = time::Instant::now() + longest;
                self.drains_until = Some(self.drains_until.map_or(until, |known| known.min(until)));
            }
            Order::Retire { .. } => {}
        }
    }

    fn sweep(&self) {
        connection::sweep(&self.shared.settings);
        upstream::pool::sweep(self.shared.settings.upstream_idle_ms);
        http1::sweep(self.shared.settings.upstream_idle_ms);
        if self.number == 0 && !self.stopped_accepting {
            synthetic::begin(self.number, &self.shared);
        }
        self.shared.log.flush(self.shared.instant(std::time::Instant::now()).0);
    }

    async fn retire(mut self, grace: Duration, mut orders: mpsc::UnboundedReceiver<Order>) {
        self.stop_accepting();
        connection::finish(None);
        let until = time::Instant::now() + grace;
        let mut ticks = time::interval(Duration::from_millis(10));
        while !self.is_empty() && time::Instant::now() < until {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order @ Order::Serve { .. }) => {
                        self.follow(order);
                    }
                    Some(_) => {}
                    None => break,
                },
                _ = ticks.tick() => connection::finish(None),
            }
        }
        self.shared.log.flush(self.shared.instant(std::time::Instant::now()).0);
    }
}
