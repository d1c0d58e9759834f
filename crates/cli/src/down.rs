//! `plimsoll down`: end the system, and wait until nothing of it runs.

use crate::{args::At, print, project};
use anyhow::bail;
use plimsoll_api::{Client, ClientError};
use std::{process::ExitCode, time::Duration};

/// The longest wait: a service may have a long grace.
const PATIENCE: Duration = Duration::from_secs(600);

/// Ends the system.
pub(crate) async fn down(at: &At, volumes: bool) -> anyhow::Result<ExitCode> {
    let place = project::place(at)?;
    let client = Client::new(place.api_socket());
    match client.down(volumes).await {
        Ok(()) => {}
        Err(ClientError::NotUp { .. }) => {
            print::line("nothing to end: no system is up here");
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => return Err(error.into()),
    }
    wait_until_gone(&client).await?;
    print::line(if volumes { "ended; its stores' data is gone" } else { "ended" });
    Ok(ExitCode::SUCCESS)
}

/// Waits until nobody serves the API any more: the keeper goes last.
pub(crate) async fn wait_until_gone(client: &Client) -> anyhow::Result<()> {
    let gone = async {
        loop {
            if let Err(ClientError::NotUp { .. }) = client.status().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, gone).await.is_err() {
        bail!("the system is still ending after {} s", PATIENCE.as_secs());
    }
    Ok(())
}
