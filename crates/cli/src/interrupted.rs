//! Ctrl-C in the middle of `plimsoll up`, at whatever moment it comes; and whatever else means the same.
//!
//! Invariant: a signal that was ignored when `up` began (`nohup`, `setsid` of a shell) stays ignored.

use crate::{args::Up, keeper, print};
use anyhow::Context;
use plimsoll_wire::place::Place;
use std::{cell::Cell, path::Path, process::ExitCode, task::Poll};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is added to the number of a signal for the exit code of a command that it ended.
const BY_SIGNAL: u8 = 128;
/// What ends a command in the foreground, beside Ctrl-C: a closed terminal, and whoever asks it to end.
const ENDING: [(u8, fn() -> SignalKind); 3] =
    [(1, SignalKind::hangup), (2, SignalKind::interrupt), (15, SignalKind::terminate)];

/// Ctrl-C, SIGTERM and a closed terminal, from the moment when it was made.
pub(crate) struct Interrupts(Vec<(u8, Signal)>);

impl Interrupts {
    /// Listens. Before anything else: from here on none is lost.
    ///
    /// # Errors
    /// The kernel allows no more descriptors.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let ignored = ignored();
        let heard = ENDING.into_iter().filter(|(number, _)| ignored >> (number - 1) & 1 == 0);
        let heard = heard.map(|(number, kind)| Ok((number, signal(kind()).context("cannot listen for Ctrl-C")?)));
        Ok(Self(heard.collect::<anyhow::Result<_>>()?))
    }

    /// Waits for one of them; the exit code that it means.
    pub(crate) async fn recv(&mut self) -> ExitCode {
        std::future::poll_fn(|context| {
            for (number, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(ExitCode::from(BY_SIGNAL + *number));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// The signals that this process ignores, as bits from the lowest on.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// How far a coming up is: what an interruption has to undo.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// There may be a keeper.
    pub(crate) begun: Cell<bool>,
}

/// The exit code of a command that was interrupted.
pub(crate) fn code() -> ExitCode {
    ExitCode::from(BY_SIGNAL + 2)
}

/// Ends the system that `up` keeps in the foreground. One that is only being waited for is left alone, and where nothing was
/// begun there is nothing to end. A second Ctrl-C waits for nothing.
pub(crate) async fn interrupted(
    up: &Up,
    (place, folder): (&Place, &Path),
    progress: &Progress,
    (code, interrupts): (ExitCode, &mut Interrupts),
) -> anyhow::Result<ExitCode> {
    if !progress.begun.get() {
        print::note("nothing was changed");
        return Ok(code);
    }
    if up.detach {
        print::note("not waited for any longer; it goes on, and `plimsoll down` ends it");
        return Ok(code);
    }
    print::note("ending the system");
    let end = async {
        // A keeper that was just started serves nobody yet: it is waited for, so that nothing is left behind.
        let client = keeper::ensure(place, folder).await?;
        crate::down::end(&client, false).await?;
        crate::down::wait_until_gone(&client).await
    };
    tokio::select! {
        ended = end => ended?,
        _ = interrupts.recv() => print::note("it goes on ending"),
    }
    Ok(code)
}
