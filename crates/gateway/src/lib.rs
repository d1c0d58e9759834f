//! The data plane: a proxy whose every choice asks control::route.
//!
//! The main thread speaks with the keeper, watches the replicas' pidfds, weighs, and tells figures; each worker is a thread
//! with a runtime of its own that serves its share of the connections. They share an immutable route table, swapped whole,
//! and the live figures of replicas, which outlive it.
//!
//! Invariant: needs no engine in order to serve, and no keeper once it has its listeners.
//! Invariant: never closes a listener that is in the table.
//! Invariant: a replica whose process is gone gets no new request from the moment that its pidfd tells.

#[macro_use]
mod through;

mod access;
mod answer;
mod belonging;
mod choose;
mod connection;
mod draw;
mod ejections;
mod entrance;
mod figures;
mod forward;
mod frames;
mod handle;
mod head;
mod hold;
mod http1;
mod install;
mod keeper;
mod live;
mod mirror;
mod outgoing;
mod pace;
mod patience;
mod payload;
mod problem;
mod rate;
mod readiness;
mod relay;
mod settings;
mod shared;
mod synthetic;
mod table;
mod tls;
mod trace;
mod upstream;
mod visit;
mod weighing;
mod worker;

use plimsoll_wire::{channel::Channel, place::Place};
use settings::Settings;
use shared::{Shared, say};
use std::{
    io,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    thread::JoinHandle,
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use worker::{Order, Post};

/// How long what is in flight may take after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// What a gateway is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The state directory of its system, absolute.
    pub state: PathBuf,
    /// The keeper's id of its process: `gateway`, or `gateway-2` … after upgrades.
    pub id: String,
}

/// Serves until SIGTERM, or until it is asked to retire; its standard input is the channel to the keeper.
///
/// Ends with 0 after that, with 1 if it could not start.
#[must_use]
pub fn run(options: Options) -> ExitCode {
    match serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say("not-started", error);
            ExitCode::FAILURE
        }
    }
}

fn serve(options: Options) -> io::Result<()> {
    let settings = Settings::from_environment();
    let (posts, inboxes): (Vec<_>, Vec<_>) = (0..settings.workers).map(|_| Post::new()).unzip();
    let log = access::Log::start(&settings);
    let (retire, retired) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::new(settings, posts.into(), log, retire));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut workers = Vec::new();
    for (number, inbox) in inboxes.into_iter().enumerate() {
        workers.push(worker::start(number, Arc::clone(&shared), inbox)?);
    }
    runtime.block_on(main_thread(options, Arc::clone(&shared), workers, retired))?;
    shared.log.drain(Duration::from_millis(500));
    Ok(())
}

async fn main_thread(
    options: Options,
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    mut asked: mpsc::UnboundedReceiver<u64>,
) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let place = Place::new(&options.state);
    let weigher = Arc::new(Mutex::new(weighing::Weigher::default()));
    tokio::spawn(weighing::keep_weighing(Arc::clone(&shared), Arc::clone(&weigher)));
    tokio::spawn(tls::follow_files(Arc::clone(&shared)));
    let socket = place.gateway_socket(&options.id);
    let for_figures = Arc::clone(&shared);
    let own_socket = socket.clone();
    tokio::spawn(async move { figures::answer(for_figures, &socket).await });
    let line = keeper::Line::new(Arc::clone(&shared), weigher, place, options.id);
    let line = tokio::spawn(line.run(Channel::from_stdin().ok()));
    let mut joined = tokio::task::spawn_blocking(move || workers.into_iter().for_each(|worker| drop(worker.join())));
    let ended = loop {
        tokio::select! {
            ended = &mut joined => break ended,
            Some(longest_ms) = asked.recv() => {
                // Routes are still followed, for what is open; no listener is taken any more.
                shared.draining.store(true, Relaxed);
                shared.posts.iter().for_each(|post| post.send(Order::Drain { longest: Duration::from_millis(longest_ms) }));
            }
            _ = terminate.recv() => {
                line.abort();
                shared.posts.iter().for_each(|post| post.send(Order::Retire { grace: GRACE }));
            }
        }
    };
    // Whoever asks for figures shall find nobody, not a socket without an owner.
    let _ = std::fs::remove_file(&own_socket);
    ended.map_err(io::Error::other)
}
