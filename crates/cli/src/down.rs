//! `plimsoll down`: end the system, and wait until nothing of it runs.

use crate::{args::At, print, project};
use anyhow::bail;
use plimsoll_api::{Client, ClientError};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// The longest wait: a service may have a long grace.
const PATIENCE: Duration = Duration::from_secs(600);
/// The longest wait for an engine that answers at all.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Ends the system; of `keeper`, if one is named. Systemd names the one it knows of, or none if that has died: then the
/// system runs on, and another keeper takes over.
pub(crate) async fn down(at: &At, volumes: bool, keeper: Option<&str>) -> anyhow::Result<ExitCode> {
    let place = project::place(at)?;
    let client = Client::new(place.api_socket());
    if let Some(keeper) = keeper
        && !looks_after(&client, keeper).await
    {
        print::line("nothing is ended: that keeper does not look after it");
        return Ok(ExitCode::SUCCESS);
    }
    if !end(&client, volumes).await? {
        print::line("nothing to end: no system is up here");
        return Ok(ExitCode::SUCCESS);
    }
    wait_until_gone(&client).await?;
    print::line(if volumes { "ended; its stores' data is gone" } else { "ended" });
    Ok(ExitCode::SUCCESS)
}

/// Whether the process of that number is the keeper of the system. Without an engine that says otherwise it is believed.
async fn looks_after(client: &Client, keeper: &str) -> bool {
    let Ok(pid) = keeper.parse::<i32>() else { return false };
    let Ok(status) = client.status().await else { return true };
    status.processes.get("keeper").is_none_or(|own| own.pid == pid)
}

/// Asks for the end of the system; whether there was one. An engine that breaks off its answer has died, and the next one
/// is asked again, or the system has ended already.
pub(crate) async fn end(client: &Client, volumes: bool) -> anyhow::Result<bool> {
    let asked_at = Instant::now();
    let mut was_there = false;
    loop {
        match client.down(volumes).await {
            Ok(()) => return Ok(true),
            Err(ClientError::NotUp { .. }) => return Ok(was_there),
            Err(ClientError::Broken(_)) if asked_at.elapsed() < ANSWER_MAX => was_there = true,
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until nobody serves the API any more: the keeper goes last.
pub(crate) async fn wait_until_gone(client: &Client) -> anyhow::Result<()> {
    let gone = async {
        loop {
            if !client.is_there().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, gone).await.is_err() {
        bail!("the system is still ending after {} s", PATIENCE.as_secs());
    }
    Ok(())
}
