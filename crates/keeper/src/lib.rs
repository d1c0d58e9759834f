//! The parent of every process of a system: it starts them, sees them end, and keeps what must outlive engine and gateway
//! (exit statuses, listening sockets, logs).
//!
//! Invariant: it decides nothing about services, parses no file of a person's, and has one thread.

mod asks;
mod cgroup;
mod child;
pub mod client;
mod connection;
mod inventory;
mod keeper;
mod kept;
mod launch;
mod lives;
mod log_file;
mod logs;
mod port_owner;
mod proc;
mod raw;
mod rlimits;
mod spawn;
mod startup;
mod stopping;
mod takeover;
mod trial;
mod upgrade;

pub use cgroup::above::{Allowance, allowance};
use keeper::Keeper;
use kept::Kept;
pub use log_file::LogCaps;
use startup::{StartError, act};
use std::{path::PathBuf, process::ExitCode};

/// How a keeper is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The state directory; made if it is not there.
    pub state: PathBuf,
    /// The program whose `engine` subcommand is the engine.
    pub program: PathBuf,
    /// Start an engine, and start it again whenever it ends.
    pub engine: bool,
    /// There was a keeper, and it died: statuses may be unknown. What it left is taken over in any case.
    pub take_over: bool,
    /// How much of each log is kept.
    pub log_caps: LogCaps,
}

/// Whether this program could take over from a keeper of that state directory.
///
/// # Errors
/// What it does not understand, for a person.
pub fn understands(state: &std::path::Path) -> Result<(), String> {
    let path = plimsoll_wire::place::Place::new(state).inventory();
    match inventory::Book::read(&path) {
        (None, true) => Err(format!("the keeper's inventory, {}", path.display())),
        _ => Ok(()),
    }
}

/// Looks after a system until it is stopped. Success is a complete stop; failure is told on standard error before anything
/// was started.
///
/// Must be called before the process has another thread, and owns the process from then on: its session, signals, standard
/// streams and children.
#[must_use]
pub fn run(options: Options) -> ExitCode {
    match begin(&options) {
        Ok(mut keeper) => keeper.serve(),
        Err(error) => {
            eprintln!("plimsoll keeper: {error}");
            ExitCode::FAILURE
        }
    }
}

fn begin(options: &Options) -> Result<Keeper, StartError> {
    if let Some(resumed) = upgrade::resume(options) {
        return resumed;
    }
    let foundation = startup::prepare(options)?;
    let api = startup::api_listener(&foundation.place).map_err(act("listen for the local API"))?;
    startup::redirect_streams(&foundation.place, options.log_caps).map_err(act("open the keeper's log"))?;
    let mut keeper = Keeper::new(foundation).map_err(act("wait for events"))?;
    keeper.keep(plimsoll_wire::place::API, Kept { fd: api, listens: None });
    keeper.take_over(options.take_over);
    if options.engine {
        keeper.ensure_engine();
    }
    Ok(keeper)
}
