//! `plimsoll up --watch`: builds and brings in anew whenever the file or a source changes.
//!
//! Invariant: what runs stays as it is until a build has succeeded; a file with findings or a build that fails changes
//! nothing. Changes made while a build runs are not missed: they are built next.

use crate::{args::Up, print, project, project::Project, up};
use anyhow::Context;
use plimsoll_api::Client;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::io::unix::AsyncFd;

/// An editor that saves several files, or one in several steps, is done when nothing came for so long.
const QUIET: Duration = Duration::from_millis(150);
/// Folders that hold what is made, not what it is made of; and every folder whose name begins with a dot.
const MADE: [&str; 4] = ["target", "node_modules", "__pycache__", "dist"];

/// What is watched of a file or folder: contents and names, not mere reading.
const CHANGES: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO);

/// Which names in a watched folder count. `None`: all.
type Names = Option<BTreeSet<String>>;

/// The file and the sources of its services, watched.
pub(crate) struct Sources {
    kernel: AsyncFd<OwnedFd>,
    /// By the kernel's number of the watch.
    folders: BTreeMap<i32, (PathBuf, Names)>,
}

impl Sources {
    /// Watches the sources that the services' `build` names (without any: the file's folder), and the file.
    ///
    /// # Errors
    /// A source is not there, or the kernel watches no more.
    pub(crate) fn of(project: &Project) -> anyhow::Result<Self> {
        let kernel = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).context("cannot watch files")?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe because of types whose descriptor may change; OwnedFd's can't"
        )]
        let kernel = AsyncFd::new(kernel)?;
        let mut this = Self { kernel, folders: BTreeMap::new() };
        this.add(&project.file)?;
        for build in project.system.services.values().filter_map(|service| service.build.as_ref()) {
            if build.command.is_none() {
                continue;
            }
            if build.sources.is_empty() {
                this.add(&project.folder)?;
            }
            for source in &build.sources {
                let path = project.folder.join(source);
                this.add(&path).with_context(|| format!("cannot watch {}", path.display()))?;
            }
        }
        Ok(this)
    }

    /// Watches a folder with all that is in it; of a file, its folder, since editors put a new file in its place.
    fn add(&mut self, path: &Path) -> io::Result<()> {
        let path = path.canonicalize()?;
        if path.is_dir() {
            return self.add_folder(&path);
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let watch = inotify::add_watch(self.kernel.as_fd(), folder, CHANGES)?;
        let (_, names) = self.folders.entry(watch).or_insert_with(|| (folder.into(), Some(BTreeSet::new())));
        if let Some(names) = names {
            names.insert(name.to_string_lossy().into_owned());
        }
        Ok(())
    }

    fn add_folder(&mut self, folder: &Path) -> io::Result<()> {
        let watch = inotify::add_watch(self.kernel.as_fd(), folder, CHANGES)?;
        self.folders.insert(watch, (folder.into(), None));
        for entry in fs::read_dir(folder)?.flatten() {
            // A link is not followed: what it leads to is not of this tree.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && is_source(&entry.file_name().to_string_lossy()) {
                self.add_folder(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Waits until something has changed and nothing has for a moment. Answers what: one path as an example.
    ///
    /// # Errors
    /// The kernel's notices cannot be read.
    pub(crate) async fn changed(&mut self) -> io::Result<PathBuf> {
        let mut seen = None;
        loop {
            let wait = self.kernel.readable();
            let ready = match &seen {
                None => wait.await,
                Some(path) => match tokio::time::timeout(QUIET, wait).await {
                    Ok(ready) => ready,
                    Err(_) => return Ok(PathBuf::clone(path)),
                },
            };
            ready?.clear_ready();
            if let Some(path) = self.take()? {
                seen.get_or_insert(path);
            }
        }
    }

    /// Takes every notice there is; answers the first that counts.
    fn take(&mut self) -> io::Result<Option<PathBuf>> {
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let (mut first, mut fresh, mut missed) = (None, Vec::new(), false);
        let mut reader = inotify::Reader::new(self.kernel.get_ref().as_fd(), &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => continue,
                Err(why) => return Err(why.into()),
            };
            missed |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            let Some((folder, names)) = self.folders.get(&event.wd()) else { continue };
            let name = event.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let counts = match names {
                Some(names) => names.contains(&name),
                None => is_source(&name),
            };
            if !counts {
                continue;
            }
            let path = folder.join(&name);
            if names.is_none() && event.events().contains(ReadFlags::ISDIR) {
                fresh.push(path.clone());
            }
            // A file that was created is told again when it is closed; a folder is not.
            let is_half = event.events().contains(ReadFlags::CREATE) && !event.events().contains(ReadFlags::ISDIR);
            if !is_half {
                first.get_or_insert(path);
            }
        }
        for folder in fresh.into_iter().filter(|folder| folder.is_dir()) {
            // It may be gone again.
            self.add_folder(&folder).ok();
        }
        if missed {
            let any = self.look_again();
            first = first.or(any);
        }
        Ok(first)
    }

    /// More has changed than the kernel keeps notices of: folders may have come that nobody told of. Answers one of those
    /// that are watched, as what has changed.
    fn look_again(&mut self) -> Option<PathBuf> {
        let whole = self.folders.values().filter(|(_, names)| names.is_none());
        for folder in whole.map(|(folder, _)| folder.clone()).collect::<Vec<_>>() {
            // It may be gone.
            self.add_folder(&folder).ok();
        }
        self.folders.values().next().map(|(folder, _)| folder.clone())
    }
}

/// Is that a name of something that a person writes?
fn is_source(name: &str) -> bool {
    let is_backup = name.ends_with('~') || name.ends_with(".swp") || name == "4913";
    !name.is_empty() && !name.starts_with('.') && !is_backup && !MADE.contains(&name)
}

/// Follows the sources until that fails; what it fails with is answered.
pub(crate) async fn follow(asked: &Up, client: &Client, mut sources: Sources) -> anyhow::Error {
    print::note("watching the sources; a change is built and brought in");
    loop {
        let path = match sources.changed().await {
            Ok(path) => path,
            Err(why) => return anyhow::Error::new(why).context("the sources cannot be watched any longer"),
        };
        print::note(&format!("changed: {}", project::shown(&path)));
        match bring_in(asked, client, &mut sources).await {
            Ok(true) => {}
            Ok(false) => return anyhow::anyhow!("interrupted"),
            Err(why) => print::error(&format!("{why:#}")),
        }
    }
}

/// Reads the file again, builds, and offers. `false`: a Ctrl-C has ended the build.
async fn bring_in(asked: &Up, client: &Client, sources: &mut Sources) -> anyhow::Result<bool> {
    let Some(project) = project::read(asked.at.file.as_deref(), &asked.overlay)? else {
        print::note("nothing was changed");
        return Ok(true);
    };
    // The file may name other sources now; those of before are watched on, which costs a build at most.
    for build in project.system.services.values().filter_map(|service| service.build.as_ref()) {
        for source in &build.sources {
            sources.add(&project.folder.join(source)).with_context(|| format!("cannot watch {source}"))?;
        }
    }
    if !up::build(&project, &[]).await? {
        return Ok(false);
    }
    let accepted = client.offer(&up::offer(&project)).await?;
    for change in &accepted.changes {
        print::note(&format!("  {:8} {}", change.what, change.name));
    }
    if accepted.changes.is_empty() {
        print::note("built, and nothing of it differs");
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than the kernel keeps notices of; a folder that came after that is watched all the same.
    #[tokio::test]
    async fn what_the_kernel_could_not_tell_is_looked_for() {
        let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let most: usize = most.trim().parse().unwrap();
        if most > 100_000 {
            eprintln!("skipped: the kernel keeps {most} notices, too many to write as many files");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let kernel = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        #[expect(deprecated, reason = "as above")]
        let kernel = AsyncFd::new(kernel).unwrap();
        let mut sources = Sources { kernel, folders: BTreeMap::new() };
        sources.add(place.path()).unwrap();
        // Each is told of twice at least: that it is there, and that it is closed.
        for number in 0..=most / 2 {
            fs::write(place.path().join(format!("{number}.c")), "").unwrap();
        }
        let unseen = place.path().canonicalize().unwrap().join("unseen");
        fs::create_dir(&unseen).unwrap();
        assert!(sources.changed().await.unwrap().starts_with(unseen.parent().unwrap()));
        fs::write(unseen.join("late.c"), "").unwrap();
        assert_eq!(sources.changed().await.unwrap(), unseen.join("late.c"));
    }

    #[test]
    fn what_is_made_is_no_source() {
        for (name, source) in [
            ("main.rs", true),
            ("src", true),
            ("target", false),
            (".git", false),
            (".main.rs.swp", false),
            ("main.rs~", false),
            ("", false),
        ] {
            assert_eq!(is_source(name), source, "{name}");
        }
    }
}
