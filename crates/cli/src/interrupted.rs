//! Ctrl-C in the middle of `plimsoll up`, at whatever moment it comes.

use crate::{args::Up, keeper, print};
use plimsoll_wire::place::Place;
use std::{cell::Cell, path::Path, process::ExitCode};
use tokio::signal::unix::Signal;

/// How a command ends that was interrupted.
const INTERRUPTED: u8 = 130;

/// How far a coming up is: what an interruption has to undo.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// There may be a keeper.
    pub(crate) begun: Cell<bool>,
}

/// The exit code of a command that was interrupted.
pub(crate) fn code() -> ExitCode {
    ExitCode::from(INTERRUPTED)
}

/// Ends the system that `up` keeps in the foreground. One that is only being waited for is left alone, and where nothing was
/// begun there is nothing to end. A second Ctrl-C waits for nothing.
pub(crate) async fn interrupted(
    up: &Up,
    (place, folder): (&Place, &Path),
    progress: &Progress,
    interrupts: &mut Signal,
) -> anyhow::Result<ExitCode> {
    if !progress.begun.get() {
        print::note("nothing was changed");
        return Ok(code());
    }
    if up.detach {
        print::note("not waited for any longer; it goes on, and `plimsoll down` ends it");
        return Ok(code());
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
    Ok(code())
}
