//! Which version of a server used a member's data last, so that none that is older is let near it.

use crate::{
    error::StoreError,
    files::{self, Access},
    program::release,
    site::Site,
};
use std::{fs, path::PathBuf};

/// Writes down that a server of that version is about to use the data of the member at `place`.
///
/// # Errors
/// `Refused`: a newer one (by major and minor) has used it, and what it wrote an older one may not read. `File`.
pub(crate) fn stamp(store: &str, site: &Site, place: usize, version: &str) -> Result<(), StoreError> {
    let name = PathBuf::from(format!("{place}.version"));
    let path = site.data.join(&name);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let before = text.trim();
            if release(before) > release(version) {
                let why = format!("version {before} has used it, and {version}, which is older, is installed");
                return Err(StoreError::Refused { store: store.to_owned(), why });
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(why) => return Err(StoreError::File { act: "read", path, why }),
    }
    let access = Access { mode: 0o600, owner: site.server_user };
    files::write_durably(&site.data, &name, format!("{version}\n").as_bytes(), access)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_server_is_kept_away_from_what_a_newer_one_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site {
            data: dir.path().into(),
            secrets: dir.path().into(),
            ports: vec![1],
            server_user: None,
            run: dir.path().into(),
            front: None,
            pooler: None,
        };
        stamp("events", &site, 0, "2.9.10").unwrap();
        stamp("events", &site, 0, "2.10.2").unwrap();
        stamp("events", &site, 0, "2.10.1").unwrap();
        let refused = stamp("events", &site, 0, "2.9.10").unwrap_err();
        assert!(matches!(refused, StoreError::Refused { .. }), "{refused}");
        stamp("events", &site, 1, "2.9.10").unwrap();
    }
}
