//! What all threads of a gateway share.

use crate::{
    access::Log, ejections::Ejections, live::Registry, rate::Rates, settings::Settings, table::Table,
    tls::Certificates, worker::Post,
};
use arc_swap::ArcSwap;
use plimsoll_model::Instant;
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::sync::{Notify, mpsc, watch};

/// Shared by the main thread (keeper, figures, weighing) and the workers.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) table: ArcSwap<Table>,
    /// The edition in force, for those who wait for another one.
    pub(crate) edition: watch::Sender<u64>,
    pub(crate) certificates: ArcSwap<Certificates>,
    pub(crate) registry: Mutex<Registry>,
    pub(crate) posts: Box<[Post]>,
    pub(crate) rates: Rates,
    pub(crate) log: Log,
    /// Somebody failed often enough that `weigh` should be asked now.
    pub(crate) nudge: Notify,
    /// The last decisions to leave a replica out, or to take it back.
    pub(crate) ejections: Mutex<Ejections>,
    /// Asks the main thread to retire: how long what is open may go on, in milliseconds.
    pub(crate) retire: mpsc::UnboundedSender<u64>,
    /// Another gateway has taken our place. Nothing is accepted any more, and each HTTP/1 answer is the last one of its
    /// connection, and says so (`Connection: close`): closing one that is idle could meet the client's next request.
    pub(crate) draining: AtomicBool,
    /// Every listener of the table in force is accepted from.
    pub(crate) listening: AtomicBool,
    /// Workers that may still accept connections, and hand them to others.
    pub(crate) accepting: AtomicUsize,
    clock: Clock,
}

/// The wall clock at the start, and monotonic time since.
#[derive(Debug)]
struct Clock {
    epoch_us: u64,
    started: std::time::Instant,
}

impl Shared {
    pub(crate) fn new(settings: Settings, posts: Box<[Post]>, log: Log, retire: mpsc::UnboundedSender<u64>) -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            table: ArcSwap::from_pointee(Table::default()),
            edition: watch::Sender::new(0),
            certificates: ArcSwap::default(),
            registry: Mutex::new(Registry::new(settings.workers)),
            posts,
            rates: Rates::default(),
            log,
            nudge: Notify::new(),
            ejections: Mutex::default(),
            retire,
            draining: AtomicBool::new(false),
            listening: AtomicBool::new(false),
            accepting: AtomicUsize::new(settings.workers),
            clock: Clock {
                epoch_us: u64::try_from(epoch.as_micros()).unwrap_or(u64::MAX),
                started: std::time::Instant::now(),
            },
            settings,
        }
    }

    /// When the gateway started.
    pub(crate) fn epoch(&self) -> Instant {
        Instant(self.clock.epoch_us)
    }

    /// The moment `now` of the monotonic clock.
    pub(crate) fn instant(&self, now: std::time::Instant) -> Instant {
        let since = now.saturating_duration_since(self.clock.started).as_micros();
        Instant(self.clock.epoch_us.saturating_add(u64::try_from(since).unwrap_or(u64::MAX)))
    }

    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Client connections that are open, over all workers.
    pub(crate) fn connections(&self) -> u64 {
        self.posts.iter().map(|post| post.open.load(Relaxed)).sum()
    }
}

/// Says something to whoever reads the gateway's log: one JSON line on standard error.
pub(crate) fn say(what: &str, detail: impl std::fmt::Display) {
    let line = serde_json::json!({ "gateway": what, "detail": detail.to_string() });
    // A closed or full standard error is no reason to stop serving.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
}
