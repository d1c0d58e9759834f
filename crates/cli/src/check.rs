//! `plimsoll check`, `fmt`, `schema` and `plan`: about the file; nothing runs.

use crate::{
    args::{At, FileArgs, Format, Overlay},
    print, project,
};
use anyhow::Context;
use plimsoll_api::Client;
use plimsoll_spec::Source;
use std::{path::Path, process::ExitCode};

/// Checks the file.
pub(crate) fn check(args: &FileArgs, format: Format) -> anyhow::Result<ExitCode> {
    let file = project::find_file(args.file.as_deref())?;
    let name = project::shown(&file);
    let (text, checked) = project::check(&file, &name, &args.overlay);
    let source = Source::new(&name, &text);
    match format {
        Format::Text => {
            print::raw(&plimsoll_spec::render_text(&checked.diagnostics, &source, print::colour_on_stdout()))
        }
        Format::Json => print::line(&plimsoll_spec::render_json(&checked.diagnostics, &source).to_string()),
        Format::Sarif => print::line(&plimsoll_spec::render_sarif(&checked.diagnostics, &source).to_string()),
    }
    let Some(system) = checked.system else { return Ok(ExitCode::FAILURE) };
    if format == Format::Text {
        let (services, stores, promises) = (system.services.len(), system.stores.len(), system.promises.len());
        print::line(&format!("{name}: good ({services} services, {stores} stores, {promises} promises)"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the file in its canonical form.
pub(crate) fn fmt(named: Option<&Path>, only_check: bool) -> anyhow::Result<ExitCode> {
    let file = project::find_file(named)?;
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let new = plimsoll_spec::fmt(&text);
    if new == text {
        return Ok(ExitCode::SUCCESS);
    }
    if only_check {
        print::line(&format!("{} is not in its canonical form; `plimsoll fmt` writes it so", project::shown(&file)));
        return Ok(ExitCode::FAILURE);
    }
    std::fs::write(&file, new).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the JSON Schema.
pub(crate) fn schema() -> anyhow::Result<ExitCode> {
    print::line(&serde_json::to_string_pretty(&plimsoll_spec::schema())?);
    Ok(ExitCode::SUCCESS)
}

/// Shows what `up` would change.
pub(crate) async fn plan(at: &At, overlay: &Overlay, json: bool) -> anyhow::Result<ExitCode> {
    let Some(project) = project::read(at.file.as_deref(), overlay)? else { return Ok(ExitCode::FAILURE) };
    let place = project::place(at)?;
    let running = Client::new(place.api_socket()).system().await.ok().filter(|offer| !offer.file.is_empty());
    let previous = running.as_ref().map(|offer| &offer.system);
    let plan = plimsoll_spec::Plan { notes: project.notes, ..plimsoll_spec::plan(&project.system, previous) };
    if json {
        print::line(&serde_json::to_string_pretty(&plan)?);
    } else {
        print::raw(&plan.render_text());
    }
    Ok(ExitCode::SUCCESS)
}
