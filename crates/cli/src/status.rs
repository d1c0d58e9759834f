//! `plimsoll status`: one page about the system.

use crate::{
    args::At,
    print, project, sizes,
    table::{row, table},
};
use anyhow::Context;
use plimsoll_api::{Status, release::ReleaseStatus, status::ReplicaStatus};
use plimsoll_model::system::SettingClass;
use std::{process::ExitCode, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// Shows the status, once or whenever it changes.
pub(crate) async fn status(at: &At, (watch, sizes): (bool, bool), json: bool) -> anyhow::Result<ExitCode> {
    if !watch {
        let (client, _) = project::client(at).await?;
        print::raw(&page(&client.status().await?, sizes, json)?);
        return Ok(ExitCode::SUCCESS);
    }
    // One listener from the start: a Ctrl-C at whatever moment ends it.
    let mut interrupts = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    tokio::select! {
        biased;
        _ = interrupts.recv() => Ok(crate::interrupted::code()),
        gone = show_changes(at, sizes, json) => gone.map(|()| ExitCode::SUCCESS),
    }
}

/// Shows the status whenever it changes, for ever.
async fn show_changes(at: &At, sizes: bool, json: bool) -> anyhow::Result<()> {
    let (client, _) = project::client(at).await?;
    let mut last = String::new();
    loop {
        let page = match client.status().await {
            Ok(now) => page(&now, sizes, json)?,
            // The engine is being exchanged, or comes back.
            Err(_) if client.is_there().await => last.clone(),
            Err(error) => return Err(error.into()),
        };
        if page != last {
            print::raw(if json { "" } else { "\x1b[2J\x1b[H" });
            print::raw(&page);
            last = page;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn page(status: &Status, sizes: bool, json: bool) -> anyhow::Result<String> {
    Ok(match (json, sizes) {
        (true, _) => serde_json::to_string_pretty(status)? + "\n",
        (_, true) => sizes::text(status),
        _ => text(status),
    })
}

/// The page.
pub(crate) fn text(status: &Status) -> String {
    let mut page = head(status);
    if !status.stores.is_empty() {
        page.push_str(&table(&stores(status)));
        page.push('\n');
    }
    page.push_str(&table(&services(status)));
    for (name, service) in &status.services {
        if let Some(release) = &service.releasing {
            page.push_str(&format!("\nrelease {name}: {}\n", released(release)));
        }
        if let Some(said) = &service.autoscaling {
            page.push_str(&format!("\nautoscaling {name}: {said}\n"));
        }
    }
    for ingress in &status.ingress {
        let hosts = ingress.hosts.join(", ");
        match &ingress.problem {
            None => page.push_str(&format!("\n{}  ({hosts})\n", ingress.url)),
            Some(why) => page.push_str(&format!("\n{}  is not served: {why}\n", ingress.url)),
        }
    }
    let off: Vec<&str> = status
        .unenforced
        .iter()
        .filter(|setting| setting.class != SettingClass::Enforced)
        .map(|setting| setting.path.as_str())
        .collect();
    if !off.is_empty() {
        page.push_str(&format!("\nnot enforced on this machine: {}\n", off.join(", ")));
    }
    if let Some(upgrade) = status.upgrade.as_ref().filter(|upgrade| upgrade.under_way) {
        page.push_str(&format!("\nupgrading to {}: {}\n", upgrade.to, upgrade.message));
    }
    for stuck in &status.stuck {
        page.push_str(&format!("\ncan't get ready: {stuck}\n"));
    }
    for warning in &status.warnings {
        page.push_str(&format!("! {warning}\n"));
    }
    page
}

/// How a release stands.
fn released(release: &ReleaseStatus) -> String {
    if let Some(held) = &release.held {
        return format!("{} does not run: {held}", release.revision);
    }
    let mut said = format!("{}, {}", release.revision, release.stage);
    if let Some(share) = release.share {
        said.push_str(&format!(", {share} of the traffic"));
    }
    if let Some(verdict) = &release.verdict {
        let missing = release.missing.as_ref().map(|missing| format!(" ({missing})")).unwrap_or_default();
        said.push_str(&format!("; verdict: {verdict}{missing}"));
    }
    format!("{said}; {}", release.reason)
}

fn head(status: &Status) -> String {
    let environment = status.environment.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    let state = match (status.ending, status.settled) {
        (true, _) => "ending",
        (_, true) => "ready",
        _ => "not ready yet",
    };
    let own: Vec<String> = status
        .processes
        .iter()
        .map(|(name, process)| {
            let memory = process.memory_pss.map(|bytes| format!(" {} MB", bytes / 1_000_000)).unwrap_or_default();
            format!("{name} {}{memory}", process.pid)
        })
        .collect();
    format!("{}{environment}: {state}   [{}]\n\n", status.system, own.join(", "))
}

fn stores(status: &Status) -> Vec<Vec<String>> {
    let mut rows = vec![row(["STORE", "ENGINE", "PHASE", "ADDRESS", "ABOUT"])];
    for (name, store) in &status.stores {
        rows.push(row([name, &store.engine, &store.phase, &store.address, &first_line(&store.reason)]));
    }
    rows
}

fn services(status: &Status) -> Vec<Vec<String>> {
    let mut rows = vec![row(["SERVICE", "READY", "REPLICA", "PHASE", "PID", "ADDRESS", "RESTARTS", "MEMORY", "ABOUT"])];
    for (name, service) in &status.services {
        let ready = format!("{}/{}", service.ready, service.wanted);
        if service.replicas.is_empty() {
            let about = match service.waiting_on.as_slice() {
                [] => String::new(),
                on => format!("waiting for {}", on.join(", ")),
            };
            rows.push(row([name, &ready, "", "", "", "", "", "", &about]));
        }
        for (place, replica) in service.replicas.iter().enumerate() {
            let (name, ready) = if place == 0 { (name.as_str(), ready.as_str()) } else { ("", "") };
            rows.push(replica_row(name, ready, replica));
        }
    }
    rows
}

fn replica_row(name: &str, ready: &str, replica: &ReplicaStatus) -> Vec<String> {
    let pid = replica.pid.map(|pid| pid.to_string()).unwrap_or_default();
    let memory = replica.memory.map(|bytes| format!("{} MB", bytes / 1_000_000)).unwrap_or_default();
    let mut about = match replica.start_took {
        Some(took) if replica.phase == "Ready" => format!("ready in {} ms", took.0),
        _ => first_line(&replica.reason),
    };
    if let (Some(exit), true) = (&replica.last_exit, replica.phase != "Ready") {
        about = format!("{about} (last: {exit})");
    }
    if !replica.unenforced.is_empty() {
        about.push_str(&format!("; not enforced: {}", replica.unenforced.join(", ")));
    }
    let address = replica.address.clone().unwrap_or_default();
    let (id, restarts) = (replica.id.to_string(), replica.restarts.to_string());
    row([name, ready, &id, &replica.phase, &pid, &address, &restarts, &memory, &about])
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
