//! The few system calls that have no safe wrapper: signals as a descriptor, reaping with resource usage, a child that runs
//! no program.
//!
//! Invariant: nothing here keeps a pointer beyond the call that it is made for.
#![expect(
    unsafe_code,
    reason = "signalfd, sigprocmask, fork, waitid and wait4 have no safe wrapper that tells what we need"
)]

use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::{fs::File, io, mem};

/// Signals that the keeper takes from its descriptor; none of them interrupts it.
const TAKEN: [i32; 5] = [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];
/// The size of one `signalfd_siginfo`.
const SIGNAL_RECORD: usize = 128;

/// How a child ended, and what it used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reaped {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// Microseconds, user and system.
    pub(crate) cpu_us: u64,
    /// Bytes.
    pub(crate) memory_peak: u64,
}

/// Blocks the signals that are taken, and returns the descriptor that tells them.
pub(crate) fn signals() -> io::Result<OwnedFd> {
    // SAFETY: `set` is initialised by sigemptyset before it is read, and outlives the calls.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in TAKEN {
            libc::sigaddset(&raw mut set, signal);
        }
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// The signals that have come since the last call.
pub(crate) fn taken(signals: impl AsFd) -> Vec<i32> {
    let mut told = Vec::new();
    let mut bytes = [0u8; SIGNAL_RECORD * 8];
    while let Ok(length) = rustix::io::read(&signals, &mut bytes) {
        for record in bytes[..length].chunks_exact(SIGNAL_RECORD) {
            let number: [u8; 4] = record[..4].try_into().unwrap_or_default();
            told.push(i32::from_ne_bytes(number));
        }
        if length < bytes.len() {
            break;
        }
    }
    told
}

/// Lets a child that does nothing else write itself into this `cgroup.procs`, and end. It is reaped as any stranger is.
///
/// It keeps nothing else open: were we to end before it, the lock on the state directory would be held by nobody alive.
///
/// Only for a process with one thread: nobody holds a lock that the child could need.
pub(crate) fn enter_aside(door: &File) {
    // SAFETY: the child makes a few system calls, on descriptors that are its own copies, and never returns.
    unsafe {
        if libc::fork() == 0 {
            libc::dup2(door.as_raw_fd(), 0);
            libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0);
            libc::write(0, c"0".as_ptr().cast(), 1);
            libc::_exit(0);
        }
    }
}

/// A child that has ended and is not reaped yet, whichever; `None` if there is none now.
pub(crate) fn ended() -> Option<i32> {
    // SAFETY: `info` is plain old data, zeroed, and outlives the call; si_pid is set whenever waitid returns 0.
    unsafe {
        let mut info: libc::siginfo_t = mem::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let done = libc::waitid(libc::P_ALL, 0, &raw mut info, flags) == 0;
        let pid = info.si_pid();
        (done && pid > 0).then_some(pid)
    }
}

/// Reaps that child, which has ended; `None` if it is none of ours.
pub(crate) fn reap(pid: i32) -> Option<Reaped> {
    let mut status = 0;
    // SAFETY: both out parameters are plain old data and outlive the call.
    let usage = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        if libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) != pid {
            return None;
        }
        usage
    };
    let micros = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    Some(Reaped {
        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        cpu_us: micros(usage.ru_utime) + micros(usage.ru_stime),
        memory_peak: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    })
}

/// The descriptor with that number, which an exec'ed predecessor left open for us.
///
/// The number comes from the predecessor's own memory; each is claimed once.
pub(crate) fn inherited(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: fcntl only asks; ownership is taken only of a descriptor that is open, and the caller claims each once.
    unsafe {
        if number < 3 || libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) != 0 {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        Ok(OwnedFd::from_raw_fd(number))
    }
}
