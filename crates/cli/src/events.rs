//! `plimsoll events`: what happened and why.

use crate::{args::Events, print, project};
use anyhow::Context;
use plimsoll_api::{Client, ClientError, Event, client::Lines};
use plimsoll_journal::history::history;
use plimsoll_model::Instant;
use plimsoll_wire::place::Place;
use std::process::ExitCode;

/// Shows events; without an engine those that the journal still holds.
pub(crate) async fn events(asked: &Events) -> anyhow::Result<ExitCode> {
    let place = project::place(&asked.at.at())?;
    let since = asked.since.as_deref().map(moment).transpose()?.unwrap_or_default();
    let client = Client::new(place.api_socket());
    let lines = match asked.last {
        Some(last) if since == Instant(0) => client.last_events(last, asked.follow).await,
        _ => client.events(0, asked.follow).await,
    };
    match lines {
        Err(ClientError::NotUp { .. }) if place.journal().is_dir() => from_journal(&place, asked, since),
        // Says how to start one.
        Err(ClientError::NotUp { .. }) => project::client(&asked.at.at()).await.map(|_| ExitCode::SUCCESS),
        lines => from_engine(lines?, asked, since).await,
    }
}

async fn from_engine(mut lines: Lines, asked: &Events, since: Instant) -> anyhow::Result<ExitCode> {
    let mut shown = Vec::new();
    while let Some(line) = lines.next().await? {
        let event: Event = serde_json::from_str(&line).context("the engine's events are not understood")?;
        if event.at < since {
            continue;
        }
        if asked.follow {
            print::line(&as_line(&event, asked.json)?);
        } else {
            shown.push(event);
        }
    }
    print_last(&shown, asked)
}

fn from_journal(place: &Place, asked: &Events, since: Instant) -> anyhow::Result<ExitCode> {
    print::note("no system is up here: from what its journal still holds");
    let history = history(&place.journal());
    for gap in &history.gaps {
        print::error(&format!("not readable: {gap}"));
    }
    let events: Vec<Event> = history.told.into_iter().filter(|event| event.at >= since).collect();
    print_last(&events, asked)
}

fn print_last(events: &[Event], asked: &Events) -> anyhow::Result<ExitCode> {
    let from = events.len().saturating_sub(asked.last.unwrap_or(usize::MAX));
    for event in &events[from..] {
        print::line(&as_line(event, asked.json)?);
    }
    Ok(ExitCode::SUCCESS)
}

fn as_line(event: &Event, json: bool) -> anyhow::Result<String> {
    Ok(if json { serde_json::to_string(event)? } else { show(event) })
}

/// `10m` ago, or a moment as RFC 3339 writes it.
fn moment(text: &str) -> anyhow::Result<Instant> {
    let moment = match text.parse::<jiff::SignedDuration>() {
        Ok(ago) => jiff::Timestamp::now().checked_sub(ago).ok(),
        Err(_) => text.parse::<jiff::Timestamp>().ok(),
    };
    let micros = moment.and_then(|moment| u64::try_from(moment.as_microsecond()).ok());
    micros.map(Instant).with_context(|| format!("`{text}` is no time: write 10m, 2h, or 2026-11-28T09:30:00Z"))
}

/// One event as a line.
pub(crate) fn show(event: &Event) -> String {
    let mark = if event.warning { "!" } else { " " };
    format!("{} {mark} {:16} {:12} {}", time(event.at), event.subject, event.reason, event.message)
}

/// The time of day, in UTC.
pub(crate) fn time(at: Instant) -> String {
    let time = i64::try_from(at.0).ok().and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
    time.map(|time| time.strftime("%H:%M:%S%.3f").to_string()).unwrap_or_default()
}
