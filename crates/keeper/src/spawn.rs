//! From a wish (`Spawn`) to a running process, or to a precise refusal.

use crate::{
    cgroup::{Group, Hierarchies},
    launch::{self, Launch, Stage},
    proc, rlimits,
};
use plimsoll_wire::keeper::{Process, Refusal, Spawn};
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::{
    ffi::{CString, OsStr},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Where a program without a `/` is looked for when its environment has no `PATH`.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The longest id, in bytes.
const ID_MAX: usize = 120;

/// What is the same for all processes of a system.
pub(crate) struct Ground<'a> {
    pub(crate) cookie: &'a str,
    pub(crate) hierarchies: &'a Hierarchies,
    /// The directory of processes that name none.
    pub(crate) dir: &'a Path,
    pub(crate) oom_score_adj: Option<&'a str>,
}

/// The standard streams of a process.
pub(crate) struct Streams<'a> {
    pub(crate) stdin: BorrowedFd<'a>,
    pub(crate) stdout: BorrowedFd<'a>,
}

/// A process that has just been started.
pub(crate) struct Started {
    pub(crate) process: Process,
    pub(crate) pidfd: OwnedFd,
    pub(crate) group: Option<Group>,
}

/// Whether that can be the id of a process, or the name of a log: it becomes the name of files.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= ID_MAX && !name.starts_with('.') && !name.contains(['/', '\0', '\n'])
}

/// Starts it.
///
/// # Errors
/// The act that failed; nothing is left of the process.
pub(crate) fn start(spawn: &Spawn, streams: &Streams<'_>, ground: &Ground<'_>) -> Result<Started, Refusal> {
    let paths = candidates(spawn);
    let name = format!("{}-{}", spawn.id, unique());
    // Plimsoll's own processes have no limits and no children to lose, and wait for no lock of the kernel's.
    let (mut group, mut unenforced) =
        if is_own(spawn) { (None, Vec::new()) } else { ground.hierarchies.create(&name, &spawn.limits) };
    let (folders, doors): (Vec<PathBuf>, Vec<OwnedFd>) = group
        .as_ref()
        .map(Group::doors)
        .unwrap_or_default()
        .into_iter()
        .map(|(path, file)| (path, file.into()))
        .unzip();
    let launched = prepare(spawn, streams, ground, &paths, doors).and_then(|launch| {
        launch::launch(&launch).map_err(|(stage, errno)| refusal(stage, errno, spawn, &paths, ground.dir))
    });
    let launched = match launched {
        Ok(launched) => launched,
        Err(refusal) => {
            if let Some(group) = group {
                group.remove();
            }
            return Err(refusal);
        }
    };
    for (folder, _) in folders.iter().zip(launched.not_entered).filter(|(_, not)| *not) {
        if let Some(group) = &mut group {
            unenforced = all_limits(spawn);
            group.leave(folder);
        }
    }
    let process = Process {
        id: spawn.id.clone(),
        pid: launched.pid,
        start: proc::stat(launched.pid).map_or(0, |stat| stat.start),
        started_at: micros_now(),
        cgroup: group.as_ref().and_then(Group::main_folder),
        cpu_cgroup: group.as_ref().and_then(Group::accounting_folder),
        unenforced,
        exit: None,
        respawns: 0,
    };
    Ok(Started { process, pidfd: launched.pidfd, group })
}

/// Whether it is one of Plimsoll's own: an engine or a gateway.
fn is_own(spawn: &Spawn) -> bool {
    spawn.respawn && spawn.channel
}

/// Microseconds since the Unix epoch.
pub(crate) fn micros_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Part of a group's name that no other start has, now or before.
fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{:x}.{:x}", micros_now(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The names of those limits that need a group.
fn all_limits(spawn: &Spawn) -> Vec<String> {
    let limits = &spawn.limits;
    [
        ("memory_bytes", limits.memory_bytes),
        ("cpu_milli", limits.cpu_milli),
        ("cpu_request_milli", limits.cpu_request_milli),
        ("pids", limits.pids),
    ]
    .into_iter()
    .filter(|(_, value)| value.is_some())
    .map(|(name, _)| name.to_owned())
    .collect()
}

/// The files that may be meant by the program's name.
fn candidates(spawn: &Spawn) -> Vec<PathBuf> {
    if spawn.program.contains('/') {
        let named = PathBuf::from(&spawn.program);
        // One of Plimsoll's own processes: if its file is gone, our own is as good, which the kernel still has.
        let own = is_own(spawn).then(|| PathBuf::from("/proc/self/exe"));
        return std::iter::once(named).chain(own).collect();
    }
    let path =
        spawn.env.iter().rev().find(|(name, _)| name == "PATH").map_or(PATH_DEFAULT, |(_, value)| value.as_str());
    path.split(':').filter(|folder| !folder.is_empty()).map(|folder| Path::new(folder).join(&spawn.program)).collect()
}

/// The directory that it is to run in.
fn directory<'a>(spawn: &'a Spawn, default: &'a Path) -> &'a Path {
    if spawn.dir.is_empty() { default } else { Path::new(&spawn.dir) }
}

fn prepare(
    spawn: &Spawn,
    streams: &Streams<'_>,
    ground: &Ground<'_>,
    paths: &[PathBuf],
    groups: Vec<OwnedFd>,
) -> Result<Launch, Refusal> {
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mut env = vec![text(format!("{}={}/{}", proc::MARK, ground.cookie, spawn.id))?];
    for (name, value) in &spawn.env {
        if name != proc::MARK {
            env.push(text(format!("{name}={value}"))?);
        }
    }
    let mut args = vec![text(&spawn.program)?];
    for arg in &spawn.args {
        args.push(text(arg)?);
    }
    Ok(Launch {
        paths: paths.iter().map(text).collect::<Result<_, _>>()?,
        args,
        env,
        dir: text(directory(spawn, ground.dir))?,
        stdin: streams.stdin.as_raw_fd(),
        stdout: streams.stdout.as_raw_fd(),
        groups,
        user: spawn.user.map(|user| (user.uid, user.gid)).filter(|user| *user != own || own.0 == 0),
        rlimits: rlimits::of(&spawn.limits),
        no_new_privileges: spawn.limits.no_new_privileges,
        oom_score_adj: ground.oom_score_adj.map(text).transpose()?,
    })
}

/// A string for the kernel.
fn text(value: impl AsRef<OsStr>) -> Result<CString, Refusal> {
    CString::new(value.as_ref().as_bytes()).map_err(|_| Refusal {
        stage: "exec".to_owned(),
        errno: libc::EINVAL,
        detail: format!("{} has a NUL byte in it", value.as_ref().display()),
    })
}

/// What went wrong, for a person.
fn refusal(stage: Stage, errno: i32, spawn: &Spawn, paths: &[PathBuf], default_dir: &Path) -> Refusal {
    let cause = std::io::Error::from_raw_os_error(errno);
    let user = spawn.user.map_or_else(String::new, |user| format!("user {}, group {}", user.uid, user.gid));
    let detail = match stage {
        Stage::Exec => exec_detail(errno, spawn, paths),
        Stage::Chdir => format!("cannot enter the directory {}: {cause}", directory(spawn, default_dir).display()),
        Stage::Setgroups | Stage::Setgid | Stage::Setuid => format!("cannot become {user}: {cause}"),
        Stage::Limits => {
            format!("cannot set its limits: {cause}{}", rlimits::too_high(&rlimits::of(&spawn.limits)))
        }
        Stage::Fork | Stage::Setsid | Stage::Streams | Stage::NoNewPrivileges => {
            format!("cannot start {}: {cause}", spawn.program)
        }
    };
    Refusal { stage: stage.name().to_owned(), errno, detail }
}

/// The three common reasons differ in what a person has to do about them.
fn exec_detail(errno: i32, spawn: &Spawn, paths: &[PathBuf]) -> String {
    let program = &spawn.program;
    let found = paths.iter().find(|path| path.exists());
    match (errno, found) {
        (libc::ENOENT, Some(path)) => format!(
            "{}: the file is there, but the interpreter that its first line names, or its loader, is not",
            path.display()
        ),
        (libc::ENOENT, None) if program.contains('/') => format!("{program}: there is no such file"),
        (libc::ENOENT, None) => format!("{program}: not found in any folder of PATH"),
        (libc::EACCES, Some(path)) if path.is_dir() => format!("{}: is a directory", path.display()),
        (libc::EACCES, Some(path)) => format!(
            "{}: may not be executed by this user (is it executable, and every folder above it open?)",
            path.display()
        ),
        (libc::ENOEXEC, Some(path)) => {
            format!("{}: no program for this machine, and no script that starts with #!", path.display())
        }
        (libc::ETXTBSY, Some(path)) => format!("{}: is being written to just now", path.display()),
        (libc::E2BIG, _) => format!("{program}: its arguments and environment are too long"),
        _ => format!("{program}: {}", std::io::Error::from_raw_os_error(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_their_folder_are_none() {
        for bad in ["", ".", "..", "a/b", ".hidden", "a\0", &"x".repeat(121)] {
            assert!(!is_name(bad), "{bad:?}");
        }
        assert!(is_name("web-3.1") && is_name(&"x".repeat(120)));
    }

    #[test]
    fn programs_are_looked_for_in_the_path_they_are_given() {
        let spawn = Spawn { program: "tool".into(), env: vec![("PATH".into(), "/a:/b".into())], ..Spawn::default() };
        assert_eq!(candidates(&spawn), [Path::new("/a/tool"), Path::new("/b/tool")]);
        assert_eq!(candidates(&Spawn { program: "./x".into(), ..spawn }), [Path::new("./x")]);
    }
}
