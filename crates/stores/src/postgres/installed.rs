//! Which PostgreSQL servers this machine has, and which one a store gets.

use crate::error::StoreError;
use std::{fs, path::PathBuf};

/// The oldest major version that is run.
const OLDEST: u32 = 14;

/// A PostgreSQL server's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    /// Its major version.
    pub major: u32,
    /// The folder of its programs.
    pub bin: PathBuf,
}

impl Installed {
    pub(crate) fn program(&self, name: &str) -> String {
        self.bin.join(name).display().to_string()
    }
}

/// All that are installed the way Debian (`/usr/lib/postgresql/15/bin`) or PGDG (`/usr/pgsql-15/bin`) do, newest first.
/// What is found by the path is not asked: it may be a wrapper that chooses a version by itself.
pub(crate) fn found() -> Vec<Installed> {
    found_beneath("/usr/lib/postgresql".into(), "/usr".into())
}

fn found_beneath(debian: PathBuf, pgdg: PathBuf) -> Vec<Installed> {
    let names = |dir: &PathBuf| -> Vec<String> {
        fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    };
    let debian_ones =
        names(&debian).into_iter().filter_map(|name| Some((name.parse().ok()?, debian.join(&name).join("bin"))));
    let pgdg_ones = names(&pgdg)
        .into_iter()
        .filter_map(|name| Some((name.strip_prefix("pgsql-")?.parse().ok()?, pgdg.join(&name).join("bin"))));
    let mut all: Vec<Installed> = debian_ones
        .chain(pgdg_ones)
        .filter(|(_, bin)| bin.join("postgres").is_file() && bin.join("initdb").is_file())
        .map(|(major, bin)| Installed { major, bin })
        .collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.major));
    all
}

/// The major version of `15` or `15.10`.
pub(crate) fn major(version: &str) -> Result<u32, String> {
    let major = version.split('.').next().and_then(|text| text.parse().ok());
    match major {
        Some(major) if (OLDEST..1000).contains(&major) => Ok(major),
        Some(major) if major < OLDEST => Err(format!("version {major} is too old; write \"{OLDEST}\" or newer")),
        _ => Err(format!("version {version:?} is not one of PostgreSQL's; write a major version such as \"15\"")),
    }
}

/// Why no server fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It must be installed.
    Missing { what: String, fix: String },
    /// The data there is of another version.
    OtherData { why: String },
}

impl Unfit {
    pub(crate) fn for_store(self, store: &str) -> StoreError {
        match self {
            Self::Missing { what, fix } => StoreError::Missing { what, fix },
            Self::OtherData { why } => StoreError::Refused { store: store.to_owned(), why },
        }
    }
}

/// The server for a store: the wanted version, else that of its data, else the newest.
pub(crate) fn choose(wanted: Option<u32>, data: Option<u32>, found: &[Installed]) -> Result<Installed, Unfit> {
    if let (Some(wanted), Some(data)) = (wanted, data)
        && wanted != data
    {
        let why = format!(
            "it was made by PostgreSQL {data} and the file asks for version \"{wanted}\"; write version: \"{data}\", \
             or dump it with pg_dumpall, set it aside, and load the dump into a new one"
        );
        return Err(Unfit::OtherData { why });
    }
    let fits = |one: &&Installed| wanted.or(data).map_or(one.major >= OLDEST, |major| one.major == major);
    found.iter().find(fits).cloned().ok_or_else(|| missing(wanted.or(data)))
}

/// What is missing, and the command that installs it.
fn missing(major: Option<u32>) -> Unfit {
    match major {
        Some(major) => Unfit::Missing {
            what: format!("PostgreSQL {major}"),
            fix: format!("apt-get install -y postgresql-{major}"),
        },
        None => Unfit::Missing {
            what: format!("PostgreSQL ({OLDEST} or newer)"),
            fix: "apt-get install -y postgresql".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(major: u32) -> Installed {
        Installed { major, bin: format!("/usr/lib/postgresql/{major}/bin").into() }
    }

    #[track_caller]
    fn check(wanted: Option<u32>, data: Option<u32>, installed: &[u32], want: Result<u32, &str>) {
        let found: Vec<Installed> = installed.iter().copied().map(server).collect();
        match (choose(wanted, data, &found), want) {
            (Ok(chosen), Ok(major)) => assert_eq!(chosen.major, major),
            (Err(Unfit::Missing { fix, .. }), Err(text)) => assert_eq!(fix, text),
            (Err(Unfit::OtherData { why }), Err(text)) => assert!(why.contains(text), "{why}"),
            (got, want) => panic!("{got:?} instead of {want:?}"),
        }
    }

    #[test]
    fn the_wanted_version_then_that_of_the_data_then_the_newest() {
        check(Some(15), None, &[16, 15], Ok(15));
        check(None, Some(15), &[16, 15], Ok(15));
        check(None, None, &[16, 15], Ok(16));
    }

    #[test]
    fn what_is_missing_is_told_with_its_command() {
        check(Some(16), None, &[15], Err("apt-get install -y postgresql-16"));
        check(None, Some(14), &[15], Err("apt-get install -y postgresql-14"));
        check(None, None, &[], Err("apt-get install -y postgresql"));
        check(None, None, &[13], Err("apt-get install -y postgresql"));
    }

    #[test]
    fn data_of_another_version_is_left_alone() {
        check(Some(16), Some(15), &[16, 15], Err("write version: \"15\""));
    }

    #[test]
    fn versions_are_read_as_people_write_them() {
        assert_eq!(major("15"), Ok(15));
        assert_eq!(major("15.10"), Ok(15));
        assert!(major("13").is_err_and(|why| why.contains("too old")));
        assert!(major("latest").is_err());
        assert!(major("").is_err());
    }

    #[test]
    fn only_whole_installations_are_found() {
        let dir = tempfile::tempdir().unwrap();
        for (version, programs) in
            [("15", &["postgres", "initdb"][..]), ("16", &["psql"]), ("x", &["postgres", "initdb"])]
        {
            let bin = dir.path().join(version).join("bin");
            fs::create_dir_all(&bin).unwrap();
            for program in programs {
                fs::write(bin.join(program), "").unwrap();
            }
        }
        let majors: Vec<u32> =
            found_beneath(dir.path().into(), dir.path().join("none")).iter().map(|one| one.major).collect();
        assert_eq!(majors, [15]);
    }
}
