//! Which Redis server this machine has.

use crate::error::StoreError;
use std::{path::PathBuf, process::Command};

/// The oldest major version that is run.
const OLDEST: u32 = 7;

/// A Redis server's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    /// Its version: `7.0.15`.
    pub version: String,
    /// Its path.
    pub program: PathBuf,
}

/// The one that is installed, as Debian and its own `make install` do.
pub(crate) fn found() -> Option<Installed> {
    ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].into_iter().find_map(|path| {
        let output = Command::new(path).arg("--version").output().ok()?;
        let version = version_in(&String::from_utf8_lossy(&output.stdout))?;
        Some(Installed { version, program: path.into() })
    })
}

/// The version in `Redis server v=7.0.15 sha=00000000:0 …`.
fn version_in(text: &str) -> Option<String> {
    text.split_whitespace().find_map(|word| word.strip_prefix("v=")).map(str::to_owned)
}

/// Why it can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It must be installed.
    Missing { what: String, fix: String },
    /// It is another version.
    Version { why: String },
}

impl Unfit {
    pub(crate) fn for_store(self, store: &str) -> StoreError {
        match self {
            Self::Missing { what, fix } => StoreError::Missing { what, fix },
            Self::Version { why } => StoreError::Invalid { store: store.to_owned(), why },
        }
    }
}

/// The server for a store of that version (major, as `7`, or longer); `None` is any that is new enough.
pub(crate) fn choose(wanted: Option<&str>, found: Option<&Installed>) -> Result<Installed, Unfit> {
    let Some(found) = found else {
        let what = wanted.map_or_else(|| format!("Redis ({OLDEST} or newer)"), |version| format!("Redis {version}"));
        return Err(Unfit::Missing { what, fix: "apt-get install -y redis-server".to_owned() });
    };
    let major = |version: &str| version.split('.').next().and_then(|text| text.parse::<u32>().ok());
    let have = major(&found.version);
    let other = |why: String| Err(Unfit::Version { why });
    match wanted.map(|version| (version, major(version))) {
        Some((version, None)) => {
            other(format!("version {version:?} is not one of Redis'; write a major version such as \"7\""))
        }
        Some((version, Some(number))) if number < OLDEST => {
            other(format!("version {version} is too old; write \"{OLDEST}\""))
        }
        Some((version, number)) if number != have => other(format!(
            "the file asks for Redis {version} and {} is installed; write version: \"{}\"",
            found.version,
            have.unwrap_or(OLDEST)
        )),
        _ if have.is_none_or(|number| number < OLDEST) => {
            other(format!("Redis {} is too old; {OLDEST} or newer is needed", found.version))
        }
        _ => Ok(found.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: Option<&str>, version: Option<&str>, want: Result<(), &str>) {
        let found =
            version.map(|version| Installed { version: version.to_owned(), program: "/usr/bin/redis-server".into() });
        match (choose(wanted, found.as_ref()), want) {
            (Ok(_), Ok(())) => {}
            (Err(Unfit::Missing { fix: text, .. } | Unfit::Version { why: text }), Err(part)) => {
                assert!(text.contains(part), "{text}")
            }
            (got, want) => panic!("{got:?} instead of {want:?}"),
        }
    }

    #[test]
    fn the_version_must_be_the_wanted_one() {
        check(None, Some("7.0.15"), Ok(()));
        check(Some("7"), Some("7.0.15"), Ok(()));
        check(Some("8"), Some("7.0.15"), Err("write version: \"7\""));
        check(Some("6"), Some("6.2.0"), Err("too old"));
        check(None, Some("6.2.0"), Err("too old"));
        check(Some("new"), Some("7.0.15"), Err("not one of Redis'"));
        check(Some("7"), None, Err("apt-get install -y redis-server"));
    }

    #[test]
    fn the_version_is_read_from_what_it_prints() {
        assert_eq!(version_in("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0"), Some("7.0.15".to_owned()));
        assert_eq!(version_in(""), None);
    }
}
