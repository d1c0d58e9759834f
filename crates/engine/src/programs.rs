//! Programs in a system's own folder, as each version has them.
//!
//! A program that is built anew overwrites the one before, while that still runs or may be gone back to. So a copy of each
//! version's program is kept in the state directory. It is run only where the program itself is another one by now: a
//! program may look for its things beside itself.

use plimsoll_journal::entry::Program;
use plimsoll_model::Service;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Where a version's program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Where it always was.
    InPlace,
    /// Only the copy is left.
    Copy(PathBuf),
    /// It was built anew, and there is no copy.
    Nowhere,
}

/// The path of a service's program; `None` where it is looked for in `PATH`.
fn path_of(service: &Service, folder: &Path) -> Option<PathBuf> {
    let program = service.command.first().filter(|program| program.contains('/'))?;
    let base = service.dir.as_ref().map_or_else(|| folder.to_path_buf(), |dir| folder.join(dir));
    Some(base.join(program))
}

/// Tells one build of a program from the next: its length and time of writing. A program that is looked for in `PATH`
/// belongs to the machine, and has no mark.
pub(crate) fn mark(service: &Service, folder: &Path) -> Option<(u64, i64, i64)> {
    let found = fs::metadata(path_of(service, folder)?).ok()?;
    Some((found.len(), found.mtime(), found.mtime_nsec()))
}

/// The program of a service as it is now; `None` unless it is a file that can be run and lies in the folder itself (what
/// a link leads to elsewhere belongs to others, and finds its own things there).
pub(crate) fn program_of(service: &Service, folder: &Path) -> Option<Program> {
    let path = path_of(service, folder)?;
    let real = path.canonicalize().ok()?;
    if !real.starts_with(folder.canonicalize().ok()?) {
        return None;
    }
    let found = fs::metadata(&real).ok().filter(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)?;
    let path = path.to_str()?.to_owned();
    let (length, written) = (found.len(), (found.mtime(), found.mtime_nsec()));
    let digest = Sha256::digest(format!("{path} {length} {written:?}").as_bytes());
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let name = real.file_name().and_then(|name| name.to_str()).unwrap_or("program");
    Some(Program { copy: format!("{name}-{hex}"), path, length, written })
}

fn is_same(program: &Program) -> bool {
    fs::metadata(&program.path)
        .is_ok_and(|found| found.len() == program.length && (found.mtime(), found.mtime_nsec()) == program.written)
}

fn copies(state: &Path) -> PathBuf {
    state.join("programs")
}

/// Where a program is to be run from.
pub(crate) fn to_run(state: &Path, program: &Program) -> Found {
    if is_same(program) {
        return Found::InPlace;
    }
    let copy = copies(state).join(&program.copy);
    if copy.is_file() { Found::Copy(copy) } else { Found::Nowhere }
}

/// Whether a copy is still to be made.
pub(crate) fn is_missing(state: &Path, program: &Program) -> bool {
    !copies(state).join(&program.copy).exists()
}

/// Makes a copy, whole or not at all. A program that changes meanwhile is another version's.
///
/// # Errors
/// The disk refused.
pub(crate) fn keep(state: &Path, program: &Program) -> io::Result<()> {
    let folder = copies(state);
    fs::create_dir_all(&folder)?;
    let temporary = folder.join(format!(".{}", program.copy));
    fs::copy(&program.path, &temporary)?;
    // Before it has its name: after a power cut an empty copy would be taken for the program.
    fs::File::open(&temporary)?.sync_all()?;
    if is_same(program) { fs::rename(&temporary, folder.join(&program.copy)) } else { fs::remove_file(&temporary) }
}

/// Removes copies that no version has any more.
pub(crate) fn forget_others(state: &Path, kept: &BTreeSet<&str>) {
    let Ok(entries) = fs::read_dir(copies(state)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('.') && !kept.contains(name.as_ref()) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_program_that_was_built_anew_is_run_from_its_copy() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        put(&folder.path().join("app"), "one");
        let service = Service { command: vec!["./app".into()], ..Service::default() };
        let program = program_of(&service, folder.path()).unwrap();
        assert_eq!(to_run(&state, &program), Found::InPlace);
        keep(&state, &program).unwrap();
        put(&folder.path().join("app"), "another");
        let Found::Copy(copy) = to_run(&state, &program) else { panic!("no copy") };
        assert_eq!(fs::read_to_string(&copy).unwrap(), "one");
        assert!(fs::metadata(&copy).unwrap().permissions().mode() & 0o100 != 0);
        forget_others(&state, &BTreeSet::from([program.copy.as_str()]));
        assert!(copy.exists());
        forget_others(&state, &BTreeSet::new());
        assert_eq!(to_run(&state, &program), Found::Nowhere);
    }

    #[test]
    fn a_program_that_changes_while_it_is_copied_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        put(&folder.path().join("app"), "one");
        let service = Service { command: vec!["./app".into()], ..Service::default() };
        let program = program_of(&service, folder.path()).unwrap();
        put(&folder.path().join("app"), "longer");
        keep(folder.path(), &program).unwrap();
        assert!(is_missing(folder.path(), &program));
    }

    #[test]
    fn what_lies_elsewhere_is_not_kept() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        put(&elsewhere.path().join("python"), "x");
        std::os::unix::fs::symlink(elsewhere.path().join("python"), folder.path().join("python")).unwrap();
        for command in ["./python", "sh", "./missing"] {
            let service = Service { command: vec![command.into()], ..Service::default() };
            assert_eq!(program_of(&service, folder.path()), None, "{command}");
        }
    }
}
