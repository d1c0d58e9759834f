//! The keeper's side of the line, as far as a gateway needs it.

use plimsoll_model::route::{ROUTES, RouteTable};
use plimsoll_wire::{
    channel::{Channel, Received, memfd, read_memfd},
    keeper::{Answer, Ask, Event, Request, Said},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex},
    thread,
};

/// What a keeper keeps.
#[derive(Default)]
struct Kept {
    fds: BTreeMap<String, OwnedFd>,
    watched: BTreeSet<String>,
    /// Names that were kept by a gateway.
    given_back: BTreeSet<String>,
}

/// A keeper; ends when it is dropped, and its lines with it.
pub(crate) struct Keeper {
    kept: Mutex<Kept>,
    line: Mutex<Option<Arc<Channel>>>,
}

impl Keeper {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), line: Mutex::default() })
    }

    /// Speaks with the gateway at the other end of `line`, in a thread, until that is gone.
    pub(crate) fn speak(self: &Arc<Self>, line: Channel) {
        let line = Arc::new(line);
        *self.line.lock().unwrap() = Some(Arc::clone(&line));
        let keeper = Arc::clone(self);
        thread::spawn(move || {
            while let Ok(Some((request, fds))) = line.receive() as std::io::Result<Option<Received<Request>>> {
                keeper.answer(&line, &request, fds);
            }
        });
    }

    /// Hangs up, as a keeper that dies does.
    pub(crate) fn die(&self) {
        if let Some(line) = self.line.lock().unwrap().take() {
            // The thread that reads holds it too; a shutdown reaches the other end at once.
            rustix::net::shutdown(&*line, rustix::net::Shutdown::Both).unwrap();
        }
    }

    pub(crate) fn keep(&self, name: &str, fd: OwnedFd) {
        self.kept.lock().unwrap().fds.insert(name.to_owned(), fd);
    }

    pub(crate) fn was_given_back(&self, name: &str) -> bool {
        self.kept.lock().unwrap().given_back.contains(name)
    }

    /// Publishes an edition, as the engine does through a keeper.
    pub(crate) fn publish(&self, table: &RouteTable) {
        let routes = memfd(ROUTES, &serde_json::to_vec(table).unwrap()).unwrap();
        let mut kept = self.kept.lock().unwrap();
        if kept.watched.contains(ROUTES)
            && let Some(line) = &*self.line.lock().unwrap()
        {
            // The gateway may be gone, which is what some tests want.
            let _ = line.send(&Said::Event(Event::Kept { name: ROUTES.into() }), &[routes.as_fd()]);
        }
        kept.fds.insert(ROUTES.into(), routes);
    }

    /// The edition that is kept.
    pub(crate) fn edition(&self) -> Option<u64> {
        let routes = self.kept.lock().unwrap().fds.get(ROUTES)?.try_clone().unwrap();
        let table: RouteTable = serde_json::from_slice(&read_memfd(routes).unwrap()).unwrap();
        Some(table.edition)
    }

    fn answer(&self, line: &Channel, request: &Request, fds: Vec<OwnedFd>) {
        let mut kept = self.kept.lock().unwrap();
        let mut beside = None;
        let mut event = None;
        let answer = match &request.ask {
            Ask::Hello { version, .. } => Answer::Hello { version: *version, pid: 1, took_over: false },
            Ask::Watch { name } => {
                kept.watched.insert(name.clone());
                event = kept.fds.get(name).map(|fd| (name.clone(), fd.try_clone().unwrap()));
                Answer::Done
            }
            Ask::Take { name } => match kept.fds.get(name) {
                Some(fd) => {
                    beside = Some(fd.try_clone().unwrap());
                    Answer::Taken { name: name.clone() }
                }
                None => Answer::Failed { why: format!("{name} is not kept") },
            },
            Ask::Keep { name, .. } => {
                kept.given_back.insert(name.clone());
                kept.fds.insert(name.clone(), fds.into_iter().next().unwrap());
                Answer::Done
            }
            other => Answer::Failed { why: format!("{other:?} is not for a gateway") },
        };
        let beside: Vec<_> = beside.iter().map(AsFd::as_fd).collect();
        let _ = line.send(&Said::Answer { number: request.number, answer }, &beside);
        if let Some((name, fd)) = event {
            let _ = line.send(&Said::Event(Event::Kept { name }), &[fd.as_fd()]);
        }
    }
}
