//! `plimsoll logs`.

use crate::{args::At, print, project};
use std::process::ExitCode;

/// Shows log lines.
pub(crate) async fn logs(at: &At, service: Option<&str>, follow: bool, tail: usize) -> anyhow::Result<ExitCode> {
    let (client, _) = project::client(at).await?;
    let mut lines = client.logs(service, tail, follow).await?;
    while let Some(line) = lines.next().await? {
        print::line(&line);
    }
    Ok(ExitCode::SUCCESS)
}
