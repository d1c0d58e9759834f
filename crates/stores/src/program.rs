//! Which server program this machine has, where a store has only one, and whether it is of the wanted version.

use crate::{doctor::Finding, error::StoreError};
use std::path::PathBuf;

/// A kind of server.
#[derive(Debug)]
pub(crate) struct Kind {
    /// As a person writes it: `NATS`.
    pub name: &'static str,
    /// Where it is looked for, the first that is there is taken.
    pub programs: &'static [&'static str],
    /// The words that have it print its version.
    pub version: &'static [&'static str],
    /// Debian's package.
    pub package: &'static str,
    /// The oldest version that is run: major and minor.
    pub oldest: (u32, u32),
}

/// A server's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    /// Its version: `2.9.10`.
    pub version: String,
    /// Its path.
    pub program: PathBuf,
}

impl Kind {
    /// The first of its programs that is there. `None`: none is, or it does not say its version by those words.
    pub(crate) fn found(&self) -> Option<Installed> {
        self.programs.iter().find_map(|path| {
            let output = std::process::Command::new(path).args(self.version).output().ok()?;
            let said = [output.stdout, output.stderr].concat();
            let version = version_in(&String::from_utf8_lossy(&said))?;
            Some(Installed { version, program: path.into() })
        })
    }

    /// The server for a store of that version (`2`, `2.9`, `2.9.10`); `None` is any that is new enough.
    pub(crate) fn choose(&self, wanted: Option<&str>, found: Option<&Installed>) -> Result<Installed, Unfit> {
        let Some(found) = found else {
            let what = match wanted {
                Some(version) => format!("{} {version}", self.name),
                None => format!("{} ({}.{} or newer)", self.name, self.oldest.0, self.oldest.1),
            };
            return Err(Unfit::Missing { what, fix: self.fix() });
        };
        let is_part = |wanted: &str| {
            let (mut have, mut want) = (found.version.split('.'), wanted.split('.'));
            want.all(|part| have.next() == Some(part))
        };
        match wanted {
            Some(version) if !is_part(version) => Err(Unfit::Version {
                why: format!(
                    "the file asks for {} {version} and {} is installed; write version: \"{}\"",
                    self.name,
                    found.version,
                    found.version.split('.').next().unwrap_or_default()
                ),
            }),
            _ if release(&found.version).is_none_or(|release| release < self.oldest) => Err(Unfit::Version {
                why: format!(
                    "{} {} is too old; {}.{} or newer is needed",
                    self.name, found.version, self.oldest.0, self.oldest.1
                ),
            }),
            _ => Ok(found.clone()),
        }
    }

    /// What this machine has and lacks for it.
    pub(crate) fn doctor(&self, wanted: Option<&str>) -> Finding {
        match self.choose(wanted, self.found().as_ref()) {
            Ok(one) => {
                let what = format!("{} {} in {}", self.name, one.version, one.program.display());
                Finding { ok: true, what, fix: None }
            }
            Err(Unfit::Missing { what, fix }) => {
                Finding { ok: false, what: format!("{what} is not installed"), fix: Some(fix) }
            }
            Err(Unfit::Version { why }) => Finding { ok: false, what: why, fix: None },
        }
    }

    fn fix(&self) -> String {
        format!("apt-get install -y {}", self.package)
    }
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

/// The version in what a server prints: the first word of it that is two or more numbers, as `2.9.10` in `nats-server: v2.9.10`
/// and `7.0.15` in `Redis server v=7.0.15 sha=00000000:0 …`.
pub(crate) fn version_in(text: &str) -> Option<String> {
    text.split_whitespace().find_map(|word| {
        let word = word.strip_prefix("v=").or_else(|| word.strip_prefix('v')).unwrap_or(word);
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let version = word[..end].trim_end_matches('.');
        release(version).map(|_| version.to_owned())
    })
}

/// Major and minor of a version. `None`: it is none.
pub(crate) fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind {
        name: "NATS",
        programs: &["/nonexistent"],
        version: &["--version"],
        package: "nats-server",
        oldest: (2, 9),
    };

    #[track_caller]
    fn check(wanted: Option<&str>, version: Option<&str>, want: Result<(), &str>) {
        let found =
            version.map(|version| Installed { version: version.to_owned(), program: "/usr/sbin/nats-server".into() });
        match (KIND.choose(wanted, found.as_ref()), want) {
            (Ok(_), Ok(())) => {}
            (Err(Unfit::Missing { fix: text, .. } | Unfit::Version { why: text }), Err(part)) => {
                assert!(text.contains(part), "{text}")
            }
            (got, want) => panic!("{got:?} instead of {want:?}"),
        }
    }

    #[test]
    fn the_version_must_be_the_wanted_one() {
        check(None, Some("2.9.10"), Ok(()));
        check(Some("2"), Some("2.9.10"), Ok(()));
        check(Some("2.9"), Some("2.10.1"), Err("write version: \"2\""));
        check(Some("2.1"), Some("2.10.1"), Err("and 2.10.1 is installed"));
        check(Some("3"), Some("2.9.10"), Err("write version: \"2\""));
        check(None, Some("2.8.1"), Err("too old"));
        check(Some("2"), None, Err("apt-get install -y nats-server"));
    }

    #[test]
    fn the_version_is_read_from_what_it_prints() {
        assert_eq!(version_in("nats-server: v2.9.10\n").as_deref(), Some("2.9.10"));
        assert_eq!(version_in("PgBouncer 1.18.0\nlibevent 2.1.12-stable").as_deref(), Some("1.18.0"));
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0";
        assert_eq!(version_in(redis).as_deref(), Some("7.0.15"));
        assert_eq!(version_in("memcached 1.6.18"), Some("1.6.18".to_owned()));
        assert_eq!(version_in("3.10.8"), Some("3.10.8".to_owned()));
        assert_eq!(version_in("no such thing 7"), None);
    }

    #[test]
    fn what_is_not_installed_is_named_with_its_command() {
        let finding = KIND.doctor(Some("2"));
        assert!(!finding.ok);
        assert_eq!(finding.fix.as_deref(), Some("apt-get install -y nats-server"));
    }
}
