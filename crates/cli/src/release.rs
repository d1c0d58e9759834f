//! `plimsoll release`, `rollback` and `history`: a new version in, a former one back, and what happened.

use crate::{
    args::{At, Gate, Release, ReleaseCommand},
    print, project,
    table::{row, table},
    up,
};
use anyhow::bail;
use plimsoll_api::{
    Client, Status,
    release::{Order, Wish},
};
use std::process::ExitCode;

/// Brings the file's versions in, or does something about a release that is under way.
pub(crate) async fn release(release: Release) -> anyhow::Result<ExitCode> {
    match release.command {
        None => bring_in(&release).await,
        Some(ReleaseCommand::Promote(gate)) => pass(gate, Wish::Promote).await,
        Some(ReleaseCommand::Abort(gate)) => pass(gate, Wish::Abort).await,
        Some(ReleaseCommand::Pause(gate)) => pass(gate, Wish::Pause).await,
        Some(ReleaseCommand::Resume(gate)) => pass(gate, Wish::Resume).await,
        Some(ReleaseCommand::Forgive(gate)) => pass(gate, Wish::Forgive).await,
    }
}

/// Reads the file again, builds, offers, and waits for the end.
async fn bring_in(release: &Release) -> anyhow::Result<ExitCode> {
    let Some(project) = project::read(release.at.file.as_deref(), &release.overlay)? else {
        return Ok(ExitCode::FAILURE);
    };
    let (client, _) = project::client(&release.at).await?;
    for name in &release.services {
        if !project.system.services.contains_key(name) {
            bail!("the file has no service {name}");
        }
    }
    if !release.no_build && !up::build(&project, &release.services).await? {
        return Ok(crate::interrupted::code());
    }
    let before = last_row(&client).await?;
    let mut offer = up::offer(&project);
    offer.only.clone_from(&release.services);
    let accepted = client.offer(&offer).await?;
    for change in &accepted.changes {
        print::note(&format!("  {:8} {}", change.what, change.name));
    }
    if accepted.changes.is_empty() {
        let now = client.status().await?;
        if now.settled {
            print::line("nothing to release: everything is as the file says, or stays as it was decided");
            return Ok(if is_good(&client, before, &now).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    if release.detach {
        print::line("the release goes on; `plimsoll status` shows it, `plimsoll history` what came of it");
        return Ok(ExitCode::SUCCESS);
    }
    let now = match up::wait_until_ready(&client, accepted.after, release.timeout).await? {
        up::Arrival::Ready(now) => now,
        up::Arrival::Stuck(now) => {
            print::error(&format!("{}; the release goes on", now.stuck.join("; ")));
            return Ok(ExitCode::FAILURE);
        }
        up::Arrival::TimeOver => {
            print::error("the release is still under way; it goes on");
            return Ok(ExitCode::FAILURE);
        }
    };
    print::raw(&crate::status::text(&now));
    Ok(if is_good(&client, before, &now).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The number of the last line of the ledger.
pub(crate) async fn last_row(client: &Client) -> anyhow::Result<u64> {
    Ok(client.releases().await?.releases.last().map_or(0, |line| line.number))
}

/// Whether nothing was sent back since that line of the ledger, and every service runs what the file asks for. What is
/// not so is told.
pub(crate) async fn is_good(client: &Client, before: u64, now: &Status) -> anyhow::Result<bool> {
    let mut good = true;
    for line in client.releases().await?.releases {
        if line.number > before && line.what == "RolledBack" {
            print::error(&format!("{}: {}", line.service, line.message));
            good = false;
        }
    }
    for (name, service) in &now.services {
        if let Some(held) = service.releasing.as_ref().and_then(|release| release.held.as_ref()) {
            let wanted = &service.revision;
            print::error(&format!(
                "{name} does not run the file's version {wanted}: {held}; change it, or `plimsoll release forgive {name}`"
            ));
            good = false;
        }
    }
    Ok(good)
}

/// Does something about the release of one service.
async fn pass(gate: Gate, wish: Wish) -> anyhow::Result<ExitCode> {
    let (client, _) = project::client(&gate.at).await?;
    let order = Order { service: Some(gate.service), wish, by: person(), why: gate.why, to: None };
    print::line(&client.release(&order).await?);
    Ok(ExitCode::SUCCESS)
}

/// Goes back, and waits until it is done.
pub(crate) async fn rollback(
    at: &At,
    service: Option<String>,
    to: Option<u64>,
    why: String,
) -> anyhow::Result<ExitCode> {
    let (client, _) = project::client(at).await?;
    let after = client.events_so_far(0).await?.last().map_or(0, |event| event.number);
    let order = Order { service, wish: Wish::Rollback, by: person(), why, to };
    print::line(&client.release(&order).await?);
    let up::Arrival::Ready(now) = up::wait_until_ready(&client, after, None).await? else {
        print::error("something of it crashes: see `plimsoll status`");
        return Ok(ExitCode::FAILURE);
    };
    print::raw(&crate::status::text(&now));
    Ok(ExitCode::SUCCESS)
}

/// Shows what happened in releases.
pub(crate) async fn history(at: &At, json: bool) -> anyhow::Result<ExitCode> {
    let (client, _) = project::client(at).await?;
    let ledger = client.releases().await?;
    if json {
        print::line(&serde_json::to_string_pretty(&ledger)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![row(["NUMBER", "WHEN", "SERVICE", "VERSION", "WHAT", "BY", "ABOUT"])];
    for line in &ledger.releases {
        let when = i64::try_from(line.at.0).ok().and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
        let when = when.map(|when| when.strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default();
        let version = if line.kept { line.revision.to_string() } else { format!("{} (not kept)", line.revision) };
        let about = if line.why.is_empty() { line.message.clone() } else { format!("{} ({})", line.message, line.why) };
        rows.push(row([&line.number.to_string(), &when, &line.service, &version, &line.what, &line.by, &about]));
    }
    print::raw(&table(&rows));
    Ok(ExitCode::SUCCESS)
}

/// Who runs this.
fn person() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
    named.unwrap_or_else(|| format!("user {}", rustix::process::getuid().as_raw()))
}
