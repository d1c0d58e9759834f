//! `plimsoll replay`: recorded inputs, decided by today's code, or under another file.

use crate::{args::Replay, events::time, print, project};
use anyhow::{Context, bail};
use plimsoll_control::autoscale::vectors::{Case, answer};
use plimsoll_journal::replay::{Difference, Replayed, replay as replay_all};
use plimsoll_wire::place::Place;
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// A file of inputs for the Kubernetes autoscaler.
#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

/// Decides recorded inputs again.
pub(crate) fn replay(asked: &Replay) -> anyhow::Result<ExitCode> {
    if let Some(file) = &asked.hpa {
        return hpa(file);
    }
    let (journal, recorder) = folders(asked)?;
    let other = match &asked.with {
        None => None,
        Some(file) => {
            let Some(project) = project::read(Some(file), &asked.overlay)? else { return Ok(ExitCode::FAILURE) };
            Some(project.system)
        }
    };
    let replayed = replay_all(&journal, &recorder, other.as_ref());
    if asked.json {
        print::line(&serde_json::to_string_pretty(&replayed)?);
    } else {
        print::raw(&text(&replayed));
    }
    let differs = replayed.differing > 0 && !replayed.open_loop;
    let failed = differs || !replayed.gaps.is_empty();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The folders of the journal and of the flight recorder: of a named state directory (or journal folder), or of the system
/// here.
fn folders(asked: &Replay) -> anyhow::Result<(PathBuf, PathBuf)> {
    let place = match &asked.journal {
        None => project::place(&asked.at)?,
        Some(named) if named.join("journal").is_dir() => Place::new(named),
        Some(named) => {
            let beside = named.parent().unwrap_or(Path::new("")).join("recorder");
            let is_journal = named.is_dir() && named.file_name().is_some_and(|name| name == "journal");
            if !is_journal {
                bail!("{} is neither a state directory nor a journal", named.display());
            }
            return Ok((named.clone(), beside));
        }
    };
    if !place.journal().is_dir() {
        bail!("there is no journal in {}", place.state.display());
    }
    Ok((place.journal(), place.recorder()))
}

fn text(replayed: &Replayed) -> String {
    let mut page = String::new();
    let by: Vec<String> = replayed.by.iter().map(|(by, count)| format!("{by} {count}")).collect();
    let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
    page.push_str(&format!("{} decisions{by}", replayed.decisions));
    if let Some((first, last)) = replayed.span {
        page.push_str(&format!(", from {} to {} UTC", time(first), time(last)));
    }
    page.push_str(&format!("\n{} of them differ\n", replayed.differing));
    for difference in &replayed.differences {
        page.push_str(&line(difference));
    }
    for (why, count) in &replayed.not_asked {
        page.push_str(&format!("{count} not asked again: {why}\n"));
    }
    for gap in &replayed.gaps {
        page.push_str(&format!("! not readable: {gap}\n"));
    }
    if replayed.open_loop {
        page.push_str(
            "open loop: what was recorded does not react to the other decisions, so the first difference of each thing \
             counts most\n",
        );
    }
    page
}

fn line(difference: &Difference) -> String {
    let Difference { subject, by, number, at, until, times, recorded, now } = difference;
    let when = match times {
        1 => time(*at),
        times => format!("{} to {} ({times} looks)", time(*at), time(*until)),
    };
    let number = if *number == 0 { String::new() } else { format!("#{number} ") };
    format!("  {number}{when} {subject}, {by}\n    recorded: {recorded}\n    now:      {now}\n")
}

/// Prints what is decided for each case of the file, one JSON line a case.
fn hpa(file: &Path) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let vectors: Vectors = serde_json::from_str(&text)
        .with_context(|| format!("{} is not a file of the form {{\"cases\": […]}}", file.display()))?;
    for case in &vectors.cases {
        print::line(&serde_json::to_string(&answer(case))?);
    }
    Ok(ExitCode::SUCCESS)
}
