//! `plimsoll speaks`: what this program speaks and understands, for the engine of an older or newer one that asks whether
//! it could take over.

use plimsoll_control::upgrade::Candidate;
use std::{fs, path::Path, process::ExitCode};

/// Writes it to `out`, as JSON.
pub(crate) fn speaks(state: &Path, out: &Path) -> ExitCode {
    let understood = [plimsoll_keeper::understands(state), plimsoll_engine::understands(state)];
    let candidate = Candidate {
        version: env!("CARGO_PKG_VERSION").into(),
        wire: plimsoll_wire::VERSION,
        not_understood: understood.into_iter().filter_map(Result::err).collect(),
    };
    match serde_json::to_vec(&candidate).map_err(std::io::Error::from).and_then(|text| fs::write(out, text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::print::error(&format!("cannot write {}: {error}", out.display()));
            ExitCode::FAILURE
        }
    }
}
