//! Writes of our own to a store, each acknowledged one remembered: to a table in a schema of our own, or to a key of our own.
//!
//! Invariant: nothing of the system's own is touched, and [`Writes::remove`] takes out what was made.

mod postgres;
mod redis;

use std::fmt;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

/// How many write at the same time.
const WRITERS: usize = 4;
/// Between two writes of each.
const PAUSE: Duration = Duration::from_millis(2);
/// After a write that failed, or a connection that was refused.
const RETRY: Duration = Duration::from_millis(5);
/// How long what was written may take to be read, or taken out.
const PATIENCE: Duration = Duration::from_secs(30);

/// The URL of a store, with its password. Shown by `Debug` as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(String);

impl StoreUrl {
    /// As services are told it.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreUrl(…)")
    }
}

/// A write that was acknowledged.
#[derive(Debug, Clone)]
struct Acknowledged {
    at: Instant,
    number: i64,
    /// The process that answered: another one after a restart or a takeover.
    server: Arc<str>,
}

/// Where is written to.
#[derive(Clone)]
enum Place {
    Postgres(Arc<postgres::Place>),
    Redis(Arc<redis::Place>),
}

/// Someone who is connected.
enum Session {
    Postgres(postgres::Session),
    Redis(redis::Session),
}

impl Place {
    async fn open(&self, attempt: usize) -> Result<Session, String> {
        match self {
            Self::Postgres(place) => place.open().await.map(Session::Postgres),
            Self::Redis(place) => place.open(attempt).await.map(Session::Redis),
        }
    }
}

impl Session {
    /// Writes a number; the process that has taken it.
    async fn write(&self, number: i64) -> Result<Arc<str>, String> {
        match self {
            Self::Postgres(session) => session.write(number).await,
            Self::Redis(session) => session.write(number).await,
        }
    }
}

/// Writers at work.
pub(crate) struct Writes {
    place: Place,
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    ends: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

impl Writes {
    /// Makes a schema and a table of our own in that database, and begins to write. One that was left behind is replaced.
    ///
    /// # Errors
    /// What was refused.
    pub(crate) async fn to_postgres(url: &StoreUrl) -> Result<Self, String> {
        let place = postgres::Place::make(&url.0).await?;
        Ok(Self::begin(Place::Postgres(Arc::new(place))))
    }

    /// Begins to write to a key of our own that the server at `port` keeps.
    ///
    /// # Errors
    /// What was refused.
    pub(crate) async fn to_redis(url: &StoreUrl, port: u16) -> Result<Self, String> {
        let place = redis::Place::make(&url.0, port).await?;
        Ok(Self::begin(Place::Redis(Arc::new(place))))
    }

    fn begin(place: Place) -> Self {
        let acknowledged: Arc<Mutex<Vec<Acknowledged>>> = Arc::default();
        let ends: Arc<AtomicBool> = Arc::default();
        let next = Arc::new(AtomicU64::new(1));
        let writers = (0..WRITERS).map(|_| {
            let (place, kept) = (place.clone(), acknowledged.clone());
            tokio::spawn(write(place, kept, next.clone(), ends.clone()))
        });
        let writers = writers.collect();
        Self { place, acknowledged, ends, writers }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Acknowledged>> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many were acknowledged.
    pub(crate) fn count(&self) -> u64 {
        self.kept().len() as u64
    }

    /// The process that answered last.
    pub(crate) fn server(&self) -> Option<Arc<str>> {
        self.kept().last().map(|last| last.server.clone())
    }

    /// The port of the server that keeps our key, where that may change; `None`: it doesn't.
    pub(crate) fn port(&self) -> Option<u16> {
        match &self.place {
            Place::Postgres(_) => None,
            Place::Redis(place) => place.port(),
        }
    }

    /// When the first write was acknowledged after that moment by another process than `former`.
    pub(crate) fn first_by_another(&self, former: &str, moment: Instant) -> Option<Instant> {
        let kept = self.kept();
        let later = kept.iter().rev().take_while(|write| write.at > moment);
        later.filter(|write| *write.server != *former).map(|write| write.at).min()
    }

    /// Ends the writers; how many acknowledged writes there were, and how many of them are not there.
    ///
    /// # Errors
    /// What is there could not be read.
    pub(crate) async fn lost(&mut self) -> Result<u64, String> {
        self.end().await;
        let numbers: Vec<i64> = self.kept().iter().map(|write| write.number).collect();
        let there = match &self.place {
            Place::Postgres(place) => until(|| place.numbers()).await?,
            Place::Redis(place) => until(|| place.numbers()).await?,
        };
        Ok(numbers.iter().filter(|number| !there.contains(number)).count() as u64)
    }

    async fn end(&mut self) {
        self.ends.store(true, Relaxed);
        for writer in self.writers.drain(..) {
            writer.await.ok();
        }
    }

    /// Takes out what was made.
    ///
    /// # Errors
    /// What was refused; it is still there then.
    pub(crate) async fn remove(mut self) -> Result<(), String> {
        self.end().await;
        match &self.place {
            Place::Postgres(place) => until(|| place.remove()).await,
            Place::Redis(place) => until(|| place.remove()).await,
        }
    }
}

/// Tries again for a while: a store that has just changed its primary cuts off whoever asks.
async fn until<T, F: Future<Output = Result<T, String>>>(mut work: impl FnMut() -> F) -> Result<T, String> {
    let began = Instant::now();
    loop {
        match work().await {
            Err(_) if began.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_millis(200)).await,
            done => return done,
        }
    }
}

/// Writes numbers, one after the other, and connects again whenever one is not acknowledged.
async fn write(place: Place, kept: Arc<Mutex<Vec<Acknowledged>>>, next: Arc<AtomicU64>, ends: Arc<AtomicBool>) {
    let mut attempt = 0;
    while !ends.load(Relaxed) {
        let Ok(session) = place.open(attempt).await else {
            attempt += 1;
            tokio::time::sleep(RETRY).await;
            continue;
        };
        while !ends.load(Relaxed) {
            // A number is used once: one whose fate is unknown is not written again.
            let number = i64::try_from(next.fetch_add(1, Relaxed)).unwrap_or(i64::MAX);
            let Ok(server) = session.write(number).await else {
                attempt += 1;
                tokio::time::sleep(RETRY).await;
                break;
            };
            let write = Acknowledged { at: Instant::now(), number, server };
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(write);
            tokio::time::sleep(PAUSE).await;
        }
    }
}
