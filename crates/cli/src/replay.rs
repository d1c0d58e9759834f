//! `plimsoll replay`: recorded inputs, decided by today's code.

use crate::print;
use anyhow::Context;
use plimsoll_control::autoscale::vectors::{Case, answer};
use serde::Deserialize;
use std::{path::Path, process::ExitCode};

/// A file of inputs for the Kubernetes autoscaler.
#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

/// Prints what is decided for each case of the file, one JSON line a case.
pub(crate) fn hpa(file: &Path) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let vectors: Vectors = serde_json::from_str(&text)
        .with_context(|| format!("{} is not a file of the form {{\"cases\": […]}}", file.display()))?;
    for case in &vectors.cases {
        print::line(&serde_json::to_string(&answer(case))?);
    }
    Ok(ExitCode::SUCCESS)
}
