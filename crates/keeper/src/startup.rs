//! What a keeper needs before it can serve: its folders, the lock, its sockets, and its place among processes.

use crate::{
    Options,
    cgroup::Hierarchies,
    log_file::{LogCaps, rotate},
    logs::Logs,
    proc, raw,
};
use plimsoll_wire::{channel::Channel, place::Place, sum};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::FlockOperation,
    net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
    process::getpid,
};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The kernel ends others first when memory runs out.
const OOM_SCORE: &str = "-900";
/// A process that is being ended has let go of its lock after so long.
const DEATH_LONGEST: Duration = Duration::from_secs(2);
/// Connections to the local API that wait to be accepted.
const API_BACKLOG: i32 = 1024;

/// Why a keeper can't start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Another one looks after this state directory.
    #[error("another keeper (pid {pid}) already looks after {}", state.display())]
    Locked { pid: String, state: PathBuf },
    /// A folder can't be made, or is not only ours.
    #[error("cannot use the folder {}: {why}", path.display())]
    Folder { path: PathBuf, why: io::Error },
    /// Something else that the system refused.
    #[error("cannot {act}: {why}")]
    System { act: &'static str, why: io::Error },
}

/// Turns an error of the system into one of ours.
pub(crate) fn act(act: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |why| StartError::System { act, why }
}

/// All that is needed.
pub(crate) struct Foundation {
    pub(crate) place: Place,
    pub(crate) program: PathBuf,
    pub(crate) caps: LogCaps,
    pub(crate) cookie: String,
    pub(crate) boot_id: String,
    pub(crate) oom_score_adj: Option<String>,
    pub(crate) hierarchies: Hierarchies,
    pub(crate) lock: OwnedFd,
    pub(crate) signals: OwnedFd,
    pub(crate) listener: OwnedFd,
}

/// Makes it.
pub(crate) fn prepare(options: &Options) -> Result<Foundation, StartError> {
    let state = std::path::absolute(&options.state).map_err(act("tell the state directory"))?;
    let place = Place::new(&state);
    for folder in [&place.state, &place.state.join("logs"), &place.run, &Logs::fifos(&place)] {
        make_folder(folder).map_err(|why| StartError::Folder { path: folder.clone(), why })?;
    }
    let lock = lock(&place, options.take_over)?;
    settle_down()?;
    let cookie = cookie(&place.state).map_err(act("look at the state directory"))?;
    let hierarchies = Hierarchies::find(&cookie);
    let signals = raw::signals().map_err(act("take signals"))?;
    hierarchies.expect_moves();
    Ok(Foundation {
        program: options.program.clone(),
        caps: options.log_caps,
        boot_id: proc::boot_id(),
        oom_score_adj: protect(),
        hierarchies,
        cookie,
        lock,
        signals,
        listener: Channel::listen(&place.keeper_socket()).map_err(act("listen for the engine"))?,
        place,
    })
}

/// Leaves the terminal, and becomes the parent of orphans.
fn settle_down() -> Result<(), StartError> {
    // Refused only to one that leads its session or group already.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(getpid())).map_err(|why| act("become a subreaper")(why.into()))
}

/// A folder that only we can list; one that is there must be ours. Whoever may pass through it (the engine lets the users
/// of stores' servers, which lie in it) still may.
fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let found = fs::metadata(path)?;
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    if found.mode() & 0o066 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700 | found.mode() & 0o011))?;
    }
    Ok(())
}

/// Takes the lock, which ends with us however we end; our pid is in it, for the message that another one gets.
///
/// One who takes over may be quicker than the kernel is with the death of the former one: its connections end before its
/// lock does.
fn lock(place: &Place, take_over: bool) -> Result<OwnedFd, StartError> {
    let until = Instant::now() + if take_over { DEATH_LONGEST } else { Duration::ZERO };
    let path = place.lock();
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    loop {
        let mut file = open().map_err(act("open the lock"))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                return Err(StartError::Locked { pid: pid.trim().to_owned(), state: place.state.clone() });
            }
            Err(why) => return Err(act("take the lock")(why.into())),
        }
        // A keeper that has just stopped removes the file: then ours is none that others would see.
        if is_at(&file, &path) {
            file.set_len(0).and_then(|()| writeln!(file, "{}", proc::own_pid())).map_err(act("write the lock"))?;
            return Ok(file.into());
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

/// Names this system among all on this machine: the same for every keeper of this state directory, and no other.
pub(crate) fn cookie(state: &Path) -> io::Result<String> {
    let found = fs::metadata(state)?;
    let text = format!("{}\n{}\n{}\n{}", state.display(), found.dev(), found.ino(), found.uid());
    Ok(format!("{:016x}", sum::fnv(sum::START, text.as_bytes())))
}

/// Protects us from the kernel's choice when memory runs out; returns what children shall have instead.
fn protect() -> Option<String> {
    let path = "/proc/self/oom_score_adj";
    let before = fs::read_to_string(path).ok()?.trim().to_owned();
    fs::write(path, OOM_SCORE).ok()?;
    // One who was protected already (started by an engine of ours, or by hand) does not hand that on.
    Some(if before.starts_with('-') { "0".to_owned() } else { before })
}

/// The listener of the local API.
pub(crate) fn api_listener(place: &Place) -> io::Result<OwnedFd> {
    let path = place.api_socket();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    net::bind(&socket, &SocketAddrUnix::new(&path)?)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    net::listen(&socket, API_BACKLOG)?;
    Ok(socket)
}

/// From here on we speak to our log only.
pub(crate) fn redirect_streams(place: &Place, caps: LogCaps) -> io::Result<()> {
    let path = place.log("keeper");
    if fs::metadata(&path).is_ok_and(|found| found.len() >= caps.file_bytes) {
        rotate(&path, caps.files)?;
    }
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
    let null = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(null.as_fd())?;
    rustix::stdio::dup2_stdout(log.as_fd())?;
    rustix::stdio::dup2_stderr(log.as_fd())?;
    Ok(())
}
