//! `plimsoll prove`: every promise, tested for real.

use crate::{args::Prove, print, project};
use std::process::ExitCode;

/// Tests promises of the running system.
pub(crate) async fn prove(args: Prove) -> anyhow::Result<ExitCode> {
    let (client, _) = project::client(&args.at).await?;
    let _ = client;
    print::error("prove is not wired yet");
    Ok(ExitCode::FAILURE)
}
