//! `plimsoll up` in the foreground: what services print and what happens, until Ctrl-C or until the system has ended.

use crate::{events::show, print};
use anyhow::bail;
use plimsoll_api::{Client, Event, client::Lines};
use std::{process::ExitCode, time::Duration};

/// Shows what happens until the system has ended.
pub(crate) async fn stay(client: &Client, after: u64) -> anyhow::Result<ExitCode> {
    let (mut after, mut lines) = (after, client.events(after, true).await?);
    loop {
        match lines.next().await {
            Ok(Some(line)) => after = show_line(&line).unwrap_or(after),
            _ => match again(client, after).await {
                Ok(fresh) => lines = fresh,
                Err(error) if client.is_there().await => return Err(error),
                Err(_) => break,
            },
        }
    }
    print::note("the system has ended");
    Ok(ExitCode::SUCCESS)
}

/// Shows what services print from now on, also when the engine is started anew.
pub(crate) async fn show_logs(client: Client) {
    loop {
        if let Ok(mut lines) = client.logs(None, 0, true).await {
            while let Ok(Some(line)) = lines.next().await {
                print::line(&as_printed(&line));
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A line of a log in the columns of [`show`]: `TIME NAME TEXT` with its day cut off.
fn as_printed(line: &str) -> String {
    let mut parts = line.splitn(3, ' ');
    let (time, name, text) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let of_day = time.split_once('T').map_or(time, |(_, of_day)| of_day);
    format!("{:12}   {name:16} | {text}", of_day.get(..12).unwrap_or(of_day))
}

/// Shows an event that came as a line; its number, so that whoever asks again goes on behind it.
pub(crate) fn show_line(line: &str) -> Option<u64> {
    let event: Event = serde_json::from_str(line).ok()?;
    print::note(&show(&event));
    Some(event.number)
}

/// The stream of events anew, after the engine was started anew.
pub(crate) async fn again(client: &Client, after: u64) -> anyhow::Result<Lines> {
    for _ in 0..500 {
        if let Ok(lines) = client.events(after, true).await {
            return Ok(lines);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("the engine does not come back; see its log")
}

#[cfg(test)]
mod tests {
    use super::as_printed;

    #[test]
    fn a_line_of_a_log_stands_in_the_columns_of_the_events() {
        assert_eq!(
            as_printed("2026-11-28T17:49:31.009684Z bad-1 boom at  noon"),
            "17:49:31.009   bad-1            | boom at  noon"
        );
        assert_eq!(as_printed("2026-11-28T17:49:31.009684Z bad-1 "), "17:49:31.009   bad-1            | ");
    }
}
