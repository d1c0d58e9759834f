//! `plimsoll explain`: why something was decided, line by line, and what would have changed it.

use crate::{args::At, events, print, project};
use anyhow::bail;
use plimsoll_api::{Client, ClientError, Explained, Explanation};
use plimsoll_engine::explain::{self, Of};
use std::process::ExitCode;

/// Explains what the words name: `last`, `event 118`, `service cart`, `replica cart-3`, `store orders`; or just a name or a
/// number.
pub(crate) async fn explain(at: &At, words: &[String], json: bool) -> anyhow::Result<ExitCode> {
    let (kind, name) = match words {
        [] => ("last", ""),
        [word] if word == "last" => ("last", ""),
        [number] if number.trim_start_matches('#').parse::<u64>().is_ok() => ("event", number.as_str()),
        [name] => ("service", name.as_str()),
        [kind, name] => (kind.as_str(), name.as_str()),
        _ => bail!("name one thing: `last`, `event N`, `service NAME`, `replica NAME-N` or `store NAME`"),
    };
    let name = name.trim_start_matches('#');
    let Some(of) = Of::parse(kind, name) else {
        bail!("`{kind} {name}` is nothing: write `last`, `event N`, `service NAME`, `replica NAME-N` or `store NAME`");
    };
    let place = project::place(at)?;
    let explanation = match Client::new(place.api_socket()).explain(kind, name).await {
        Err(ClientError::NotUp { .. }) if place.journal().is_dir() => {
            print::note("no system is up here: from what its journal still holds");
            explain::explain(&place, &of)
        }
        answer => answer?,
    };
    if json {
        print::line(&serde_json::to_string_pretty(&explanation)?);
    } else {
        print::raw(&text(&explanation));
    }
    let found = !explanation.decisions.is_empty() || explanation.now.is_some();
    if !found {
        print::error(&format!("nothing that is still kept was about {kind} {name}"));
    }
    Ok(if found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(explanation: &Explanation) -> String {
    let mut page = String::new();
    for gap in &explanation.gaps {
        page.push_str(&format!("! not readable: {gap}\n"));
    }
    let decisions = explanation.decisions.iter().map(decision);
    let now = explanation.now.iter().map(|look| format!("its autoscaler's last look:\n{}", decision(look)));
    page.push_str(&decisions.chain(now).collect::<Vec<_>>().join("\n"));
    page
}

/// One decision as a paragraph.
fn decision(one: &Explained) -> String {
    let event = &one.event;
    let number = if event.number == 0 { String::new() } else { format!("#{} ", event.number) };
    let mut page = format!("{number}{}\n", events::show(event).trim_start());
    if one.by.is_empty() {
        page.push_str("  no decider was asked: the event says all that is known\n");
        return page;
    }
    page.push_str(&format!("  decided by {}: {}\n", one.by, one.act));
    for step in &one.steps {
        page.push_str(&format!("    {step}\n"));
    }
    if !one.otherwise.is_empty() {
        page.push_str("  otherwise\n");
    }
    for other in &one.otherwise {
        page.push_str(&format!("    {other}\n"));
    }
    page
}
