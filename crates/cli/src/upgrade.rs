//! `plimsoll upgrade`: another program takes the place of the one that runs.

use crate::{args::At, print, project};
use anyhow::{Context, bail};
use plimsoll_api::{Client, status::UpgradeStatus};
use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Asks for it, and shows how it goes until it is over.
pub(crate) async fn upgrade(at: &At, to: Option<PathBuf>, seconds: u64) -> anyhow::Result<ExitCode> {
    let (client, _) = project::client(at).await?;
    let program = match to {
        Some(named) => named.canonicalize().with_context(|| format!("cannot find {}", named.display()))?,
        None => std::env::current_exe().context("cannot tell where this program is")?,
    };
    let attempt = client.upgrade(&program.display().to_string()).await?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut shown = String::new();
    loop {
        // The engine is replaced too: it may be gone for a moment.
        let now = look(&client).await.filter(|now| now.attempt >= attempt);
        if let Some(now) = now {
            if now.message != shown && now.under_way {
                print::note(&format!("  {}", now.message));
                shown.clone_from(&now.message);
            }
            if !now.under_way {
                return Ok(tell(&now));
            }
        }
        if Instant::now() >= until {
            bail!("the upgrade is not over after {seconds} s; it goes on: `plimsoll status` shows it");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn tell(outcome: &UpgradeStatus) -> ExitCode {
    if outcome.done {
        print::line(&outcome.message);
        return ExitCode::SUCCESS;
    }
    print::error(&outcome.message);
    ExitCode::FAILURE
}

async fn look(client: &Client) -> Option<UpgradeStatus> {
    client.status().await.ok()?.upgrade
}
