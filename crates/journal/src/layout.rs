//! The files of a journal's folder.

use std::path::{Path, PathBuf};

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Log(u64),
    Snapshot(u64),
    /// Left behind by a crash while it was written.
    Unfinished,
    /// A sync of this folder failed: what can be read may not be on the disk.
    Doubt,
    /// Set aside, the lock, or not ours.
    Other,
}

pub(crate) fn kind(name: &str) -> Kind {
    let generation = |stem: &str| stem.parse::<u64>().ok().filter(|number| *number > 0 && stem.len() == 10);
    if name == "doubt" {
        return Kind::Doubt;
    }
    match name.rsplit_once('.') {
        Some((stem, "log")) => generation(stem).map_or(Kind::Other, Kind::Log),
        Some((stem, "snapshot")) => generation(stem).map_or(Kind::Other, Kind::Snapshot),
        Some((_, "tmp")) => Kind::Unfinished,
        _ => Kind::Other,
    }
}

pub(crate) fn log(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("{generation:010}.log"))
}

pub(crate) fn snapshot(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("{generation:010}.snapshot"))
}

pub(crate) fn doubt(dir: &Path) -> PathBuf {
    dir.join("doubt")
}

pub(crate) fn lock(dir: &Path) -> PathBuf {
    dir.join("lock")
}

/// Where a file is written before it is renamed to its name.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    with_suffix(path, ".tmp")
}

/// Where a damaged file is set aside.
pub(crate) fn aside(path: &Path) -> PathBuf {
    with_suffix(path, ".damaged")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
