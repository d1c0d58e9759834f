//! The loop: observe, decide, ask the keeper.
//!
//! The engine holds no listener, no pipe and no child: it can die at any point and the next one goes on where it was.
//!
//! Invariant: it chooses nothing by itself; every choice is asked of `control`.
//! Invariant: what must be durable is in the journal before it is answered.

mod addresses;
mod candidate;
mod clock;
mod engine;
mod events;
mod exit;
pub mod explain;
mod figures;
mod input;
mod keeper;
mod launch;
mod logs;
mod look;
mod marks;
mod metrics;
mod oneshot;
mod past;
mod probe;
mod programs;
mod record;
mod recorder;
mod replica;
mod revision;
mod secrets;
mod serve;
mod store;
mod takeover;
mod usage;
mod variables;
mod watched;

use engine::Engine;
use input::Input;
use plimsoll_wire::{
    channel::Channel,
    place::{Place, TUNING},
};
use std::{path::PathBuf, process::ExitCode};
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// How often others get their turn before an engine leaves.
const FAREWELL: usize = 64;

/// How often, at most, what comes with an input is waited for before a turn.
const ROUNDS: usize = 8;

/// How an engine is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The state directory, absolute.
    pub state: PathBuf,
    /// The `plimsoll` binary: gateways and keepers are started from it.
    pub program: PathBuf,
}

/// Runs an engine until its system has ended. Its standard input is a channel to the keeper; where it isn't, it connects
/// to the keeper's socket.
#[must_use]
pub fn run(options: Options) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start the engine: {error}");
            return ExitCode::FAILURE;
        }
    };
    match tokio::task::LocalSet::new().block_on(&runtime, work(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

async fn work(options: Options) -> Result<(), String> {
    let place = Place::new(&options.state);
    let channel = Channel::from_stdin().map_err(|error| format!("cannot reach the keeper: {error}"))?;
    let (inputs, mut incoming) = mpsc::unbounded_channel();
    let mut engine = Engine::recover(place, options.program, channel, inputs).await?;
    engine.serve_api();
    while !engine.is_finished() && !engine.is_leaving() {
        let wake = engine.turn();
        let sleep = async {
            match wake {
                Some(moment) => tokio::time::sleep_until(engine.runtime_instant(moment)).await,
                None => std::future::pending().await,
            }
        };
        let input = tokio::select! {
            input = incoming.recv() => input,
            () = sleep => None,
        };
        if let Some(input) = input {
            engine.take(input);
            take_what_follows(&mut engine, &mut incoming).await;
        }
    }
    if engine.is_leaving() {
        // What was answered is on its way to whoever asked.
        for _ in 0..FAREWELL {
            tokio::task::yield_now().await;
        }
        return Ok(());
    }
    // The keeper ends us; what was just asked of it still has to be sent.
    while let Some(input) = incoming.recv().await {
        engine.take(input);
    }
    Ok(())
}

/// Takes in what has come with an input, so that one turn is made for all of it: what comes seldom comes alone (the starts
/// of a system's replicas, and what their first probes find). A turn costs as much as there are services.
async fn take_what_follows(engine: &mut Engine, incoming: &mut UnboundedReceiver<Input>) {
    for _ in 0..ROUNDS {
        // Tasks that hold an answer already hand it over now.
        tokio::task::yield_now().await;
        let mut came = false;
        while let Ok(input) = incoming.try_recv() {
            engine.take(input);
            came = true;
        }
        if !came {
            return;
        }
    }
}

/// What Plimsoll's own processes need of the environment.
fn own_environment() -> Vec<(String, String)> {
    let names = ["PATH", "HOME", "TMPDIR"].into_iter().chain(TUNING);
    names.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect()
}

/// Whether this program could go on with what an engine of that state directory has written down.
///
/// # Errors
/// What it does not understand, for a person.
pub fn understands(state: &std::path::Path) -> Result<(), String> {
    record::not_understood(&Place::new(state).journal()).map_or(Ok(()), Err)
}
