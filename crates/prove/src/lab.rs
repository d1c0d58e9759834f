//! The system that is experimented on: seen through its API, and hurt on purpose.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use plimsoll_api::status::{ReplicaStatus, ServiceStatus};
use plimsoll_api::{Client, Status};
use plimsoll_model::System;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, pidfd_send_signal};
use tokio::sync::watch;

use crate::frozen;
use crate::proof::Unproven;
use crate::prove::Options;
use crate::session::Session;

/// How often the status is looked at while something is waited for. Times that depend on it are known to this much.
pub(crate) const LOOK: Duration = Duration::from_millis(5);
/// How often it's looked at while nothing is measured, so that the engine has peace.
pub(crate) const LOOK_CALMLY: Duration = Duration::from_millis(100);
/// Whatever ran well for this long is replaced, or started again, at once when it dies; what is younger may be backed off from.
pub(crate) const OLD_ENOUGH: Duration = Duration::from_secs(11);

/// A running system, and what experiments share.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) client: Client,
    pub(crate) system: System,
    pub(crate) options: Options,
    pub(crate) seed: u64,
    numbers: AtomicU64,
    /// A person wants it to end.
    stop: watch::Receiver<bool>,
}

impl Lab {
    pub(crate) fn new(client: Client, system: System, options: Options, session: Session) -> Lab {
        let (_, stop) = watch::channel(false);
        Lab { client, system, options, seed: session.seed, numbers: AtomicU64::new(session.first_number), stop }
    }

    /// Ends early when `stop` says so.
    pub(crate) fn until(self, stop: watch::Receiver<bool>) -> Lab {
        Lab { stop, ..self }
    }

    /// Whether a person wants it to end.
    pub(crate) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Does it, but no longer than until a person wants an end. What it has done has to be undone by the caller.
    pub(crate) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, Unproven>>,
    ) -> Result<T, Unproven> {
        let mut stop = self.stop.clone();
        let stopped = async {
            if stop.wait_for(|stop| *stop).await.is_err() {
                // Nobody can want it any more.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            done = work => done,
            () = stopped => Err(Unproven::new("it was interrupted", "run it again")),
        }
    }

    /// The first of `count` request numbers that nobody else of this session gets.
    pub(crate) fn numbers(&self, count: u64) -> u64 {
        self.numbers.fetch_add(count, Relaxed)
    }

    /// How the system is now.
    pub(crate) async fn status(&self) -> Result<Status, Unproven> {
        self.client.status().await.map_err(|error| Unproven::new(error.to_string(), "bring the system up"))
    }

    /// How one service is now.
    pub(crate) async fn service(&self, name: &str) -> Result<ServiceStatus, Unproven> {
        self.status().await?.services.remove(name).ok_or_else(|| {
            Unproven::new(format!("there is no service `{name}`"), "correct the promise, or bring the service up")
        })
    }

    /// Looks each `look` until `done` says so, at most for the options' `patience`; `None`: it never did. An engine that doesn't answer is waited
    /// for, too.
    pub(crate) async fn wait(&self, look: Duration, mut done: impl FnMut(&Status) -> bool) -> Option<Duration> {
        let began = Instant::now();
        while began.elapsed() < self.options.patience {
            if let Ok(status) = self.client.status().await
                && done(&status)
            {
                return Some(began.elapsed());
            }
            tokio::time::sleep(look).await;
        }
        None
    }

    /// Waits until all replicas of `service` that are wanted are ready, and gives the one that has run longest, once it's
    /// old enough for its death to be no crash loop.
    pub(crate) async fn victim(&self, service: &str) -> Result<ReplicaStatus, Unproven> {
        let mut victim = None;
        self.wait(LOOK_CALMLY, |status| {
            let ready = status.services.get(service).filter(|seen| seen.ready > 0 && seen.ready >= seen.wanted);
            let oldest = ready.and_then(|seen| {
                let alive = seen.replicas.iter().filter(|replica| replica.phase == "Ready" && replica.pid.is_some());
                alive.min_by_key(|replica| replica.started_at).cloned()
            });
            let old = oldest.filter(|replica| {
                replica.started_at.is_none_or(|since| status.at.since(since).as_duration() >= OLD_ENOUGH)
            });
            victim = old;
            victim.is_some()
        })
        .await;
        victim.ok_or_else(|| {
            Unproven::new(
                format!("`{service}` has no full set of ready replicas within {} s", self.options.patience.as_secs()),
                "see `plimsoll status`; a replica must be ready before it can be killed",
            )
        })
    }

    /// Kills a replica (SIGKILL), and measures from just before that until the service has as many ready replicas as
    /// before, none of them the killed process.
    pub(crate) async fn kill_replica(&self, service: &str, victim: &ReplicaStatus) -> Result<Killed, Unproven> {
        let before = self.service(service).await?.ready;
        let began = Instant::now();
        let killed = self.client.signal(&victim.id.to_string(), Signal::KILL.as_raw()).await;
        killed
            .map_err(|error| Unproven::new(format!("cannot kill {}: {error}", victim.id), "see `plimsoll events`"))?;
        let mut unrouted = None;
        let replaced = self
            .wait(LOOK, |status| {
                let Some(seen) = status.services.get(service) else { return false };
                let ready = |replica: &&ReplicaStatus| replica.phase == "Ready" && replica.pid.is_some();
                let gone = !seen.replicas.iter().filter(ready).any(|replica| replica.pid == victim.pid);
                if gone && unrouted.is_none() {
                    unrouted = Some(began.elapsed());
                }
                gone && seen.ready >= before
            })
            .await;
        Ok(Killed { unrouted, replaced: replaced.map(|_| began.elapsed()) })
    }
}

/// What came of a kill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Killed {
    /// Until the status no longer showed the killed process as ready.
    pub(crate) unrouted: Option<Duration>,
    /// Until as many replicas as before were ready.
    pub(crate) replaced: Option<Duration>,
}

/// How long a killed process may take to end.
const END_MAX: Duration = Duration::from_secs(60);

/// Kills one of Plimsoll's own processes (SIGKILL) and waits for its end, so that its descriptors are closed.
pub(crate) async fn kill_process(name: &'static str, pid: i32) -> Result<(), Unproven> {
    let failed = move |why: String| Unproven::new(format!("cannot kill the {name}: {why}"), "run it as the same user");
    let handle = frozen::open(pid).map_err(failed)?;
    pidfd_send_signal(&handle, Signal::KILL).map_err(|error| failed(error.to_string()))?;
    let ended = tokio::task::spawn_blocking(move || wait_for_end(&handle)).await;
    match ended {
        Ok(true) => Ok(()),
        _ => Err(failed("it does not end".to_owned())),
    }
}

fn wait_for_end(handle: &OwnedFd) -> bool {
    let deadline = Instant::now() + END_MAX;
    while Instant::now() < deadline {
        let mut waiting = [PollFd::new(handle, PollFlags::IN)];
        let tenth = rustix::time::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        if poll(&mut waiting, Some(&tenth)).is_ok_and(|ready| ready > 0) {
            return true;
        }
    }
    false
}
