//! The file that a command is about, and the place where its system's state lives.

use crate::{
    args::{At, Overlay},
    machine, print,
};
use anyhow::{Context, bail};
use plimsoll_api::Client;
use plimsoll_model::System;
use plimsoll_spec::{Checked, Input, Source};
use plimsoll_wire::place::Place;
use std::{
    env,
    path::{Path, PathBuf},
};

/// The name that a file has when none is given.
const FILE: &str = "plimsoll.yaml";
/// The folder for state beside the file.
const STATE: &str = ".plimsoll";

/// A file that was read and checked.
pub(crate) struct Project {
    pub(crate) file: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) text: String,
    pub(crate) system: System,
    /// What was chosen for the person.
    pub(crate) notes: Vec<String>,
}

/// The file that is meant: named, or found here or above.
pub(crate) fn find_file(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let here = env::current_dir().context("cannot tell the current folder")?;
    if let Some(named) = named {
        let named = here.join(named);
        return Ok(if named.is_dir() { named.join(FILE) } else { named });
    }
    let found = here.ancestors().map(|folder| folder.join(FILE)).find(|file| file.is_file());
    found.with_context(|| format!("there is no {FILE} here or in a folder above; name one with --file"))
}

/// Reads and checks the file; findings are printed. `None`: it has errors, and nothing may run.
pub(crate) fn read(named: Option<&Path>, overlay: &Overlay) -> anyhow::Result<Option<Project>> {
    let file = find_file(named)?;
    let name = shown(&file);
    let (text, checked) = check(&file, &name, overlay);
    if !checked.diagnostics.is_empty() {
        let source = Source::new(&name, &text);
        print::note(&plimsoll_spec::render_text(&checked.diagnostics, &source, print::colour_on_stderr()));
    }
    let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
    let plan_notes = checked.notes.clone();
    Ok(checked.system.map(|system| Project { file, folder, text, system, notes: plan_notes }))
}

/// Reads and checks a file; one that can't be read has a finding that says why.
pub(crate) fn check(file: &Path, name: &str, overlay: &Overlay) -> (String, Checked) {
    match plimsoll_spec::read(file) {
        Err(finding) => (String::new(), Checked { system: None, diagnostics: vec![*finding], notes: Vec::new() }),
        Ok(text) => {
            let checked = plimsoll_spec::check(&Input {
                environment: overlay.env.as_deref(),
                folder: file.parent().and_then(Path::file_name).and_then(|folder| folder.to_str()),
                machine: machine::at_hand(),
                ..Input::new(name, &text)
            });
            (text, checked)
        }
    }
}

/// The path as a person would write it.
pub(crate) fn shown(file: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    file.strip_prefix(&here).unwrap_or(file).display().to_string()
}

/// The place of a system's state.
///
/// # Errors
/// The file that was named is not there: what another one left beside it is not meant.
pub(crate) fn place(at: &At) -> anyhow::Result<Place> {
    let here = env::current_dir().context("cannot tell the current folder")?;
    if let Some(state) = &at.state {
        return Ok(Place::new(&normal(&here.join(state))));
    }
    let file = find_file(at.file.as_deref())?;
    if !file.exists() {
        bail!("there is no {}; what runs without its file is named by --state", shown(&file));
    }
    let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
    Ok(Place::new(&normal(&folder.join(STATE))))
}

/// The path without `.` and `..`, so that one state directory has one name.
fn normal(path: &Path) -> PathBuf {
    let existing = path.ancestors().find(|folder| folder.exists());
    let base = existing.and_then(|folder| folder.canonicalize().ok());
    match (base, existing) {
        // Joining nothing would add a slash, and that is another name.
        (Some(base), Some(existing)) if existing == path => base,
        (Some(base), Some(existing)) => base.join(path.strip_prefix(existing).unwrap_or(Path::new(""))),
        _ => path.into(),
    }
}

/// A client of the system that runs there.
///
/// # Errors
/// None runs; the text says how to start it.
pub(crate) async fn client(at: &At) -> anyhow::Result<(Client, Place)> {
    let place = place(at)?;
    let client = Client::new(place.api_socket());
    match client.status().await {
        Ok(_) => Ok((client, place)),
        Err(plimsoll_api::ClientError::NotUp { .. }) => {
            bail!("no system is up here (state directory {}); `plimsoll up` starts it", place.state.display())
        }
        Err(error) => Err(error.into()),
    }
}
