//! Which Redis server this machine has.

use crate::program::{self, Installed, Unfit};

/// The oldest major version that is run.
const OLDEST: u32 = 7;

/// The one that is installed, as Debian and its own `make install` do.
pub(crate) fn found() -> Option<Installed> {
    program::found(&["/usr/bin/redis-server", "/usr/local/bin/redis-server"], &["--version"])
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
    use crate::program::version_in;

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
