//! Writing files for servers: whole or not at all, durable, and never through a link that a server laid.

use crate::{error::StoreError, site::User};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

/// A configuration file that is written before each start.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its path, beneath [`crate::Site::data`].
    pub path: PathBuf,
    /// What it holds; may contain a secret, so `Debug` doesn't show it.
    pub text: String,
    /// Its permissions: 0o600.
    pub mode: u32,
    /// Who it belongs to; `None`: who we are.
    pub owner: Option<User>,
}

impl std::fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigFile").field("path", &self.path).field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// Who may use a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    /// Permissions.
    pub mode: u32,
    /// Owner; `None`: who we are.
    pub owner: Option<User>,
}

/// Replaces `base`/`path` by `bytes`, or leaves it as it was. On disk before this returns.
pub(crate) fn write_durably(base: &Path, path: &Path, bytes: &[u8], access: Access) -> Result<(), StoreError> {
    let write = || -> Result<(), std::io::Error> {
        let (dir, name) = open_parent(base, path)?;
        if unchanged(&dir, &name, bytes, access) {
            return Ok(());
        }
        let temporary = format!("{name}.new");
        match rustix::fs::unlinkat(&dir, &temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&dir, &temporary, flags, Mode::from_raw_mode(access.mode & 0o700))?;
        own(&fd, access)?;
        let mut file = File::from(fd);
        file.write_all(bytes)?;
        file.sync_all()?;
        rustix::fs::renameat(&dir, &temporary, &dir, &name)?;
        rustix::fs::fsync(&dir)?;
        Ok(())
    };
    write().map_err(|why| StoreError::File { act: "write", path: base.join(path), why })
}

/// Makes the folder `base`/`path` (one level) where it isn't there.
pub(crate) fn ensure_dir(base: &Path, path: &Path, access: Access) -> Result<(), StoreError> {
    let make = || -> Result<(), std::io::Error> {
        let (parent, name) = open_parent(base, path)?;
        match rustix::fs::mkdirat(&parent, &name, Mode::from_raw_mode(0o700)) {
            Ok(()) => rustix::fs::fsync(&parent)?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        own(&open_dir(&parent, &name)?, access)
    };
    make().map_err(|why| StoreError::File { act: "make", path: base.join(path), why })
}

/// Removes the file `base`/`path`, if there is one.
pub(crate) fn remove(base: &Path, path: &Path) -> Result<(), StoreError> {
    let remove = || -> Result<(), std::io::Error> {
        let (dir, name) = open_parent(base, path)?;
        match rustix::fs::unlinkat(&dir, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    };
    remove().map_err(|why| StoreError::File { act: "remove", path: base.join(path), why })
}

/// Whether the file is there as it should be, so that a start needn't wait for the disk.
fn unchanged(dir: &OwnedFd, name: &str, bytes: &[u8], access: Access) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(fd) = rustix::fs::openat(dir, name, flags, Mode::empty()) else { return false };
    let owner = access.owner.map_or_else(|| rustix::process::geteuid().as_raw(), |user| user.uid);
    let Ok(found) = rustix::fs::fstat(&fd) else { return false };
    // A regular file of just these permissions.
    if found.st_mode != 0o100_000 | access.mode || found.st_uid != owner {
        return false;
    }
    let mut have = Vec::new();
    File::from(fd).take(bytes.len() as u64 + 1).read_to_end(&mut have).is_ok() && have == bytes
}

fn own(fd: &OwnedFd, access: Access) -> Result<(), std::io::Error> {
    if let Some(user) = access.owner
        && rustix::process::geteuid().is_root()
    {
        rustix::fs::fchown(fd, Some(rustix::fs::Uid::from_raw(user.uid)), Some(rustix::fs::Gid::from_raw(user.gid)))?;
    }
    rustix::fs::fchmod(fd, Mode::from_raw_mode(access.mode))?;
    Ok(())
}

/// The folder that holds `path`, reached from `base` without following a link, and the last name.
fn open_parent(base: &Path, path: &Path) -> Result<(OwnedFd, String), std::io::Error> {
    let invalid = || std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a plain path");
    let mut dir = rustix::fs::open(base, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut parts = Vec::new();
    for part in path.components() {
        let Component::Normal(name) = part else { return Err(invalid()) };
        parts.push(name.to_str().ok_or_else(invalid)?);
    }
    let (last, parents) = parts.split_last().ok_or_else(invalid)?;
    for parent in parents {
        dir = open_dir(&dir, parent)?;
    }
    Ok((dir, (*last).to_owned()))
}

fn open_dir(parent: impl AsFd, name: &str) -> Result<OwnedFd, std::io::Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    const OURS: Access = Access { mode: 0o600, owner: None };

    #[test]
    fn a_file_is_replaced_whole_and_stays_private() {
        let dir = tempfile::tempdir().unwrap();
        write_durably(dir.path(), Path::new("a"), b"1", OURS).unwrap();
        fs::write(dir.path().join("a.new"), "left by an interrupted write").unwrap();
        write_durably(dir.path(), Path::new("a"), b"2", OURS).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "2");
        fs::set_permissions(dir.path().join("a"), fs::Permissions::from_mode(0o644)).unwrap();
        write_durably(dir.path(), Path::new("a"), b"2", OURS).unwrap();
        assert_eq!(fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!dir.path().join("a.new").exists());
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let victim = outside.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("a")).unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("a.new")).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("d")).unwrap();
        write_durably(dir.path(), Path::new("a"), b"1", OURS).unwrap();
        assert!(write_durably(dir.path(), Path::new("d/victim"), b"1", OURS).is_err());
        assert!(write_durably(dir.path(), Path::new("../x"), b"1", OURS).is_err());
        assert!(ensure_dir(dir.path(), Path::new("d"), OURS).is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn removing_what_is_not_there_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        remove(dir.path(), Path::new("a")).unwrap();
        fs::write(dir.path().join("a"), "").unwrap();
        remove(dir.path(), Path::new("a")).unwrap();
        assert!(!dir.path().join("a").exists());
    }
}
