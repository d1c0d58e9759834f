//! The pooler of a store with standbys: led to whoever is the primary, and paused while there is none.

use super::{
    INSPECT_EVERY, StoreRun,
    member::{MemberRun, Part},
};
use plimsoll_stores::{Driver, MemberSeen, pooler};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

/// How soon a pooler that did not do what it was asked is asked again.
const RETRY: Duration = Duration::from_millis(20);

/// What a pooler does, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// It was asked nothing yet, or was started anew.
    Unknown,
    /// Leads to the server at that port.
    Leads(u16),
    /// Whoever asks something waits; nothing is under way.
    Paused,
}

/// A pooler that runs, or is about to.
pub(super) struct PoolerRun {
    run: Rc<MemberRun>,
    task: JoinHandle<()>,
    /// The port to lead to. `None`: pause.
    wanted: watch::Sender<Option<u16>>,
    told: Rc<Told>,
}

/// What its task tells.
struct Told {
    doing: Cell<Doing>,
    /// How it was when it was looked at last.
    seen: RefCell<Option<MemberSeen>>,
}

impl PoolerRun {
    /// Starts the store's pooler, or goes on with one that runs. `None`: it has none.
    pub(super) fn start(store: &StoreRun, driver: &Rc<Driver>) -> Option<Self> {
        driver.pooler()?;
        let run = Rc::new(MemberRun::start(store, driver, Part::Pooler));
        let wanted = watch::Sender::new(None);
        let told = Rc::new(Told { doing: Cell::new(Doing::Unknown), seen: RefCell::default() });
        let lead = lead(driver.clone(), run.clone(), wanted.subscribe(), told.clone());
        let task = tokio::task::spawn_local(lead);
        Some(Self { run, task, wanted, told })
    }

    /// Has it lead to the server at that port, or pause. What it does is not known until it has done so.
    pub(super) fn lead(&self, port: Option<u16>) {
        if self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, port) != port) {
            self.told.doing.set(Doing::Unknown);
        }
    }

    /// What it does now.
    pub(super) fn doing(&self) -> Doing {
        self.told.doing.get()
    }

    /// How it is, for a person.
    pub(super) fn seen(&self) -> MemberSeen {
        let known = self.told.seen.borrow().clone();
        let (name, role) = (pooler::NAME.to_owned(), known.as_ref().map_or(pooler::NAME.into(), |it| it.role.clone()));
        match (self.doing(), known) {
            (Doing::Leads(_), Some(known)) => known,
            (Doing::Leads(_), None) => MemberSeen { name, role, lag_bytes: None, ok: true, detail: String::new() },
            (Doing::Paused, _) => {
                let detail = "whoever asks something waits for a primary".to_owned();
                MemberSeen { name, role, lag_bytes: None, ok: false, detail }
            }
            (Doing::Unknown, _) => {
                let detail = self.run.trouble().unwrap_or_else(|| "does not do yet what it was asked".to_owned());
                MemberSeen { name, role, lag_bytes: None, ok: false, detail }
            }
        }
    }

    /// Ends it, and waits for that.
    pub(super) async fn end(self) {
        self.task.abort();
        self.task.await.ok();
        if let Some(run) = Rc::into_inner(self.run) {
            run.end().await;
        }
    }
}

/// Has the pooler do what is wanted, again and again: whoever wants something else does not wait for what is under way, and a
/// pooler that was started anew is asked anew.
async fn lead(driver: Rc<Driver>, run: Rc<MemberRun>, mut wanted: watch::Receiver<Option<u16>>, told: Rc<Told>) {
    let Some(pooler) = driver.pooler() else { return };
    let Told { doing, seen } = &*told;
    loop {
        let (want, starts) = (*wanted.borrow_and_update(), run.changes());
        doing.set(Doing::Unknown);
        let ask = async {
            match want {
                Some(port) => pooler.lead(port).await.map(|()| Doing::Leads(port)),
                None => pooler.pause().await.map(|()| Doing::Paused),
            }
        };
        let done = tokio::select! {
            done = ask => done,
            changed = wanted.changed() => if changed.is_ok() { continue } else { return },
        };
        let Ok(done) = done else {
            sleep(RETRY).await;
            continue;
        };
        if run.changes() != starts {
            continue;
        }
        doing.set(done);
        loop {
            let look = async {
                let now = pooler.seen().await;
                *seen.borrow_mut() = Some(now);
                sleep(INSPECT_EVERY).await;
            };
            tokio::select! {
                changed = wanted.changed() => if changed.is_ok() { break } else { return },
                () = run.changed() => break,
                () = look => {}
            }
        }
    }
}
