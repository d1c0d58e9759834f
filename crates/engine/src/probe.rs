//! Attempts of probes. Each ends within its time-out with a word for a person; none of them decides anything.

mod exec;
mod grpc;
mod http;
mod tls;

use crate::{input::Input, oneshot::Oneshots};
use plimsoll_control::health::{Outcome, ProbeKind};
use plimsoll_model::{
    Instant, Millis,
    probe::{Handler, Probe},
};
use plimsoll_wire::keeper::Spawn;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::{net::TcpStream, sync::mpsc::UnboundedSender, time::timeout};

/// One attempt to make.
pub(crate) struct Attempt {
    /// The process's id.
    pub(crate) process: String,
    /// Which probe.
    pub(crate) kind: ProbeKind,
    /// The probe.
    pub(crate) probe: Probe,
    /// The replica's own port.
    pub(crate) port: Option<u16>,
    /// The command to run, for `exec`.
    pub(crate) command: Option<Spawn>,
}

/// Makes the attempt and tells how it ended.
pub(crate) async fn make(attempt: Attempt, oneshots: Oneshots, inputs: UnboundedSender<Input>) {
    let result = match timeout(attempt.probe.timeout.as_duration(), try_it(&attempt, &oneshots)).await {
        Ok(result) => result,
        Err(_) => {
            give_up(&attempt, &oneshots).await;
            Ok(Err(format!("no answer within {}", attempt.probe.timeout)))
        }
    };
    let Attempt { process, kind, .. } = attempt;
    let input = match result {
        Err(Unmade) => Input::ProbeUnmade { process, probe: kind },
        Ok(result) => {
            let outcome = Outcome { probe: kind, passed: result.is_ok(), at: Instant(0) };
            Input::Probed { process, outcome, detail: result.unwrap_or_else(|why| why) }
        }
    };
    inputs.send(input).ok();
}

/// The attempt itself could not be made: no descriptors left, say. It says nothing about the replica.
pub(crate) struct Unmade;

/// How an attempt ended: what it met, as success or as failure.
type Met = Result<String, String>;

async fn try_it(attempt: &Attempt, oneshots: &Oneshots) -> Result<Met, Unmade> {
    let own = |port: &Option<u16>| {
        let port = port.or(attempt.port).unwrap_or(0);
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    };
    match &attempt.probe.handler {
        Handler::Tcp { port } => tcp(own(port)).await,
        Handler::HttpGet { path, port, tls, headers } => http::get(own(port), path, *tls, headers).await,
        Handler::Grpc { port, service } => grpc::check(own(port), service).await,
        Handler::Exec { .. } => match &attempt.command {
            Some(spawn) => exec::run(spawn.clone(), oneshots).await,
            None => Err(Unmade),
        },
        Handler::Sleep { time } => {
            tokio::time::sleep(time.as_duration()).await;
            Ok(Ok("slept".into()))
        }
    }
}

async fn tcp(address: SocketAddr) -> Result<Met, Unmade> {
    Ok(connect(address).await?.map(|_| format!("{address} accepts connections")))
}

/// A connection, or why there is none.
async fn connect(address: SocketAddr) -> Result<Result<TcpStream, String>, Unmade> {
    match TcpStream::connect(address).await {
        Ok(stream) => Ok(Ok(stream)),
        Err(error) => match error.raw_os_error() {
            Some(errno) if errno == rustix::io::Errno::MFILE.raw_os_error() => Err(Unmade),
            Some(errno) if errno == rustix::io::Errno::NFILE.raw_os_error() => Err(Unmade),
            _ => Ok(Err(format!("{address}: {error}"))),
        },
    }
}

/// The time-out of a hook that is no probe.
pub(crate) const HOOK_TIMEOUT: Millis = Millis::from_secs(600);

/// Runs a hook to its end, or to its time-out. How it ends makes no difference.
pub(crate) async fn run_hook(probe: &Probe, port: Option<u16>, command: Option<Spawn>, oneshots: &Oneshots) {
    let attempt = Attempt { process: String::new(), kind: ProbeKind::Readiness, probe: probe.clone(), port, command };
    if timeout(probe.timeout.as_duration(), try_it(&attempt, oneshots)).await.is_err() {
        give_up(&attempt, oneshots).await;
    }
}

/// Ends the command of an attempt that took too long: it would go on, and the next one beside it.
async fn give_up(attempt: &Attempt, oneshots: &Oneshots) {
    if let Some(spawn) = &attempt.command {
        oneshots.kill(&spawn.id).await;
    }
}
