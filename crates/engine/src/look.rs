//! What a process and its descendants do at this moment, as `/proc` tells it.

use plimsoll_control::health::Look;
use plimsoll_model::Instant;
use std::fs;

/// So many processes of one replica are looked at; whoever has more is at work.
const PROCESSES_MAX: usize = 64;

/// Looks at a process and its descendants. `None`: it is gone, or `/proc` can't be read.
pub(crate) fn look(pid: i32, at: Instant) -> Option<Look> {
    let mut look = Look { at, ran_ns: 0, waits: true };
    let mut open = vec![pid];
    let mut seen = 0;
    while let Some(pid) = open.pop() {
        seen += 1;
        if seen > PROCESSES_MAX {
            return Some(Look { waits: false, ..look });
        }
        let found = process(pid, &mut look, &mut open);
        if seen == 1 {
            found?;
        }
    }
    Some(look)
}

/// Adds one process: its threads, and its children to `open`.
fn process(pid: i32, look: &mut Look, open: &mut Vec<i32>) -> Option<()> {
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let task = task.ok()?.path();
        // A thread that ends meanwhile has done something: the next look tells more.
        let (Ok(stat), Ok(ran)) = (fs::read_to_string(task.join("stat")), fs::read_to_string(task.join("schedstat")))
        else {
            look.waits = false;
            continue;
        };
        look.waits &= state(&stat) == Some('S');
        look.ran_ns += ran.split(' ').next().and_then(|ran| ran.parse::<u64>().ok()).unwrap_or_default();
        let children = fs::read_to_string(task.join("children")).unwrap_or_default();
        open.extend(children.split_whitespace().filter_map(|child| child.parse::<i32>().ok()));
    }
    Some(())
}

/// The letter of a thread's state.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        process::{Command, Stdio},
        time::{Duration, Instant as Clock},
    };

    /// Looks until two looks in a row see the same, or for a generous while.
    fn comes_to_rest(pid: i32) -> bool {
        let until = Clock::now() + Duration::from_secs(60);
        while Clock::now() < until {
            let first = look(pid, Instant(0)).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            if first.waits && look(pid, Instant(0)).unwrap() == first {
                return true;
            }
        }
        false
    }

    #[test]
    fn whoever_waits_is_seen_to_wait() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        assert!(comes_to_rest(child.id().cast_signed()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_child_at_work_is_the_parents_work() {
        // The shell waits for a child that never does.
        let mut child = Command::new("sh").args(["-c", "(while :; do :; done); true"]).spawn().unwrap();
        let pid = child.id().cast_signed();
        let until = Clock::now() + Duration::from_secs(60);
        let children = || fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        while children().trim().is_empty() && Clock::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let worker: i32 = children().trim().parse().unwrap();
        let looks: Vec<Look> = (0..3).map(|_| look(pid, Instant(0)).unwrap()).collect();
        assert!(looks.iter().all(|look| !look.waits), "{looks:?}");
        rustix::process::kill_process(rustix::process::Pid::from_raw(worker).unwrap(), rustix::process::Signal::KILL)
            .unwrap();
        child.wait().unwrap();
        assert_eq!(look(pid, Instant(0)), None, "it is gone");
    }
}
