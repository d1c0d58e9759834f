//! Where the programs under test are.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The `plimsoll` binary: `PLIMSOLL_BIN`, or the one beside the tests, which is built if it is missing or older than its
/// source: Cargo builds it with the whole workspace, and not with this package alone.
pub(crate) fn plimsoll() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        if let Some(named) = std::env::var_os("PLIMSOLL_BIN") {
            return named.into();
        }
        // The tests' own programs lie where Cargo puts all of them.
        let beside = Path::new(env!("CARGO_BIN_EXE_app-under-test")).with_file_name("plimsoll");
        if is_stale(&beside) {
            build(&beside);
        }
        beside
    })
}

/// Whether a program is not there, or a file of our crates is newer.
fn is_stale(program: &Path) -> bool {
    let Ok(built) = fs::metadata(program).and_then(|found| found.modified()) else { return true };
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("crates");
    let mut folders: Vec<PathBuf> = fs::read_dir(crates).unwrap().map(|found| found.unwrap().path()).collect();
    folders.iter_mut().for_each(|folder| folder.push("src"));
    while let Some(folder) = folders.pop() {
        for found in fs::read_dir(folder).into_iter().flatten().flatten() {
            match found.metadata() {
                Ok(about) if about.is_dir() => folders.push(found.path()),
                Ok(about) if about.modified().is_ok_and(|modified| modified > built) => return true,
                _ => {}
            }
        }
    }
    false
}

fn build(beside: &Path) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--quiet", "--package", "plimsoll"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if beside.parent().is_some_and(|folder| folder.ends_with("release")) {
        cargo.arg("--release");
    }
    // Cargo's own lock has other tests wait that find nothing, too.
    assert!(cargo.status().unwrap().success(), "plimsoll could not be built");
    assert!(beside.is_file(), "it was built elsewhere than {}; name it with PLIMSOLL_BIN", beside.display());
}

/// Puts a program there: linked where that goes, else copied.
pub(crate) fn put(program: &Path, there: &Path) {
    if fs::hard_link(program, there).is_err() {
        fs::copy(program, there).unwrap_or_else(|error| panic!("cannot copy {}: {error}", program.display()));
    }
}
