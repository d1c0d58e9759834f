//! Another program is asked whether it could take our place, and ours is put where it can be found again.

use crate::oneshot::Oneshots;
use plimsoll_control::upgrade::{Candidate, Program};
use plimsoll_wire::{keeper::Spawn, place::Place};
use rustix::fs::{AtFlags, CWD, linkat};
use std::{fs, io, os::unix::fs::MetadataExt, path::Path, time::Duration};

/// A program that does not say what it speaks within this does not answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was found out.
#[derive(Debug)]
pub(crate) struct Found {
    /// The program.
    pub(crate) to: Program,
    /// What it says of itself, or why it can't be had.
    pub(crate) candidate: Result<Candidate, String>,
    /// The pid of the gateway that serves.
    pub(crate) gateway: Option<i32>,
    /// Our own, where it stays as it is.
    pub(crate) from: Result<Program, String>,
}

/// Asks the program at `path`, as the process `id`.
pub(crate) async fn ask(oneshots: &Oneshots, place: &Place, path: String, id: String) -> Found {
    let candidate = questioned(oneshots, place, &path, id).await;
    let to = program_at(Path::new(&path), path.clone()).unwrap_or_default();
    let former = place.former_program();
    let kept = tokio::task::spawn_blocking(move || keep(&former)).await.map_err(io::Error::other);
    let from =
        kept.and_then(|kept| kept).map_err(|error| format!("cannot keep a copy of the present program: {error}"));
    Found { to, candidate, from, gateway: None }
}

async fn questioned(oneshots: &Oneshots, place: &Place, path: &str, id: String) -> Result<Candidate, String> {
    let out = place.run.join("candidate.json");
    fs::remove_file(&out).ok();
    let words = ["speaks", "--state", &place.state.display().to_string(), "--out", &out.display().to_string()];
    let spawn = Spawn {
        id: id.clone(),
        program: path.into(),
        args: words.map(str::to_owned).to_vec(),
        env: crate::own_environment(),
        ..Spawn::default()
    };
    let exit = match tokio::time::timeout(PATIENCE, oneshots.run(spawn)).await {
        Ok(exit) => exit.map_err(|error| format!("cannot ask {path} what it speaks: {error}"))?,
        Err(_) => {
            oneshots.kill(&id).await;
            return Err(format!("{path} does not say what it speaks; is it a plimsoll?"));
        }
    };
    let text = fs::read(&out).unwrap_or_default();
    fs::remove_file(&out).ok();
    serde_json::from_slice(&text).map_err(|_| {
        let how = crate::exit::ended(&exit);
        format!("{path} can't take over: asked what it speaks, it said nothing ({how})")
    })
}

/// Puts our program there, as it is now, even if its file is gone.
fn keep(there: &Path) -> io::Result<Program> {
    let own = Path::new("/proc/self/exe");
    let new = there.with_extension("new");
    fs::remove_file(&new).ok();
    if linkat(CWD, own, CWD, &new, AtFlags::SYMLINK_FOLLOW).is_err() {
        fs::copy(own, &new)?;
    }
    fs::rename(&new, there)?;
    // Two names of one file are not renamed onto each other.
    fs::remove_file(&new).ok();
    program_at(there, there.display().to_string())
}

fn program_at(file: &Path, path: String) -> io::Result<Program> {
    let found = fs::metadata(file)?;
    Ok(Program { path, file: (found.dev(), found.ino()) })
}

/// The program that a process runs; `None` if it does not run, or is somebody else's.
pub(crate) fn program_of(pid: i32) -> Option<Program> {
    let link = format!("/proc/{pid}/exe");
    let path = fs::read_link(&link).ok()?.display().to_string();
    program_at(Path::new(&link), path).ok()
}
