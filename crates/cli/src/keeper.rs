//! Plimsoll's own processes, and how the first of them is started.

use crate::up::INHERITED;
use anyhow::{Context, bail};
use plimsoll_api::Client;
use plimsoll_wire::place::{Place, TUNING};
use std::{
    io::Read,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

/// Runs a keeper.
pub(crate) fn keeper(state: PathBuf, take_over: bool) -> ExitCode {
    let Some(program) = program() else { return ExitCode::FAILURE };
    let log_caps = plimsoll_keeper::LogCaps::default();
    plimsoll_keeper::run(plimsoll_keeper::Options { state, program, engine: true, take_over, log_caps })
}

/// Runs an engine.
pub(crate) fn engine(state: PathBuf) -> ExitCode {
    let Some(program) = program() else { return ExitCode::FAILURE };
    plimsoll_engine::run(plimsoll_engine::Options { state, program })
}

/// Runs a gateway.
pub(crate) fn gateway(state: PathBuf, id: String) -> ExitCode {
    plimsoll_gateway::run(plimsoll_gateway::Options { state, id })
}

/// This binary.
fn program() -> Option<PathBuf> {
    std::env::current_exe().ok()
}

/// Starts a keeper unless one runs; returns when its engine answers.
pub(crate) async fn ensure(place: &Place, folder: &Path) -> anyhow::Result<Client> {
    let client = Client::new(place.api_socket());
    if client.answers().await {
        return Ok(client);
    }
    let mut child = start(place, folder)?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        // The keeper listens before its engine serves: from then on the answer itself is waited for.
        if client.answers().await {
            return Ok(client);
        }
        if child.try_wait().context("cannot watch the keeper")?.is_some() {
            let mut why = String::new();
            if let Some(mut stderr) = child.stderr.take() {
                stderr.read_to_string(&mut why).ok();
            }
            // Another `up` was faster, and its engine will answer; or a keeper is just ending, and its place gets free.
            if !why.contains(LOCKED) {
                bail!("the keeper could not start: {}", why.trim());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            child = start(place, folder)?;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bail!("the engine does not answer; see {}", place.log("engine").display())
}

/// So long may a keeper and its engine take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a keeper says when there is another one.
const LOCKED: &str = "already looks after";

fn start(place: &Place, folder: &Path) -> anyhow::Result<Child> {
    let program = program().context("cannot tell where this program is")?;
    let inherited = INHERITED.iter().chain(&TUNING).filter_map(|name| Some((name, std::env::var_os(name)?)));
    Command::new(program)
        .env_clear()
        .envs(inherited)
        .arg("keeper")
        .arg("--state")
        .arg(&place.state)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .context("cannot start the keeper")
}
