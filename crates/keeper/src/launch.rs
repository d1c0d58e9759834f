//! The child's side of starting a process.
//!
//! The child shares the keeper's memory until it executes its program (`CLONE_VM | CLONE_VFORK`), as `posix_spawn` does:
//! nothing is copied, and why it failed is simply written where the keeper reads it.
//!
//! Invariant: between `clone` and `execve` the child allocates nothing, takes no lock and never returns to Rust code of the
//! keeper. The keeper has one thread, so nobody else holds a lock either.
#![expect(unsafe_code, reason = "a child between clone and execve may only use bare system calls")]

use crate::rlimits::Rlimit;
use rustix::fd::{FromRawFd, OwnedFd};
use std::{
    ffi::{CString, c_char, c_int, c_void},
    io, mem, ptr,
};

/// The child's stack while it shares our memory; its frames are a few hundred bytes.
const STACK: usize = 64 * 1024;
/// Process groups that one process may have to enter (v1 has one for each controller).
pub(crate) const GROUPS_MAX: usize = 5;

/// What the child does before it executes its program; all of it is prepared by the keeper.
pub(crate) struct Launch {
    /// Tried in turn, as `execvp` does.
    pub(crate) paths: Vec<CString>,
    /// With the program's name as the first.
    pub(crate) args: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) dir: CString,
    pub(crate) stdin: c_int,
    pub(crate) stdout: c_int,
    /// Open `cgroup.procs` files.
    pub(crate) groups: Vec<OwnedFd>,
    /// User and group id, if another than the keeper's.
    pub(crate) user: Option<(u32, u32)>,
    pub(crate) rlimits: Vec<Rlimit>,
    pub(crate) no_new_privileges: bool,
    /// What the keeper's own `oom_score_adj` was before it protected itself.
    pub(crate) oom_score_adj: Option<CString>,
}

/// Which act failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Stage {
    Fork,
    Setsid,
    Streams,
    Limits,
    Setgroups,
    Setgid,
    Setuid,
    NoNewPrivileges,
    Chdir,
    Exec,
}

impl Stage {
    /// Its name in a refusal.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Setsid => "setsid",
            Self::Streams => "streams",
            Self::Limits => "limits",
            Self::Setgroups => "setgroups",
            Self::Setgid => "setgid",
            Self::Setuid => "setuid",
            Self::NoNewPrivileges => "no_new_privileges",
            Self::Chdir => "chdir",
            Self::Exec => "exec",
        }
    }
}

/// A child that executes its program.
pub(crate) struct Launched {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    /// By their place in [`Launch::groups`]: those that could not be entered.
    pub(crate) not_entered: [bool; GROUPS_MAX],
}

/// What parent and child share.
struct Shared<'a> {
    launch: &'a Launch,
    args: Vec<*const c_char>,
    env: Vec<*const c_char>,
    failed: Option<(Stage, c_int)>,
    not_entered: [bool; GROUPS_MAX],
}

/// Starts the program.
///
/// # Errors
/// The act that failed and the system's error number; no process is left.
pub(crate) fn launch(launch: &Launch) -> Result<Launched, (Stage, c_int)> {
    let mut shared = Shared {
        launch,
        args: pointers(&launch.args),
        env: pointers(&launch.env),
        failed: None,
        not_entered: [false; GROUPS_MAX],
    };
    // 16-byte alignment comes from the element type.
    let mut stack: Vec<u128> = vec![0; STACK / size_of::<u128>()];
    let mut pidfd: c_int = -1;
    // SAFETY: the stack is ours and unused, and outlives the child's use of it, because CLONE_VFORK suspends us until the
    // child has executed its program or ended; the same holds for `shared`. All signals are blocked meanwhile, so that no
    // handler runs in the child on shared memory.
    let pid = unsafe {
        let mut all: libc::sigset_t = mem::zeroed();
        let mut before: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let pid = libc::clone(
            child,
            stack.as_mut_ptr().add(stack.len()).cast::<c_void>(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD,
            (&raw mut shared).cast::<c_void>(),
            &raw mut pidfd,
        );
        let error = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EAGAIN);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        if pid < 0 {
            return Err((Stage::Fork, error));
        }
        pid
    };
    // SAFETY: CLONE_PIDFD stored a new descriptor here, which nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    if let Some(failed) = shared.failed {
        // SAFETY: the child has ended (it wrote `failed` just before); waiting for it touches nothing but the status.
        unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
        return Err(failed);
    }
    Ok(Launched { pid, pidfd, not_entered: shared.not_entered })
}

/// Executes another program in our own place. Returns only if that failed. The blocked signals stay blocked, so that none
/// ends the new program before it takes them.
pub(crate) fn replace(program: &CString, args: &[CString], env: &[CString]) -> io::Error {
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: all three are NUL-terminated, or end with a null, and outlive the call.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// The addresses of these strings, and a null at the end.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// Runs in the child, on its own stack.
extern "C" fn child(argument: *mut c_void) -> c_int {
    // SAFETY: the parent passes a `Shared` that outlives us (see `launch`), and is suspended, so nobody else uses it.
    let shared = unsafe { &mut *argument.cast::<Shared<'_>>() };
    // SAFETY: only bare system calls on prepared data follow.
    if let Err(failed) = unsafe { become_program(shared) } {
        shared.failed = Some(failed);
    }
    // SAFETY: ends the child without running anything of the parent's.
    unsafe { libc::_exit(127) }
}

/// Returns only if the program could not be executed.
///
/// # Safety
/// Only in a child between `clone` and `execve`.
unsafe fn become_program(shared: &mut Shared<'_>) -> Result<(), (Stage, c_int)> {
    let launch = shared.launch;
    // SAFETY: pointers are to prepared, NUL-terminated strings that outlive the calls; descriptors are open.
    unsafe {
        check(Stage::Setsid, libc::setsid())?;
        for (place, group) in launch.groups.iter().enumerate().take(GROUPS_MAX) {
            let fd = std::os::fd::AsRawFd::as_raw_fd(group);
            shared.not_entered[place] = libc::write(fd, c"0".as_ptr().cast(), 1) != 1;
        }
        reset_oom_score(launch);
        check(Stage::Streams, libc::dup2(launch.stdin, 0))?;
        check(Stage::Streams, libc::dup2(launch.stdout, 1))?;
        check(Stage::Streams, libc::dup2(launch.stdout, 2))?;
        for one in &launch.rlimits {
            let limit = libc::rlimit { rlim_cur: one.soft, rlim_max: one.hard };
            check(Stage::Limits, libc::setrlimit(one.number, &raw const limit))?;
        }
        change_user(launch)?;
        if launch.no_new_privileges {
            check(Stage::NoNewPrivileges, libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        }
        check(Stage::Chdir, libc::chdir(launch.dir.as_ptr()))?;
        reset_signals();
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0);
        Err((Stage::Exec, execute(shared)))
    }
}

fn check(stage: Stage, result: c_int) -> Result<(), (Stage, c_int)> {
    if result >= 0 { Ok(()) } else { Err((stage, errno())) }
}

fn errno() -> c_int {
    // SAFETY: the location of this thread's errno is always valid.
    unsafe { *libc::__errno_location() }
}

/// Raising it back is always allowed; if it fails the child is merely protected as the keeper is.
unsafe fn reset_oom_score(launch: &Launch) {
    let Some(score) = &launch.oom_score_adj else { return };
    // SAFETY: prepared string; the descriptor is used and closed here.
    unsafe {
        let fd = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd >= 0 {
            libc::write(fd, score.as_ptr().cast(), score.as_bytes().len());
            libc::close(fd);
        }
    }
}

/// By bare system calls: the C library's would try to change other threads too.
unsafe fn change_user(launch: &Launch) -> Result<(), (Stage, c_int)> {
    let Some((uid, gid)) = launch.user else { return Ok(()) };
    let call = |stage, result: libc::c_long| if result == 0 { Ok(()) } else { Err((stage, errno())) };
    // SAFETY: `gid` outlives the call.
    unsafe {
        call(Stage::Setgroups, libc::syscall(libc::SYS_setgroups, 1, &raw const gid))?;
        call(Stage::Setgid, libc::syscall(libc::SYS_setgid, gid))?;
        call(Stage::Setuid, libc::syscall(libc::SYS_setuid, uid))
    }
}

/// Every signal to its default, and none blocked. Those that can't be changed are at their default.
unsafe fn reset_signals() {
    // SAFETY: both structures are initialised and outlive the calls.
    unsafe {
        // By bare system calls, because the C library won't touch the two that it uses itself, which a careless ancestor
        // may have left ignored. All zeros are the default action, without flags, in the kernel's own structure.
        let default = [0u64; 4];
        for signal in 1..=64 {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), ptr::null::<u64>(), 8);
        }
        let mut none: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

/// As `execvp` does: goes on while the file is not there, remembers one that may not be executed.
unsafe fn execute(shared: &Shared<'_>) -> c_int {
    let mut worst = libc::ENOENT;
    for path in &shared.launch.paths {
        // SAFETY: all three are prepared, NUL-terminated and outlive the call.
        unsafe { libc::execve(path.as_ptr(), shared.args.as_ptr(), shared.env.as_ptr()) };
        match errno() {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => worst = libc::EACCES,
            other => return other,
        }
    }
    worst
}
