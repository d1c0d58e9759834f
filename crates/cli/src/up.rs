//! `plimsoll up`: build, offer, wait until it is ready, and stay.

use crate::{
    args::Up,
    interrupted::{self, Interrupts, Progress, interrupted},
    keeper, print, project, release, status,
    stay::{again, show_line, show_logs, stay},
    watch,
};
use anyhow::{Context, bail};
use plimsoll_api::{Client, ClientError, Offer, Status};
use plimsoll_model::{System, system::SettingClass};
use plimsoll_wire::place::Place;
use std::{collections::BTreeMap, os::unix::process::ExitStatusExt, process::ExitCode, time::Duration};

/// Variables that services inherit from whoever runs `up`.
pub(crate) const INHERITED: [&str; 10] =
    ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SHELL", "XDG_RUNTIME_DIR"];

/// The lines of its log that are shown of a replica that crashes.
const LOG_LINES: usize = 10;

/// How a wait for everything to be ready ended.
pub(crate) enum Arrival {
    Ready(Box<Status>),
    /// Something crashes whenever it is started, and nothing else is still coming.
    Stuck(Box<Status>),
    TimeOver,
}

/// Runs the system. Whatever is being waited for, Ctrl-C ends it, and so do SIGTERM and a terminal that is closed.
pub(crate) async fn up(up: Up) -> anyhow::Result<ExitCode> {
    let mut interrupts = Interrupts::listen()?;
    let Some(project) = project::read(up.at.file.as_deref(), &up.overlay)? else {
        tell_refused(&up).await;
        return Ok(ExitCode::FAILURE);
    };
    let place = project::place(&up.at)?;
    let progress = Progress::default();
    tokio::select! {
        biased;
        code = interrupts.recv() => interrupted(&up, (&place, &project.folder), &progress, (code, &mut interrupts)).await,
        code = run(&up, &place, &project, &progress) => code,
    }
}

async fn run(up: &Up, place: &Place, project: &project::Project, progress: &Progress) -> anyhow::Result<ExitCode> {
    for chosen in &project.notes {
        print::note(&format!("note: {chosen}"));
    }
    // Before the first build: what changes while that runs is not missed.
    let sources = if up.watch { Some(watch::Sources::of(project)?) } else { None };
    if !up.no_build && !build(project, &[]).await? {
        return Ok(interrupted::code());
    }
    progress.begun.set(true);
    let client = keeper::ensure(place, &project.folder).await?;
    let before = release::last_row(&client).await?;
    let accepted = client.offer(&offer(project)).await?;
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
            return finish(up, &client, (&now, good), accepted.after, sources).await;
        }
    }
    for change in &accepted.changes {
        print::note(&format!("  {:8} {}", change.what, change.name));
    }
    let why = match wait_until_ready(&client, accepted.after, Some(up.timeout)).await? {
        Arrival::Ready(now) => {
            let good = release::is_good(&client, before, &now).await?;
            return finish(up, &client, (&now, good), accepted.after, sources).await;
        }
        Arrival::Stuck(now) => {
            print::raw(&status::text(&now));
            show_last_words(&client, &now).await;
            now.stuck.join("; ")
        }
        Arrival::TimeOver => {
            print::raw(&status::text(&client.status().await?));
            format!("not everything is ready after {} s", up.timeout)
        }
    };
    print::error(&format!("{why}; it goes on being tried"));
    if up.detach {
        return Ok(ExitCode::FAILURE);
    }
    stay_and_watch(up, &client, accepted.after, sources).await
}

/// Stays until the system has ended; meanwhile follows its sources, if it is asked to.
async fn stay_and_watch(
    up: &Up,
    client: &Client,
    after: u64,
    sources: Option<watch::Sources>,
) -> anyhow::Result<ExitCode> {
    let Some(sources) = sources else { return stay(client, after).await };
    tokio::select! {
        ended = stay(client, after) => ended,
        failed = watch::follow(up, client, sources) => Err(failed),
    }
}

/// Tells a system that runs here that a file was refused, so that its events say so. Nobody need hear it.
async fn tell_refused(up: &Up) {
    let (Ok(place), Ok(file)) = (project::place(&up.at), project::find_file(up.at.file.as_deref())) else { return };
    let name = project::shown(&file);
    let (text, checked) = project::check(&file, &name, &up.overlay);
    let findings = plimsoll_spec::render_text(&checked.diagnostics, &plimsoll_spec::Source::new(&name, &text), false);
    let said = format!("{name} was refused, and nothing was changed:\n{findings}");
    Client::new(place.api_socket()).refused(&said).await.ok();
}

/// Runs the build commands of the services (of `only`, if that names any), one after the other, each only once. `false`: a
/// Ctrl-C has ended one.
pub(crate) async fn build(project: &project::Project, only: &[String]) -> anyhow::Result<bool> {
    let services = project.system.services.iter().filter(|(name, _)| only.is_empty() || only.contains(name));
    let commands: Vec<&String> = services.filter_map(|(_, service)| service.build.as_ref()?.command.as_ref()).collect();
    let mut done: Vec<&String> = Vec::new();
    for command in commands {
        if done.contains(&command) {
            continue;
        }
        print::note(&format!("building: {command}"));
        let mut shell = tokio::process::Command::new("sh");
        shell.arg("-c").arg(command).current_dir(&project.folder).kill_on_drop(true);
        let status = shell.status().await.with_context(|| format!("cannot run `{command}`"))?;
        if status.signal() == Some(2) {
            return Ok(false);
        }
        if !status.success() {
            bail!("`{command}` failed ({status}); nothing was changed");
        }
        done.push(command);
    }
    Ok(true)
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
        secrets: secrets(&project.system),
    }
}

/// The secrets that the system names, in whatever way the file says it, and the environment has.
fn secrets(system: &System) -> BTreeMap<String, String> {
    let text = serde_json::to_string(system).unwrap_or_default();
    let names = text.split("$(secret:").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    names.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect()
}

/// Shows what happens until everything is ready, or can't get so; for ever, or for so many seconds.
pub(crate) async fn wait_until_ready(client: &Client, after: u64, seconds: Option<u64>) -> anyhow::Result<Arrival> {
    let wait = async {
        let (mut after, mut lines) = (after, client.events(after, true).await?);
        let arrived = arrived(client);
        tokio::pin!(arrived);
        loop {
            tokio::select! {
                // What has happened is shown before what came of it.
                biased;
                line = lines.next() => match line {
                    Ok(Some(line)) => after = show_line(&line).unwrap_or(after),
                    _ => lines = again(client, after).await?,
                },
                now = &mut arrived => return anyhow::Ok(if now.settled { Arrival::Ready(now) } else { Arrival::Stuck(now) }),
            }
        }
    };
    let Some(seconds) = seconds else { return wait.await };
    match tokio::time::timeout(Duration::from_secs(seconds), wait).await {
        Ok(arrival) => arrival,
        Err(_) => Ok(Arrival::TimeOver),
    }
}

/// How the system is once it is ready or can't get so, whatever becomes of the engine meanwhile.
async fn arrived(client: &Client) -> Box<Status> {
    loop {
        match client.arrival().await {
            Ok(now) => return now.into(),
            // An engine of another version may not know that question.
            Err(ClientError::Refused(_) | ClientError::NotUnderstood(_)) => {
                if let Ok(now) = client.status().await
                    && (now.settled || !now.stuck.is_empty())
                {
                    return now.into();
                }
            }
            Err(ClientError::NotUp { .. } | ClientError::Broken(_)) => {}
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The last that was said by each replica that crashes.
async fn show_last_words(client: &Client, now: &Status) {
    let replicas = now.services.values().flat_map(|service| &service.replicas);
    for replica in replicas.filter(|replica| ["BackOff", "Failed"].contains(&replica.phase.as_str())) {
        let Ok(mut lines) = client.logs(Some(&replica.id.to_string()), LOG_LINES, false).await else { continue };
        while let Ok(Some(line)) = lines.next().await {
            print::note(&format!("  {line}"));
        }
    }
}

async fn finish(
    up: &Up,
    client: &Client,
    (now, good): (&Status, bool),
    after: u64,
    sources: Option<watch::Sources>,
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
    stay_and_watch(up, client, last.unwrap_or(after), sources).await
}
