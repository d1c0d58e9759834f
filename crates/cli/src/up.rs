//! `plimsoll up`: build, offer, wait until it is ready, and stay.

use crate::{
    args::Up,
    keeper, print, project, release, status,
    stay::{again, interrupted, show_line, show_logs, stay},
};
use anyhow::{Context, bail};
use plimsoll_api::{Client, Offer, Status};
use plimsoll_model::system::SettingClass;
use std::{collections::BTreeMap, process::ExitCode, time::Duration};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Variables that services inherit from whoever runs `up`.
pub(crate) const INHERITED: [&str; 10] =
    ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SHELL", "XDG_RUNTIME_DIR"];

/// Runs the system.
pub(crate) async fn up(up: Up) -> anyhow::Result<ExitCode> {
    let Some(project) = project::read(&up.at.file)? else {
        tell_refused(&up).await;
        return Ok(ExitCode::FAILURE);
    };
    for chosen in &project.notes {
        print::note(&format!("note: {chosen}"));
    }
    if !up.no_build {
        build(&project, &[])?;
    }
    let place = project::place(&up.at)?;
    let client = keeper::ensure(&place, &project.folder).await?;
    // One listener from here to the end: a Ctrl-C between two waits is not lost.
    let mut interrupts = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let before = release::last_row(&client).await?;
    let accepted = client.offer(&offer(&project)).await?;
    if !up.detach {
        tokio::spawn(show_logs(client.clone()));
    }
    if accepted.changes.is_empty() {
        let now = client.status().await?;
        if now.settled {
            let good = release::is_good(&client, before, &now).await?;
            if good {
                print::line("nothing to change: everything is as the file says");
            }
            return finish(&up, &client, (&now, good), accepted.after, &mut interrupts).await;
        }
    }
    for change in &accepted.changes {
        print::note(&format!("  {:8} {}", change.what, change.name));
    }
    let ready = tokio::select! {
        ready = wait_until_ready(&client, accepted.after, Some(up.timeout)) => ready?,
        _ = interrupts.recv() => return interrupted(&client).await,
    };
    let Some(now) = ready else {
        let now = client.status().await?;
        print::raw(&status::text(&now));
        print::error(&format!("not everything is ready after {} s; it goes on being tried", up.timeout));
        if up.detach {
            return Ok(ExitCode::FAILURE);
        }
        return stay(&client, accepted.after, &mut interrupts).await;
    };
    let good = release::is_good(&client, before, &now).await?;
    finish(&up, &client, (&now, good), accepted.after, &mut interrupts).await
}

/// Tells a system that runs here that a file was refused, so that its events say so. Nobody need hear it.
async fn tell_refused(up: &Up) {
    let (Ok(place), Ok(file)) = (project::place(&up.at), project::find_file(&up.at.file)) else { return };
    let name = project::shown(&file);
    let (text, checked) = project::check(&file, &name, &up.at.file);
    let findings = plimsoll_spec::render_text(&checked.diagnostics, &plimsoll_spec::Source::new(&name, &text), false);
    let said = format!("{name} was refused, and nothing was changed:\n{findings}");
    Client::new(place.api_socket()).refused(&said).await.ok();
}

/// Runs the build commands of the services (of `only`, if that names any), one after the other, each only once.
pub(crate) fn build(project: &project::Project, only: &[String]) -> anyhow::Result<()> {
    let services = project.system.services.iter().filter(|(name, _)| only.is_empty() || only.contains(name));
    let commands: Vec<&String> = services.filter_map(|(_, service)| service.build.as_ref()?.command.as_ref()).collect();
    let mut done: Vec<&String> = Vec::new();
    for command in commands {
        if done.contains(&command) {
            continue;
        }
        print::note(&format!("building: {command}"));
        let status = std::process::Command::new("sh").arg("-c").arg(command).current_dir(&project.folder).status();
        let status = status.with_context(|| format!("cannot run `{command}`"))?;
        if !status.success() {
            bail!("`{command}` failed ({status}); nothing was changed");
        }
        done.push(command);
    }
    Ok(())
}

/// What is offered to the engine.
pub(crate) fn offer(project: &project::Project) -> Offer {
    let environment: BTreeMap<String, String> =
        INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
    Offer {
        system: project.system.clone(),
        text: project.text.clone(),
        file: project.file.display().to_string(),
        folder: project.folder.display().to_string(),
        environment,
        only: Vec::new(),
        secrets: secrets(&project.text),
    }
}

/// The secrets that the file names and the environment has.
fn secrets(text: &str) -> BTreeMap<String, String> {
    let names = text.split("$(secret:").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    names.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect()
}

/// Shows what happens until everything is ready; `None` when the time is over, where there is one.
pub(crate) async fn wait_until_ready(
    client: &Client,
    after: u64,
    seconds: Option<u64>,
) -> anyhow::Result<Option<Status>> {
    let wait = async {
        let mut lines = client.events(after, true).await?;
        loop {
            let now = client.status().await?;
            if now.settled {
                return anyhow::Ok(now);
            }
            let next = tokio::time::timeout(Duration::from_millis(100), lines.next()).await;
            match next {
                Ok(Ok(Some(line))) => show_line(&line),
                Ok(_) => lines = again(client, after).await?,
                Err(_) => {}
            }
        }
    };
    let Some(seconds) = seconds else { return Ok(Some(wait.await?)) };
    match tokio::time::timeout(Duration::from_secs(seconds), wait).await {
        Ok(status) => Ok(Some(status?)),
        Err(_) => Ok(None),
    }
}

async fn finish(
    up: &Up,
    client: &Client,
    (now, good): (&Status, bool),
    after: u64,
    interrupts: &mut Signal,
) -> anyhow::Result<ExitCode> {
    print::raw(&status::text(now));
    let recorded = now.unenforced.iter().filter(|setting| setting.class != SettingClass::Enforced).count();
    if recorded > 0 {
        print::note(&format!("{recorded} settings are not enforced on this machine: `plimsoll plan` lists them"));
    }
    let unserved = now.ingress.iter().any(|ingress| ingress.problem.is_some());
    if up.detach {
        return Ok(if unserved || !good { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    print::note("ready; Ctrl-C ends the system (`plimsoll up --detach` leaves it running)");
    let last = client.events_so_far(after).await.ok().and_then(|events| events.last().map(|event| event.number));
    stay(client, last.unwrap_or(after), interrupts).await
}
