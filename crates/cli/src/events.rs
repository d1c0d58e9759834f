//! `plimsoll events`: what happened and why.

use crate::{args::At, print, project};
use plimsoll_api::Event;
use std::process::ExitCode;

/// Shows events.
pub(crate) async fn events(at: &At, follow: bool, json: bool) -> anyhow::Result<ExitCode> {
    let (client, _) = project::client(at).await?;
    let mut lines = client.events(0, follow).await?;
    while let Some(line) = lines.next().await? {
        match serde_json::from_str::<Event>(&line) {
            Ok(event) if !json => print::line(&show(&event)),
            _ => print::line(&line),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One event as a line.
pub(crate) fn show(event: &Event) -> String {
    let time = i64::try_from(event.at.0).ok().and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
    let time = time.map(|time| time.strftime("%H:%M:%S%.3f").to_string()).unwrap_or_default();
    let mark = if event.warning { "!" } else { " " };
    format!("{time} {mark} {:16} {:12} {}", event.subject, event.reason, event.message)
}
