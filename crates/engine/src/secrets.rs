//! Secrets: from a file that only its owner may read, or from the environment of whoever runs `plimsoll up`.
//!
//! Invariant: a secret is never journaled, never in arguments, never in an answer of the API. Those from the environment are
//! kept in memory: by the keeper, in a memfd, so that an engine that was started anew still has them.

use std::{collections::BTreeMap, io, os::unix::fs::MetadataExt, path::Path};

/// The name under which the keeper keeps secrets that came from the environment.
pub(crate) const KEPT: &str = "secrets";
/// The file beside `plimsoll.yaml`: `NAME=value` lines; blank ones and those with `#` in front are passed over.
pub(crate) const FILE: &str = "plimsoll.secrets";

/// The secrets of one system.
#[derive(Default)]
pub(crate) struct Secrets {
    /// From the environment.
    pub(crate) given: BTreeMap<String, String>,
}

impl Secrets {
    /// The value of a secret: from the file first, then from the environment.
    ///
    /// # Errors
    /// It is nowhere, or the file may be read by others; the text says what to do.
    pub(crate) fn value(&self, name: &str, folder: &Path) -> Result<String, String> {
        if let Some(value) = from_file(&folder.join(FILE), name)? {
            return Ok(value);
        }
        self.given.get(name).cloned().ok_or_else(|| {
            format!("the secret {name} is not known: write it into {FILE} (mode 0600), or set it in the environment of `plimsoll up`")
        })
    }
}

fn from_file(path: &Path, name: &str) -> Result<Option<String>, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
    };
    let mode = std::fs::metadata(path).map_err(|error| error.to_string())?.mode();
    if mode & 0o077 != 0 {
        return Err(format!("{} may be read by others: `chmod 600 {0}`", path.display()));
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let found = lines.filter_map(|line| line.split_once('=')).find(|(key, _)| key.trim() == name);
    Ok(found.map(|(_, value)| value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn folder(mode: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        std::fs::write(&file, "# comment\nTOKEN = abc=d\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        folder
    }

    #[test]
    fn the_file_comes_before_the_environment() {
        let folder = folder(0o600);
        let secrets = Secrets { given: [("TOKEN".into(), "other".into()), ("KEY".into(), "k".into())].into() };
        assert_eq!(secrets.value("TOKEN", folder.path()), Ok("abc=d".into()));
        assert_eq!(secrets.value("KEY", folder.path()), Ok("k".into()));
        assert!(secrets.value("GONE", folder.path()).unwrap_err().contains("GONE"));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = folder(0o644);
        assert!(Secrets::default().value("TOKEN", folder.path()).unwrap_err().contains("chmod 600"));
    }
}
