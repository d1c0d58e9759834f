//! What is in a PostgreSQL data folder.

use crate::{error::StoreError, files, processes, site::Site};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// The major version of the data there; `None`: there is none.
///
/// # Errors
/// Why what is there is not touched.
pub(crate) fn look(dir: &Path) -> Result<Option<u32>, String> {
    match fs::read_to_string(dir.join("PG_VERSION")) {
        Ok(text) => match text.trim().parse() {
            Ok(major) => Ok(Some(major)),
            Err(_) => Err(format!("{} holds no major version", dir.join("PG_VERSION").display())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let empty = fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
            if empty { Ok(None) } else { Err(format!("{} is no PostgreSQL data folder; set it aside", dir.display())) }
        }
        Err(error) => Err(format!("{} can't be read: {error}", dir.display())),
    }
}

/// Removes locks whose process id belongs to another process by now: PostgreSQL would refuse to start.
///
/// PostgreSQL itself knows a lock whose process has ended. Must only be called while nothing works in the data folder: then
/// nothing uses its shared memory either, so the lock guards nothing.
pub(crate) fn clear_stale_locks(site: &Site, place: usize) -> Result<(), StoreError> {
    let dir = site.data.join(place.to_string());
    let port = site.ports.get(place).copied().unwrap_or(0);
    if let Some(pid) = first_number(&dir.join("postmaster.pid"))
        && alive(pid)
    {
        debug_assert!(processes::working_in(&dir).is_none(), "the caller has checked");
        files::remove(&site.data, &PathBuf::from(format!("{place}/postmaster.pid")))?;
    }
    let name = format!(".s.PGSQL.{port}.lock");
    let text = fs::read_to_string(site.run.join(&name)).unwrap_or_default();
    let ours = text.lines().nth(1).is_some_and(|line| Path::new(line) == dir);
    if ours && first_number(&site.run.join(&name)).is_some_and(alive) {
        files::remove(&site.run, Path::new(&name))?;
    }
    Ok(())
}

fn first_number(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.lines().next()?.trim().parse().ok()
}

fn alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_data_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(look(&dir.path().join("none")), Ok(None));
        assert_eq!(look(dir.path()), Ok(None));
        fs::write(dir.path().join("precious"), "").unwrap();
        assert!(look(dir.path()).is_err());
        fs::write(dir.path().join("PG_VERSION"), "15\n").unwrap();
        assert_eq!(look(dir.path()), Ok(Some(15)));
        fs::write(dir.path().join("PG_VERSION"), "").unwrap();
        assert!(look(dir.path()).is_err());
    }
}
