//! Which processes work in a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A process whose working directory is `dir`. Servers work in their data folder, and so do their children.
///
/// `None`: there is none that we may see; those of other users are visible to root only.
pub(crate) fn working_in(dir: &Path) -> Option<u32> {
    let dir: PathBuf = fs::canonicalize(dir).ok()?;
    working(|cwd| cwd == dir)
}

/// A process whose working directory is `dir` or lies below it. `None`: as above.
#[must_use]
pub fn works_below(dir: &Path) -> Option<u32> {
    let dir: PathBuf = fs::canonicalize(dir).ok()?;
    working(|cwd| cwd.starts_with(&dir))
}

fn working(is_there: impl Fn(&Path) -> bool) -> Option<u32> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        is_there(&fs::read_link(entry.path().join("cwd")).ok()?).then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_where_it_works() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(working_in(dir.path()), None);
        let mut child = std::process::Command::new("/bin/cat")
            .current_dir(dir.path())
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let found = (working_in(dir.path()), works_below(dir.path().parent().unwrap()).is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, (Some(child.id()), true));
    }
}
