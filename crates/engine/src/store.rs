//! The life of one store: prepare, start its members, wait until they are ready, make what services need, look after it.
//!
//! One task a store. It tells the loop how far it is; what becomes of a member that ended is decided by
//! `control::restart`.

mod copies;
pub(crate) mod member;
mod pooler;
mod replicated;
mod server;
mod showing;

use crate::{
    input::{Input, StoreNews},
    keeper::Keeper,
    oneshot::Oneshots,
};
use member::{MemberRun, Part};
use plimsoll_control::{account::Restart, failover, restart};
use plimsoll_journal::chain;
use plimsoll_model::{Instant, Millis, Store, store::Engine};
use plimsoll_stores::{Driver, Site, StoreError};
use plimsoll_wire::keeper::Exit;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};
use tokio::{
    sync::{mpsc::UnboundedSender, watch},
    time::sleep,
};

/// How often a store that is ready is looked at.
const INSPECT_EVERY: Duration = Duration::from_secs(5);
/// How often a store that is not ready is asked again.
const RETRY: Duration = Duration::from_millis(20);
/// How often what failed for a reason that may pass is tried again.
const RETRY_SLOW: Duration = Duration::from_secs(1);

/// What a store's task needs.
pub(crate) struct StoreRun {
    pub(crate) name: String,
    pub(crate) store: Store,
    pub(crate) site: Site,
    pub(crate) keeper: Keeper,
    pub(crate) oneshots: Oneshots,
    pub(crate) inputs: UnboundedSender<Input>,
    pub(crate) clock: crate::clock::Clock,
    /// Former starts of its members: attempt, restarts and memory, by number.
    pub(crate) former: Vec<(u32, u32, restart::Memory)>,
    /// The same of its pooler.
    pub(crate) former_pooler: (u32, u32, restart::Memory),
    /// What is wanted of a store with standbys, as the file says now.
    pub(crate) policy: Rc<RefCell<failover::Policy>>,
    /// Who was the primary, and what became of it.
    pub(crate) failover: failover::Memory,
    /// Which other primary a person wants; counts up with each wish.
    pub(crate) wish: watch::Receiver<(u64, Option<failover::Wanted>)>,
    /// Whoever comes to its address waits there.
    pub(crate) held: Rc<Cell<bool>>,
    /// Turns true when the store is to end.
    pub(crate) stop: watch::Receiver<bool>,
}

impl StoreRun {
    fn tell(&self, news: StoreNews) {
        self.inputs.send(Input::Store { name: self.name.clone(), news }).ok();
    }

    fn phase(&self, phase: &'static str, reason: impl Into<String>) {
        self.tell(StoreNews::Phase { phase, reason: reason.into() });
    }

    /// Runs the store until it is to end, and ends it.
    pub(crate) async fn run(mut self) {
        let external = self.store.external.clone();
        match external {
            Some(url) => self.watch_external(&url).await,
            None => self.own().await,
        }
        self.phase("Stopped", "");
    }

    /// Watches a store that is not ours.
    async fn watch_external(&mut self, url: &str) {
        self.tell(StoreNews::Url(url.into()));
        while !*self.stop.borrow() {
            let wait = match plimsoll_stores::external(url, self.store.engine).await {
                Ok(()) => {
                    self.phase("Ready", "it answers; it is used, not owned");
                    INSPECT_EVERY
                }
                Err(why) => {
                    self.phase("Starting", format!("waiting for it: {why}"));
                    RETRY_SLOW
                }
            };
            self.pause(wait).await;
        }
    }

    async fn own(&mut self) {
        let Some(driver) = self.driver().await else { return };
        self.tell(StoreNews::Url(driver.url()));
        self.tell(StoreNews::DirectUrl(driver.direct_url()));
        let driver = Rc::new(driver);
        if let Some(postgres) = driver.replicated() {
            self.tell(StoreNews::ReadUrl(postgres.read_url().unwrap_or_default()));
            return replicated::Replicated::new(self, driver.clone()).run().await;
        }
        // What is before others is ended before them.
        let servers = (0..driver.members().len()).map(Part::Member);
        let parts = driver.pooler().map(|_| Part::Pooler).into_iter().chain(servers);
        let members: Vec<MemberRun> = parts.map(|part| MemberRun::start(self, &driver, part)).collect();
        self.look_after(&driver, &members).await;
        self.phase("Stopping", "");
        for member in members {
            member.end().await;
        }
    }

    /// The driver; waits where what is missing may come.
    async fn driver(&mut self) -> Option<Driver> {
        self.phase("Preparing", "looking for its server and its data");
        loop {
            match plimsoll_stores::driver(&self.name, &self.store, &self.site) {
                Ok(driver) => return Some(driver),
                Err(error) => {
                    self.phase("Failed", chain(&error));
                    // What the file says may change: then there is another task. All else a person may put right.
                    if matches!(error, StoreError::Unsupported { .. } | StoreError::Invalid { .. }) {
                        self.until_stop().await;
                        return None;
                    }
                    self.pause(RETRY_SLOW).await;
                    if *self.stop.borrow() {
                        return None;
                    }
                }
            }
        }
    }

    /// Brings it from started to ready, again and again, until it is to end.
    async fn look_after(&mut self, driver: &Driver, members: &[MemberRun]) {
        let (mut ready, mut changes) = (false, 0);
        while !*self.stop.borrow() {
            // A member that ended was told as such, and made the store unready: that it is ready is told anew.
            let now = changes_of(members);
            ready &= now == changes;
            changes = now;
            match self.bring_up(driver, members).await {
                Ok(done) => {
                    if !ready {
                        self.phase("Ready", done);
                    }
                    ready = true;
                    let inspection = driver.inspect().await;
                    let healthy = inspection.healthy;
                    self.tell(StoreNews::Inspected(inspection));
                    if changes_of(members) == changes {
                        let wait = if healthy { INSPECT_EVERY } else { RETRY_SLOW };
                        self.pause_or_change(members, wait).await;
                    }
                }
                Err((phase, why)) => {
                    ready = false;
                    self.phase(phase, why);
                    self.pause(if phase == "Failed" { RETRY_SLOW } else { RETRY }).await;
                }
            }
        }
    }

    async fn bring_up(&self, driver: &Driver, members: &[MemberRun]) -> Result<String, (&'static str, String)> {
        for member in members {
            if let Some(trouble) = member.trouble() {
                return Err(("Failed", trouble));
            }
            member.part.ready(driver).await.map_err(|why| ("Starting", why.to_string()))?;
        }
        match driver.provision().await {
            Ok(provisioned) => Ok(provisioned.done.join("; ")),
            Err(error) if error.passes() => Err(("Forming", chain(&error))),
            Err(error) => Err(("Failed", chain(&error))),
        }
    }

    async fn pause(&mut self, wait: Duration) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = sleep(wait) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Waits, but not beyond the end of a member.
    async fn pause_or_change(&mut self, members: &[MemberRun], wait: Duration) {
        let mut stop = self.stop.clone();
        let ends: Vec<_> = members.iter().map(|member| Box::pin(member.changed())).collect();
        tokio::select! {
            () = sleep(wait) => {}
            _ = stop.wait_for(|stop| *stop) => {}
            _ = futures_util::future::select_all(ends) => {}
        }
    }

    async fn until_stop(&mut self) {
        let _ = self.stop.wait_for(|stop| *stop).await;
    }
}

/// How often members were started or ended.
fn changes_of(members: &[MemberRun]) -> u64 {
    members.iter().map(MemberRun::changes).sum()
}

/// A store's engine, as it is written in a file.
pub(crate) fn engine_name(engine: Engine) -> String {
    format!("{engine:?}").to_lowercase()
}

/// Decides about the end, that nobody asked for, of a member that ran from and until then: it is always started again, and
/// backed off like a service.
fn after_end(
    exit: &Exit,
    (started_at, now): (Instant, Instant),
    memory: &mut restart::Memory,
) -> (Restart, restart::Decision) {
    let policy = restart::Policy { stable_after: Millis::from_secs(10), ..restart::Policy::default() };
    let ran_for = now.since(started_at);
    let seen = restart::Seen { at: now, exited_at: now, exit: crate::exit::seen(exit), ready_for: ran_for, ran_for };
    let asked = Restart { policy, memory: *memory, seen };
    let decision = restart::decide(&policy, memory, &seen);
    (asked, decision)
}
