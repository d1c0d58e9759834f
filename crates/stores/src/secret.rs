//! Generated passwords: made once, durable before they are used, readable by their owner only.

use crate::{error::StoreError, files};
use rustix::fs::{Mode, OFlags};
use std::{fmt, fs, io::Read, path::Path};

/// A generated password. Shown by `Debug` as nothing.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The password itself: 43 letters, digits, `-` and `_`, so it needs no quoting anywhere.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Whose password it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Services'.
    Service,
    /// The administrator's: ours.
    Admin,
    /// Of the standbys, who get the log by it.
    Replication,
    /// Of the console of a pooler: ours.
    Pooler,
}

/// A store's password, made at the first call. It is on disk before it is returned.
///
/// # Errors
/// The folder can't be read or written, or the file there is damaged (`Refused`: a server may know the former password).
pub(crate) fn keep(dir: &Path, name: &str, purpose: Purpose) -> Result<Secret, StoreError> {
    let file = file_name(name, purpose);
    let path = dir.join(&file);
    match fs::read_to_string(&path) {
        Ok(text) => checked(text.trim_end()).ok_or_else(|| StoreError::Refused {
            store: name.to_owned(),
            why: format!("{} holds no password; restore it from a backup", path.display()),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let secret =
                generate().map_err(|why| StoreError::File { act: "read", path: "/dev/urandom".into(), why })?;
            files::write_durably(
                dir,
                Path::new(&file),
                secret.expose().as_bytes(),
                files::Access { mode: 0o600, owner: None },
            )?;
            Ok(secret)
        }
        Err(why) => Err(StoreError::File { act: "read", path, why }),
    }
}

/// A password that is kept already. `None`: there is none, it is damaged, or it can't be read.
pub(crate) fn read(dir: &Path, name: &str, purpose: Purpose) -> Option<Secret> {
    let text = fs::read_to_string(dir.join(file_name(name, purpose))).ok()?;
    checked(text.trim_end())
}

fn checked(text: &str) -> Option<Secret> {
    let sound = text.len() >= 32 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    sound.then(|| Secret(text.to_owned()))
}

/// A file name that no store name can lead out of its folder, nor two names share.
fn file_name(name: &str, purpose: Purpose) -> String {
    let ending = match purpose {
        Purpose::Service => "password",
        Purpose::Admin => "admin",
        Purpose::Replication => "replication",
        Purpose::Pooler => "pooler",
    };
    let plain = !name.is_empty()
        && name.len() <= 100
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if plain { format!("{name}.{ending}") } else { format!("_{}.{ending}", crate::text::digest(name)) }
}

fn generate() -> std::io::Result<Secret> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let fd = rustix::fs::open("/dev/urandom", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = [0u8; 43];
    fs::File::from(fd).read_exact(&mut bytes)?;
    Ok(Secret(bytes.iter().map(|b| char::from(ALPHABET[usize::from(b & 63)])).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_password_is_made_once_and_only_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let first = keep(dir.path(), "orders", Purpose::Service).unwrap();
        assert_eq!(keep(dir.path(), "orders", Purpose::Service).unwrap(), first);
        assert_ne!(keep(dir.path(), "stock", Purpose::Service).unwrap(), first);
        let mode = fs::metadata(dir.path().join("orders.password")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(format!("{first:?}"), "Secret(…)");
    }

    #[test]
    fn hostile_names_stay_in_their_folder_and_apart() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["../../etc/x", "a/b", "A", "a", "", ".", "..", "\0"];
        let kept: Vec<Secret> = names.iter().map(|name| keep(dir.path(), name, Purpose::Service).unwrap()).collect();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), names.len());
        for (i, secret) in kept.iter().enumerate() {
            assert!(kept[..i].iter().all(|other| other != secret));
        }
    }

    #[test]
    fn a_damaged_password_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("orders.password"), "").unwrap();
        assert!(matches!(keep(dir.path(), "orders", Purpose::Service), Err(StoreError::Refused { .. })));
    }
}
