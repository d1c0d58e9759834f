//! The line to the keeper: the route table, the listeners and the pidfds come over it.
//!
//! When the keeper dies, the gateway serves on with what it has, looks for a new keeper, and gives it the listeners and the
//! table back.
//!
//! Invariant: a lower edition than the one in force is never installed.

use crate::{
    install::install,
    live::ProcessLive,
    readiness,
    shared::{Shared, say},
    weighing::Weigher,
    worker::Order,
};
use plimsoll_model::route::{ROUTES, RouteTable};
use plimsoll_wire::{
    channel::{Channel, memfd, read_memfd},
    keeper::{Answer, Ask, Event, Request, Said},
    place::Place,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    net::TcpListener,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    task::AbortHandle,
    time,
};

/// Between two attempts to find a keeper.
const SEARCH: Duration = Duration::from_millis(75);
/// Between two attempts to get a listener that the keeper did not have.
const AGAIN: Duration = Duration::from_millis(500);

/// What a question was about.
#[derive(Debug)]
enum About {
    Listener(String),
    Process(String),
    Other,
}

/// This gateway's side of the line.
pub(crate) struct Line {
    shared: Arc<Shared>,
    weigher: Arc<Mutex<Weigher>>,
    place: Place,
    id: String,
    /// Kept listeners that we have, by name.
    listeners: BTreeMap<String, TcpListener>,
    /// The listeners of the edition in force.
    wanted: BTreeSet<String>,
    /// The edition in force, as text.
    edition: Option<(u64, Vec<u8>)>,
    processes: BTreeMap<String, Process>,
    questions: BTreeMap<u64, About>,
    asked: u64,
    to_send: VecDeque<(Ask, Option<OwnedFd>, About)>,
}

#[derive(Debug)]
struct Process {
    live: Arc<ProcessLive>,
    watch: Option<AbortHandle>,
}

impl Line {
    pub(crate) fn new(shared: Arc<Shared>, weigher: Arc<Mutex<Weigher>>, place: Place, id: String) -> Self {
        Self {
            shared,
            weigher,
            place,
            id,
            listeners: BTreeMap::new(),
            wanted: BTreeSet::new(),
            edition: None,
            processes: BTreeMap::new(),
            questions: BTreeMap::new(),
            asked: 0,
            to_send: VecDeque::new(),
        }
    }

    /// Speaks with the keeper, and with the next one when it is gone, until the end of the gateway.
    pub(crate) async fn run(mut self, first: Option<Channel>) {
        let mut channel = first;
        loop {
            if let Some(channel) = channel.take()
                && let Err(error) = self.converse(channel).await
            {
                say("keeper-lost", error);
            }
            time::sleep(SEARCH).await;
            channel = Channel::connect(&self.place.keeper_socket()).ok();
        }
    }

    /// Speaks until the other end is gone.
    async fn converse(&mut self, channel: Channel) -> io::Result<()> {
        channel.set_nonblocking(true)?;
        let channel = readiness::watch(channel, Interest::READABLE | Interest::WRITABLE)?;
        self.questions.clear();
        self.to_send.clear();
        self.greet();
        loop {
            let missing = !self.missing().is_empty();
            let to_send = self.to_send.front();
            tokio::select! {
                said = channel.async_io(Interest::READABLE, Channel::receive::<Said>) => match said {
                    Ok(Some((said, fds))) => self.hear(said, fds),
                    Ok(None) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => say("keeper-not-understood", error),
                    Err(error) => return Err(error),
                },
                sent = send(&channel, self.asked + 1, to_send), if to_send.is_some() => {
                    sent?;
                    self.asked += 1;
                    if let Some((_, _, about)) = self.to_send.pop_front() {
                        self.questions.insert(self.asked, about);
                    }
                }
                () = time::sleep(AGAIN), if missing && self.questions.is_empty() => self.ask_for_missing(),
            }
        }
    }

    fn ask(&mut self, ask: Ask, about: About) {
        self.to_send.push_back((ask, None, about));
    }

    /// The first messages: who we are, what we keep for a keeper that lost it, and what we want to know.
    fn greet(&mut self) {
        self.ask(Ask::Hello { version: plimsoll_wire::VERSION, role: self.id.clone() }, About::Other);
        let mut keep = Vec::new();
        // Whoever has taken our place hands back what is current.
        let (listeners, edition) =
            if self.is_draining() { (None, None) } else { (Some(&self.listeners), self.edition.as_ref()) };
        for (name, listener) in listeners.into_iter().flatten() {
            keep.push((name.clone(), listener.as_fd().try_clone_to_owned()));
        }
        if let Some((_, text)) = edition {
            keep.push((ROUTES.into(), memfd(ROUTES, text)));
        }
        for (name, fd) in keep {
            match fd {
                Ok(fd) => self.to_send.push_back((Ask::Keep { name, if_missing: true }, Some(fd), About::Other)),
                Err(error) => say("not-kept", format!("{name}: {error}")),
            }
        }
        self.ask(Ask::Watch { name: ROUTES.into() }, About::Other);
        self.ask_for_missing();
    }

    fn is_draining(&self) -> bool {
        self.shared.draining.load(Relaxed)
    }

    /// Listeners of the edition in force that we don't have.
    fn missing(&self) -> Vec<String> {
        let missing = self.wanted.iter().filter(|name| !self.listeners.contains_key(*name));
        if self.is_draining() { Vec::new() } else { missing.cloned().collect() }
    }

    /// Tells others whether every listener of the edition in force is accepted from.
    fn note_listening(&self) {
        let listening = self.edition.is_some() && self.missing().is_empty();
        self.shared.listening.store(listening, Relaxed);
    }

    fn ask_for_missing(&mut self) {
        for name in self.missing() {
            self.ask(Ask::Take { name: name.clone() }, About::Listener(name));
        }
        let processes = self.processes.iter().filter(|(_, process)| process.watch.is_none());
        let processes: Vec<String> = processes.map(|(id, _)| id.clone()).collect();
        for id in processes {
            self.ask(Ask::Take { name: format!("pidfd/{id}") }, About::Process(id));
        }
    }

    fn hear(&mut self, said: Said, fds: Vec<OwnedFd>) {
        let fd = fds.into_iter().next();
        match said {
            Said::Event(Event::Kept { name }) if name == ROUTES => match fd.map(read_memfd) {
                Some(Ok(text)) => self.take_edition(text),
                Some(Err(error)) => say("routes-unreadable", error),
                None => say("routes-unreadable", "no descriptor came with them"),
            },
            Said::Event(_) => {}
            Said::Answer { number, answer } => match (self.questions.remove(&number), answer, fd) {
                (Some(About::Listener(name)), Answer::Taken { .. }, Some(fd)) => self.take_listener(name, fd),
                (Some(About::Process(id)), Answer::Taken { .. }, Some(fd)) => self.watch_process(&id, fd),
                (Some(About::Listener(name)), answer, _) => say("listener-missing", format!("{name}: {answer:?}")),
                // Its process has ended and was forgotten, or is about to start: connecting to it will tell.
                (Some(About::Process(_)), _, _) => {}
                (_, Answer::Failed { why }, _) => say("keeper-refused", why),
                _ => {}
            },
        }
    }

    fn take_edition(&mut self, text: Vec<u8>) {
        let table: RouteTable = match serde_json::from_slice(&text) {
            Ok(table) => table,
            Err(error) => return say("routes-not-understood", error),
        };
        if self.edition.as_ref().is_some_and(|(edition, known)| table.edition < *edition || *known == text) {
            return;
        }
        let processes = install(&self.shared, &self.weigher, &table);
        self.edition = Some((table.edition, text));
        self.wanted = table.listeners.iter().map(|listener| listener.name.clone()).collect();
        let gone: Vec<String> = self.listeners.keys().filter(|name| !self.wanted.contains(*name)).cloned().collect();
        for name in gone {
            self.listeners.remove(&name);
            self.shared.posts.iter().for_each(|post| post.send(Order::Forget { name: name.clone() }));
        }
        self.processes.retain(|id, process| {
            let keep = processes.contains_key(id);
            if let (false, Some(watch)) = (keep, &process.watch) {
                watch.abort();
            }
            keep
        });
        for (id, live) in processes {
            self.processes.entry(id).or_insert(Process { live, watch: None });
        }
        self.note_listening();
        self.ask_for_missing();
    }

    fn take_listener(&mut self, name: String, fd: OwnedFd) {
        if !self.wanted.contains(&name) || self.listeners.contains_key(&name) || self.is_draining() {
            return;
        }
        let listener = TcpListener::from(fd);
        let shared_name: Arc<str> = name.as_str().into();
        for post in &self.shared.posts {
            match listener.try_clone() {
                Ok(listener) => post.send(Order::Listen { name: Arc::clone(&shared_name), listener }),
                Err(error) => say("listener-unusable", format!("{name}: {error}")),
            }
        }
        self.listeners.insert(name, listener);
        self.note_listening();
    }

    fn watch_process(&mut self, id: &str, pidfd: OwnedFd) {
        let Some(process) = self.processes.get_mut(id) else { return };
        if process.watch.is_some() {
            return;
        }
        let (live, shared) = (Arc::clone(&process.live), Arc::clone(&self.shared));
        let watch = async move {
            let Ok(pidfd) = readiness::watch(pidfd, Interest::READABLE) else { return };
            if pidfd.readable().await.is_ok() {
                live.gone.store(true, Relaxed);
                // The others may have to take back one that was left out.
                shared.nudge.notify_one();
            }
        };
        process.watch = Some(tokio::spawn(watch).abort_handle());
    }
}

/// Sends one question with that number.
async fn send(
    channel: &AsyncFd<Channel>,
    number: u64,
    question: Option<&(Ask, Option<OwnedFd>, About)>,
) -> io::Result<()> {
    let Some((ask, fd, _)) = question else { return Ok(()) };
    let request = Request { number, ask: ask.clone() };
    let fds: Vec<_> = fd.iter().map(AsFd::as_fd).collect();
    channel.async_io(Interest::WRITABLE, |channel| channel.send(&request, &fds)).await
}
