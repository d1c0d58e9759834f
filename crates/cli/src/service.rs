//! `plimsoll restart`, `plimsoll scale` and `plimsoll switchover`.

use crate::{args::At, print, project};
use std::process::ExitCode;

/// Replaces each replica of a service.
pub(crate) async fn restart(at: &At, service: &str) -> anyhow::Result<ExitCode> {
    let (client, _) = project::client(at).await?;
    client.restart(service).await?;
    print::line(&format!("the replicas of {service} are being replaced; `plimsoll status --watch` shows it"));
    Ok(ExitCode::SUCCESS)
}

/// Has another member become the primary of a store.
pub(crate) async fn switch_over(at: &At, store: &str, member: Option<&str>) -> anyhow::Result<ExitCode> {
    let (client, _) = project::client(at).await?;
    print::line(&client.switch_over(store, member).await?);
    Ok(ExitCode::SUCCESS)
}

/// Runs another number of replicas.
pub(crate) async fn scale(at: &At, service: &str, replicas: u32) -> anyhow::Result<ExitCode> {
    let (client, _) = project::client(at).await?;
    print::line(&client.scale(service, replicas).await?);
    Ok(ExitCode::SUCCESS)
}
