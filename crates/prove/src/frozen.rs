//! A server that is made to hang: its process and those below it are stopped, and go on when this is dropped.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Processes that are stopped.
#[derive(Debug)]
pub(crate) struct Frozen(Vec<OwnedFd>);

impl Frozen {
    /// Stops a process and its children.
    ///
    /// # Errors
    /// It's not ours to signal, or has ended.
    pub(crate) fn freeze(pid: i32) -> Result<Self, String> {
        let mut frozen = Self(Vec::new());
        // The parent first: then it makes no more of them.
        frozen.0.push(stop(pid)?);
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            // One that has just ended needs no stop.
            frozen.0.extend(stop(child).ok());
        }
        Ok(frozen)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for process in &self.0 {
            // One that was killed meanwhile does not go on.
            pidfd_send_signal(process, Signal::CONT).ok();
        }
    }
}

fn stop(pid: i32) -> Result<OwnedFd, String> {
    let handle = open(pid)?;
    pidfd_send_signal(&handle, Signal::STOP).map_err(|error| error.to_string())?;
    Ok(handle)
}

/// A handle of a process.
///
/// # Errors
/// It has ended, or is no pid.
pub(crate) fn open(pid: i32) -> Result<OwnedFd, String> {
    let process = Pid::from_raw(pid).filter(|_| pid > 1).ok_or_else(|| format!("{pid} is no pid of it"))?;
    pidfd_open(process, PidfdFlags::empty()).map_err(|error| error.to_string())
}

/// Sends a signal to a process.
///
/// # Errors
/// It's not ours to signal, or has ended.
pub(crate) fn signal(pid: i32, signal: Signal) -> Result<(), String> {
    pidfd_send_signal(open(pid)?, signal).map_err(|error| error.to_string())
}

/// How long a process has run. `None`: it does not, or the kernel does not say.
pub(crate) fn age(pid: i32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which may hold anything: the start is the twentieth word, in ticks since boot.
    let ticks: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let started = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    let up: f64 = fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(up - started).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn state(pid: u32) -> char {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.trim_start().chars().next().unwrap()
    }

    #[test]
    fn what_is_frozen_goes_on_afterwards() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(age(pid).is_some_and(|age| age < Duration::from_secs(600)));
        let frozen = Frozen::freeze(pid).unwrap();
        while state(child.id()) != 'T' {
            std::thread::yield_now();
        }
        drop(frozen);
        while state(child.id()) == 'T' {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(signal(pid, Signal::KILL).is_err(), "it is gone");
    }
}
